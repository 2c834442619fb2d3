"""Tiny networks and episodes in float64, for tests that check mathematics."""

import torch

from harness.episode import Episode, Task
from harness.learner import Learner
from harness.method import Method
from harness.networks import Conv4


def tiny_episode(
    *,
    seed: int = 0,
    n_way: int = 3,
    n_shot: int = 2,
    n_query: int = 2,
    size: int = 16,
    channels: int = 1,
    dtype: torch.dtype = torch.float64,
) -> Episode:
    """An episode of noise whose classes differ in brightness; pure in its arguments."""
    generator = torch.Generator().manual_seed(seed)

    def images(n: int) -> torch.Tensor:
        labels = torch.arange(n_way).repeat_interleave(n)
        noise = torch.rand(n_way * n, channels, size, size, generator=generator, dtype=torch.float64)
        stripes = torch.sin(torch.arange(size) * (labels[:, None] + 1.0))[:, None, None, :]
        return (noise + stripes).to(dtype)

    labels = torch.arange(n_way)
    return Episode(
        task=Task(
            support_x=images(n_shot),
            support_y=labels.repeat_interleave(n_shot),
            query_x=images(n_query),
            n_way=n_way,
        ),
        query_y=labels.repeat_interleave(n_query),
        source="tiny",
        classes=tuple(range(n_way)),
        index=seed,
    )


def tiny_learner(
    method: Method,
    *,
    seed: int = 0,
    max_way: int = 3,
    size: int = 16,
    channels: int = 1,
    dtype: torch.dtype = torch.float64,
    **network: object,
) -> Learner:
    """A learner on a Conv4 of three filters, with a head that is not zero."""
    torch.manual_seed(seed)
    settings = {"filters": 3, **network}
    learner = method.trainer.init(Conv4(**settings).build(channels, size), max_way).to(dtype)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in learner.head.parameters():
            parameter.normal_(std=0.5)
        for name, parameter in learner.named_parameters():
            if name.endswith("norm.bias"):
                parameter.normal_(std=0.3)
    return learner
