"""Tasks of equal shape, side by side, so that one call works on all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.episode import Episode, Task


@dataclass(frozen=True, kw_only=True)
class TaskBatch:
    """T tasks of one shape.

    `support_x` and `query_x` hold T tensors [S, C, H, W] and [Q, C, H, W]; `support_y` is [T, S].
    """

    support_x: tuple[Tensor, ...]
    support_y: Tensor
    query_x: tuple[Tensor, ...]
    n_way: int


def stack(tasks: Sequence[Task]) -> TaskBatch:
    """The tasks as one batch; they must have equal ways, support and query sizes."""
    return TaskBatch(
        support_x=tuple(task.support_x for task in tasks),
        support_y=torch.stack([task.support_y for task in tasks]),
        query_x=tuple(task.query_x for task in tasks),
        n_way=tasks[0].n_way,
    )


def equal_shapes(episodes: Sequence[Episode]) -> Iterator[tuple[TaskBatch, Tensor]]:
    """Batches of the episodes that share a shape, with their query labels [T, Q]; none is left out."""
    groups: dict[tuple[int, int, int], list[Episode]] = {}
    for episode in episodes:
        task = episode.task
        groups.setdefault((task.n_way, len(task.support_y), len(episode.query_y)), []).append(episode)
    for group in groups.values():
        yield stack([e.task for e in group]), torch.stack([e.query_y for e in group])
