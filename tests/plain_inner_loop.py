"""Conv4 and its inner loop written out in plain PyTorch, one task at a time: shares no code with the harness."""

import torch
import torch.nn.functional as F

from harness.episode import Task

Params = dict[str, torch.Tensor]


def reference_outputs(
    params: Params,
    x: torch.Tensor,
    n_way: int,
    *,
    statistics_of: torch.Tensor | None = None,
    pooled: bool = False,
) -> dict[str, torch.Tensor]:
    """Every layer's output of both forms of Conv4 written out, with batch norm as its formula; the head's are logits.

    `statistics_of`: the images whose statistics normalise `x`; None for `x` itself.
    """
    outputs = {}
    of = x if statistics_of is None else statistics_of
    for i in range(1, 5):
        weight, bias = params[f"body.stages.conv{i}.conv.weight"], params[f"body.stages.conv{i}.norm.bias"]
        scale = params.get(f"body.stages.conv{i}.norm.weight", torch.ones_like(bias))[:, None, None]
        x, of = (F.conv2d(v, weight, stride=1 if pooled else 2, padding=1) for v in (x, of))
        mean = of.mean(dim=(0, 2, 3), keepdim=True)
        variance = ((of - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
        normalised = ((v - mean) / (variance + 1e-3).sqrt() for v in (x, of))
        x, of = ((scale * v + bias[:, None, None]).clamp(min=0) for v in normalised)
        if pooled:
            x, of = (v.unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(4, 5)) for v in (x, of))
        outputs[f"conv{i}"] = x
    x = x.flatten(1) if pooled else x.mean(dim=(2, 3))
    outputs["head"] = x @ params["head.weight"][:n_way].T + params["head.bias"][:n_way]
    return outputs


def reference_logits(
    params: Params,
    x: torch.Tensor,
    n_way: int,
    *,
    statistics_of: torch.Tensor | None = None,
    pooled: bool = False,
) -> torch.Tensor:
    """The head's output."""
    return reference_outputs(params, x, n_way, statistics_of=statistics_of, pooled=pooled)["head"]


def reference_gradients(params: Params, task: Task, names: list[str], *, pooled: bool = False) -> Params:
    """Of the mean support loss by the parameters `names`."""
    leaves = {name: p.detach().clone().requires_grad_(name in names) for name, p in params.items()}
    logits = reference_logits(leaves, task.support_x, task.n_way, pooled=pooled)
    loss = F.cross_entropy(logits, task.support_y)
    grads = torch.autograd.grad(loss, [leaves[name] for name in names], allow_unused=True)
    return {
        name: torch.zeros_like(params[name]) if grad is None else grad
        for name, grad in zip(names, grads, strict=True)
    }


def reference_adapted(
    params: Params, task: Task, names: list[str], steps: int, rate: float, *, pooled: bool = False
) -> Params:
    """Inner steps with plain first derivatives; nothing is differentiated twice."""
    return reference_path(params, task, names, steps, rate, pooled=pooled)[-1]


def reference_path(
    params: Params, task: Task, names: list[str], steps: int, rate: float, *, pooled: bool = False
) -> list[Params]:
    """The parameters before the first step and after each."""
    path = [{name: p.detach().clone() for name, p in params.items()}]
    for _ in range(steps):
        now = path[-1]
        grads = reference_gradients(now, task, names, pooled=pooled)
        path.append({**now, **{name: now[name] - rate * grads[name] for name in names}})
    return path
