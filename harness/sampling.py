"""Which images make up episode k. numpy only; one small function per decision.

`sampler[k]` is pure in (class sizes, shape, seed, stream, k): nothing is remembered between draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.episode import EpisodeShape
from harness.errors import DataError
from harness.seeds import counter_rng

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class EpisodeRows:
    """An episode as numbers: which classes, and which rows of the pool.

    `classes` [n_way]; `support` and `query` are pool rows, `support_y` and `query_y` their labels
    (0..n_way-1, the position of the row's class in `classes`). Rows are ordered class by class.
    """

    classes: IntArray
    support: IntArray
    support_y: IntArray
    query: IntArray
    query_y: IntArray


def choose_classes(rng: np.random.Generator, n_classes: int, n_way: int) -> IntArray:
    """`n_way` distinct classes of `n_classes`, in random order: the order gives the labels."""
    return rng.choice(n_classes, size=n_way, replace=False).astype(np.int64)


def choose_images(rng: np.random.Generator, class_size: int, n_images: int) -> IntArray:
    """`n_images` distinct images of a class, in random order.

    The within-class order is shuffled because neighbours on disk can be near copies (frames of one video):
    taking them in order puts copies on both sides of the support/query border.
    """
    return rng.choice(class_size, size=n_images, replace=False).astype(np.int64)


class FixedSampler:
    """Episodes of one fixed shape: classes uniformly, then images uniformly, both without replacement.

    Args:
        class_sizes: number of images of each class, in pool order; class c owns the rows that follow those
            of classes 0..c-1.
        shape: ways, shots and queries of every episode.
        seed: the run's seed.
        stream: names the sequence, for example `"omniglot/test"`; other streams are independent.

    Raises DataError when the classes cannot fill the shape.
    """

    def __init__(self, class_sizes: Sequence[int] | IntArray, shape: EpisodeShape, *, seed: int, stream: str):
        self._sizes = np.asarray(class_sizes, dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self._sizes)[:-1]]).astype(np.int64)
        self._shape, self._seed, self._stream = shape, seed, stream
        problems = shape_problems(stream, self._sizes, shape)
        if problems:
            raise DataError(" ".join(problems))

    def __getitem__(self, k: int) -> EpisodeRows:
        rng = counter_rng(self._seed, self._stream, k)
        shape = self._shape
        classes = choose_classes(rng, len(self._sizes), shape.n_way)
        rows = np.stack(
            [
                self._starts[c] + choose_images(rng, int(self._sizes[c]), shape.n_shot + shape.n_query)
                for c in classes
            ]
        )
        labels = np.arange(shape.n_way, dtype=np.int64)
        return EpisodeRows(
            classes=classes,
            support=rows[:, : shape.n_shot].reshape(-1),
            support_y=np.repeat(labels, shape.n_shot),
            query=rows[:, shape.n_shot :].reshape(-1),
            query_y=np.repeat(labels, shape.n_query),
        )


def shape_problems(name: str, class_sizes: Sequence[int] | IntArray, shape: EpisodeShape) -> list[str]:
    """Why episodes of `shape` cannot be drawn from classes of these sizes; empty when they can."""
    sizes = np.asarray(class_sizes, dtype=np.int64)
    problems = []
    if len(sizes) < shape.n_way:
        problems.append(
            f"{name} has {len(sizes)} classes, fewer than the {shape.n_way} ways asked for: "
            f"lower n_way to at most {len(sizes)}."
        )
    needed = shape.n_shot + shape.n_query
    if len(sizes) and sizes.min() < needed:
        problems.append(
            f"{name} has a class of only {int(sizes.min())} images, fewer than the {needed} that "
            f"{shape.n_shot} support + {shape.n_query} query images need: lower n_shot or n_query."
        )
    return problems
