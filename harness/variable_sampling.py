"""Which images make up episode k where episodes vary in size, as Meta-Dataset draws them.

Triantafillou and others 2020 (arXiv 1903.03096), section 3.2 and appendix: one small function per decision, in
the order in which they are taken. |I_c| is the number of images of class c. numpy only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.episode import EpisodeShape, Shape, VariableShape
from harness.errors import DataError
from harness.sampling import (
    SUPERCLASSES,
    EpisodeRows,
    FixedSampler,
    IntArray,
    Sampler,
    choose_classes,
    choose_images,
    eligible_groups,
    shape_problems,
)
from harness.seeds import counter_rng


def choose_way(rng: np.random.Generator, n_classes: int, shape: VariableShape) -> int:
    """The number of ways: `shape.n_way`, or uniform on min_way .. min(max_way, n_classes)."""
    if shape.n_way is not None:
        return shape.n_way
    return int(rng.integers(shape.min_way, min(shape.max_way, n_classes), endpoint=True))


def choose_way_and_classes(
    rng: np.random.Generator,
    n_classes: int,
    shape: VariableShape,
    groups: Sequence[IntArray] | None,
    kind: str | None,
) -> IntArray:
    """The classes of an episode, in random order. `groups` are those of `eligible_groups`.

    Without groups, from all classes. With superclasses, from one of them, chosen uniformly. With nodes, all
    classes of one, chosen uniformly, or max_way of them where there are more: no number of ways is drawn.
    """
    if groups is None:
        return choose_classes(rng, n_classes, choose_way(rng, n_classes, shape))
    group = groups[int(rng.integers(len(groups)))]
    n_way = choose_way(rng, len(group), shape) if kind == SUPERCLASSES else min(len(group), shape.max_way)
    chosen: IntArray = group[choose_classes(rng, len(group), n_way)]
    return chosen


def query_per_class(sizes: IntArray, shape: VariableShape) -> int:
    """q = min(max_query, min_c ⌊|I_c| / 2⌋): the same for every class, and at most half of the smallest."""
    return min(shape.max_query, int(sizes.min()) // 2)


def support_size(rng: np.random.Generator, sizes: IntArray, n_query: int, shape: VariableShape) -> int:
    """|S| = min(max_support, Σ_c ⌊β·min(max_counted, |I_c| - q) + 1⌋) with β uniform on [0, 1).

    At least one image a class.
    """
    beta = rng.random()
    counted = np.minimum(shape.max_counted, sizes - n_query)
    return min(shape.max_support, int(np.floor(beta * counted + 1).sum()))


def shots_per_class(
    rng: np.random.Generator, sizes: IntArray, n_query: int, n_support: int, shape: VariableShape
) -> IntArray:
    """k_c = min(⌊p_c·(|S| - N)⌋ + 1, |I_c| - q), where p_c is proportional to |I_c|·exp(a_c); int64 [N].

    a_c is uniform on [min_log_weight, max_log_weight). The shots add up to |S| at most: rounding down and
    small classes leave some out.
    """
    logs = rng.uniform(shape.min_log_weight, shape.max_log_weight, size=len(sizes))
    weights = sizes * np.exp(logs - logs.max())  # the largest is 1, so that no bounds overflow
    desired = np.floor(weights / weights.sum() * (n_support - len(sizes))).astype(np.int64) + 1
    shots: IntArray = np.minimum(desired, sizes - n_query)
    return shots


@dataclass(frozen=True, kw_only=True)
class Composition:
    """What an episode is made of: `classes` [N] in label order, `shots` [N], `n_query` images of each class."""

    classes: IntArray
    shots: IntArray
    n_query: int


def compose(
    rng: np.random.Generator,
    sizes: IntArray,
    shape: VariableShape,
    groups: Sequence[IntArray] | None,
    kind: str | None,
) -> Composition:
    """All decisions but which images; `sizes` [n_classes] of the split, `groups` those of `eligible_groups`."""
    classes = choose_way_and_classes(rng, len(sizes), shape, groups, kind)
    chosen = sizes[classes]
    n_query = query_per_class(chosen, shape)
    n_support = support_size(rng, chosen, n_query, shape)
    shots = shots_per_class(rng, chosen, n_query, n_support, shape)
    return Composition(classes=classes, shots=shots, n_query=n_query)


class VariableSampler:
    """Episodes of varying ways and shots. `sampler[k]` is pure in the arguments and k.

    Args:
        class_sizes: number of images of each class, in pool order; class c owns the rows that follow those
            of classes 0..c-1.
        shape: bounds of ways, shots and queries.
        groups, kind: numbers of the classes that belong together, and whether these are `superclasses` or
            `nodes` (see `dataset.ClassGroups`); None for a source without groups.
        seed: the run's seed.
        stream: names the sequence, for example `"omniglot/test"`; other streams are independent.

    Raises DataError when the classes cannot fill the shape.
    """

    def __init__(
        self,
        class_sizes: Sequence[int] | IntArray,
        shape: VariableShape,
        *,
        groups: Sequence[IntArray] | None = None,
        kind: str | None = None,
        seed: int,
        stream: str,
    ):
        self._sizes = np.asarray(class_sizes, dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self._sizes)[:-1]]).astype(np.int64)
        self._shape, self._seed, self._stream = shape, seed, stream
        self._groups, self._kind = eligible_groups(shape, groups, kind), kind
        problems = shape_problems(stream, self._sizes, shape, groups=groups, kind=kind)
        if problems:
            raise DataError(" ".join(problems))

    def __getitem__(self, k: int) -> EpisodeRows:
        rng = counter_rng(self._seed, self._stream, k)
        made = compose(rng, self._sizes, self._shape, self._groups, self._kind)
        starts, sizes = self._starts[made.classes], self._sizes[made.classes].tolist()
        n_images = (made.shots + made.n_query).tolist()
        images = [
            start + choose_images(rng, size, n)
            for start, size, n in zip(starts, sizes, n_images, strict=True)
        ]
        labels = np.arange(len(made.classes), dtype=np.int64)
        order = rng.permutation(len(labels) * made.n_query)
        return EpisodeRows(
            classes=made.classes,
            support=np.concatenate([rows[made.n_query :] for rows in images]),
            support_y=np.repeat(labels, made.shots),
            query=np.concatenate([rows[: made.n_query] for rows in images])[order],
            query_y=np.repeat(labels, made.n_query)[order],
        )


def make_sampler(
    class_sizes: Sequence[int] | IntArray,
    shape: Shape,
    *,
    groups: Sequence[IntArray] | None = None,
    kind: str | None = None,
    seed: int,
    stream: str,
) -> Sampler:
    """The sampler of episodes of `shape`; the arguments are those of `VariableSampler`.

    Fixed shapes are drawn from all classes, whatever their groups. Raises DataError when the classes cannot
    fill the shape.
    """
    if isinstance(shape, EpisodeShape):
        return FixedSampler(class_sizes, shape, seed=seed, stream=stream)
    return VariableSampler(class_sizes, shape, groups=groups, kind=kind, seed=seed, stream=stream)
