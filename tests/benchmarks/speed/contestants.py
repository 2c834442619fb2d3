"""The two implementations behind one face: a call to time, and what it computes.

Both start from the same weights and the same episodes (`speed.settings`), and both end a training iteration with a
step of Adam.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from harness.episode import Episode
from harness.evaluation import predictions
from harness.learner import Learner
from speed import usual
from speed.settings import Case, learner_of, meta_batch, method_of

Contestant = Literal["ours", "usual"]
Call = Callable[[], object]
Outcome = dict[str, Tensor]
"""`loss` and the gradient of each of the learner's parameters by its name, or `logits`."""

OUTER_LR = 1e-3


def ours(case: Case, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[Call, Callable[[], Outcome]]:
    """What `harness.training` does in an iteration, or `harness.evaluation` with an episode."""
    method, learner, episodes = method_of(case), learner_of(case, dtype), meta_batch(case, dtype, seed)
    if case.phase == "test":
        learner.eval()

        def predict() -> Tensor:
            found = predictions(method, learner, episodes, seed=0)
            return torch.cat([logits for _, logits, _ in found])

        return predict, lambda: {"logits": predict()}
    learner.train()
    optimiser = torch.optim.Adam(learner.parameters(), lr=OUTER_LR)

    def iterate() -> float:
        optimiser.zero_grad(set_to_none=True)
        loss = method.outer_loss(learner, episodes)
        value = loss.item()
        loss.backward()
        optimiser.step()
        return value

    def outcome() -> Outcome:
        loss = iterate()
        return {
            "loss": torch.tensor(loss, dtype=torch.float64),
            **_gradients(dict(learner.named_parameters())),
        }

    return iterate, outcome


def usual_way(
    case: Case, dtype: torch.dtype = torch.float32, seed: int = 0
) -> tuple[Call, Callable[[], Outcome]]:
    """The same by `speed.usual`, on the same weights and images in PyTorch's default layout."""
    setting = case.setting
    network, names = _network(case, learner_of(case, dtype))
    tasks = [_images(episode) for episode in meta_batch(case, dtype, seed)]
    if case.phase == "test":
        each = [_usual_predict(case, network, task) for task in tasks]

        def predict() -> Tensor:
            return torch.cat([prediction() for prediction in each])

        return predict, lambda: {"logits": predict()}
    optimiser = torch.optim.Adam(network.parameters(), lr=OUTER_LR)
    inner = {"lr": setting.inner_lr, "steps": setting.inner_steps}
    iterate: Callable[[], float]
    if case.method == "ANIL":
        iterate = partial(usual.anil_step, network, optimiser, tasks, **inner)
    else:
        iterate = partial(usual.maml_step, network, optimiser, tasks, **inner, second=case.second_order)

    def outcome() -> Outcome:
        loss = iterate()
        return {"loss": torch.tensor(loss, dtype=torch.float64), **_gradients(names)}

    return iterate, outcome


CONTESTANTS = {"ours": ours, "usual": usual_way}


def _usual_predict(case: Case, network: usual.Network, task: usual.Images) -> Callable[[], Tensor]:
    setting = case.setting
    if case.method == "NIL":
        return partial(usual.nil_predict, network, task, n_way=setting.n_way)
    predict = usual.anil_predict if case.method == "ANIL" else usual.maml_predict
    return partial(predict, network, task, lr=setting.inner_lr, steps=setting.test_inner_steps)


def _gradients(parameters: dict[str, Tensor]) -> Outcome:
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone().contiguous()
        for name, p in parameters.items()
    }


def _network(case: Case, learner: Learner) -> tuple[usual.Network, dict[str, Tensor]]:
    """The learner's weights as the usual code keeps them, and by the learner's names those that it has too."""
    names = {
        name: _default_layout(value.detach()).requires_grad_() for name, value in learner.named_parameters()
    }
    body, offsets = [], []
    for i in range(1, usual.BLOCKS + 1):
        weight = names[f"body.stages.conv{i}.conv.weight"]
        body += [weight, torch.zeros(len(weight), dtype=weight.dtype, requires_grad=True)]
        offsets.append(names[f"body.stages.conv{i}.norm.bias"])
    network = usual.Network(
        body,
        offsets,
        [names["head.weight"], names["head.bias"]],
        stride=1 if case.setting.pooled else 2,
        flatten=case.setting.readout == "flatten",
    )
    return network, names


def _images(episode: Episode) -> usual.Images:
    task = episode.task
    return _default_layout(task.support_x), task.support_y, _default_layout(task.query_x), episode.query_y


def _default_layout(x: Tensor) -> Tensor:
    """A copy of [N, C, H, W] as stacking single images gives it.

    Not `contiguous()`: with one channel, images that are channels-last count as contiguous too and stay what they
    are, and then all that is computed from them is channels-last.
    """
    return torch.empty(x.shape, dtype=x.dtype).copy_(x)
