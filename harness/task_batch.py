"""Tasks of equal shape, side by side, so that one call works on all of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.conv_parts import joined
from harness.episode import Episode, Task

VALUES_AT_ONCE = 2**22
"""Values of the largest layer of the tasks that are worked on side by side, 16 MiB. Small tasks keep a processor busy
only in company; large ones need none, and together they would not stay in its cache from layer to layer."""

VALUES_ON_A_GPU = 2**27
"""There the more the better, up to its memory: 512 MiB a layer."""


@dataclass(frozen=True, kw_only=True)
class TaskBatch:
    """T tasks of one shape.

    `support_x` is [T, S, C, H, W], `query_x` [T, Q, C, H, W], channels last in memory; `support_y` is [T, S].
    """

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    n_way: int


def stack(tasks: Sequence[Task]) -> TaskBatch:
    """The tasks as one batch; they must have equal ways, support and query sizes."""
    return TaskBatch(
        support_x=joined([task.support_x for task in tasks]),
        support_y=torch.stack([task.support_y for task in tasks]),
        query_x=joined([task.query_x for task in tasks]),
        n_way=tasks[0].n_way,
    )


def part_of(batch: TaskBatch, places: Tensor) -> TaskBatch:
    """The tasks with the support images at `places` [T, n] alone."""
    return TaskBatch(
        support_x=joined([images[own] for images, own in zip(batch.support_x, places, strict=True)]),
        support_y=batch.support_y.gather(1, places),
        query_x=batch.query_x,
        n_way=batch.n_way,
    )


def equal_shapes(
    episodes: Sequence[Episode], at_once: Callable[[Task], int]
) -> Iterator[tuple[TaskBatch, Tensor]]:
    """Batches of the episodes that share a shape, with their query labels [T, Q]; see `alike`."""
    for group in alike(episodes, at_once):
        yield stack([e.task for e in group]), torch.stack([e.query_y for e in group])


def alike(episodes: Sequence[Episode], at_once: Callable[[Task], int]) -> Iterator[list[Episode]]:
    """Groups of the episodes that share a shape; none is left out.

    A group has no more episodes than `at_once` says for such a task.
    """
    groups: dict[tuple[int, int, int], list[Episode]] = {}
    for episode in episodes:
        task = episode.task
        groups.setdefault((task.n_way, len(task.support_y), len(episode.query_y)), []).append(episode)
    for group in groups.values():
        together = at_once(group[0].task)
        for first in range(0, len(group), together):
            yield group[first : first + together]


def tasks_at_once(task: Task, image_values: int) -> int:
    """How many such tasks to work on side by side where the task is, at least 1.

    `image_values`: of the largest layer's output for one image.
    """
    allowed = VALUES_ON_A_GPU if task.support_x.is_cuda else VALUES_AT_ONCE
    return max(1, allowed // (image_values * (len(task.support_x) + len(task.query_x))))
