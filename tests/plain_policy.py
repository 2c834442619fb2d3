"""A policy and its meta-gradients written out in plain PyTorch, one task at a time: shares no code with the harness."""

import math

import torch

Params = dict[str, torch.Tensor]


def outputs(params: Params, observations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean [S, A] and log standard deviation [A]."""
    x = observations
    depth = sum(name.startswith("body.stages.") and name.endswith(".weight") for name in params)
    for i in range(1, depth + 1):
        x = torch.tanh(x @ params[f"body.stages.hidden{i}.weight"].T + params[f"body.stages.hidden{i}.bias"])
    return x @ params["head.weight"].T + params["head.bias"], params["head.log_std"]


def log_prob(params: Params, observations: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    mean, log_std = outputs(params, observations)
    z = (actions - mean) / log_std.exp()
    return (-0.5 * z**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(1)


def averaged(values: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """The mean of the values [S] as they count."""
    kept = shares > 0
    return torch.dot(values[kept], shares[kept]) / shares[kept].sum()


def adapted(
    params: Params,
    steps: list[tuple[torch.Tensor, ...]],
    names: list[str],
    rate: float,
    *,
    first_order: bool = False,
) -> Params:
    """After one policy-gradient step on each (observations, actions, advantages, shares), as a function of `params`."""
    now = dict(params)
    for observations, actions, advantages, shares in steps:
        loss = -averaged(log_prob(now, observations, actions) * advantages, shares)
        gradients = torch.autograd.grad(loss, [now[name] for name in names], create_graph=True)
        if first_order:
            gradients = tuple(g.detach() for g in gradients)
        now = {**now, **{name: now[name] - rate * g for name, g in zip(names, gradients, strict=True)}}
    return now


def flat(params: Params) -> torch.Tensor:
    return torch.cat([value.reshape(-1) for value in params.values()])


def unflat(vector: torch.Tensor, like: Params) -> Params:
    parts = torch.split(vector, [value.numel() for value in like.values()])
    return {name: part.view_as(value) for (name, value), part in zip(like.items(), parts, strict=True)}
