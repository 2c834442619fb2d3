"""Which images make up episode k, and whether any can. numpy only; one small function per decision.

`sampler[k]` is pure in (class sizes, shape, seed, stream, k): nothing is remembered between draws. Episodes of
varying size are drawn in `variable_sampling`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from harness.episode import EpisodeShape, Shape, VariableShape
from harness.errors import DataError, named_choices
from harness.seeds import counter_rng

IntArray = npt.NDArray[np.int64]

SUPERCLASSES, NODES = "superclasses", "nodes"
"""Kinds of groups; `dataset.ClassGroups` says what they are."""

LARGEST_NODE = 392
"""Most classes that a node of a hierarchy may span to be drawn: Meta-Dataset's constant.

It is the smallest for which every ImageNet class is below some node that may be drawn.
"""


@dataclass(frozen=True, kw_only=True)
class EpisodeRows:
    """An episode as numbers: which classes, and which rows of the pool.

    `classes` [n_way]; `support` and `query` are pool rows, `support_y` and `query_y` their labels
    (0..n_way-1, the position of the row's class in `classes`). The support set comes class by class; queries come in
    random order, so that the place of one says nothing about its label.
    """

    classes: IntArray
    support: IntArray
    support_y: IntArray
    query: IntArray
    query_y: IntArray


@dataclass(frozen=True, kw_only=True)
class SpareRows:
    """Images of an episode's classes that are not in it: pool rows [n], and their labels [n] as in the episode."""

    rows: IntArray
    labels: IntArray


class Sampler(Protocol):
    """Anything that gives the rows of episode k for k = 0, 1, 2, ..."""

    def __getitem__(self, k: int) -> EpisodeRows: ...


def choose_classes(rng: np.random.Generator, n_classes: int, n_way: int) -> IntArray:
    """`n_way` distinct classes of `n_classes`, in random order: the order gives the labels."""
    return rng.choice(n_classes, size=n_way, replace=False).astype(np.int64)


def choose_images(rng: np.random.Generator, class_size: int, n_images: int) -> IntArray:
    """`n_images` distinct images of a class, in random order.

    The within-class order is shuffled because neighbours on disk can be near copies (frames of one video):
    taking them in order puts copies on both sides of the support/query border.
    """
    return rng.choice(class_size, size=n_images, replace=False).astype(np.int64)


def spare_rows(
    rng: np.random.Generator, episode: EpisodeRows, class_sizes: IntArray, limit: int
) -> SpareRows:
    """Up to `limit` images of the episode's classes that are in neither its support nor its query set.

    All of them where there are no more; otherwise as equal a number of each class as there can be. Classes in
    label order, each class's images in random order. A smaller limit gives a subset of a larger one's images.
    """
    used = np.concatenate([episode.support, episode.query])
    starts = np.cumsum(class_sizes) - class_sizes
    free = [
        rng.permutation(np.setdiff1d(np.arange(starts[c], starts[c] + class_sizes[c]), used))
        for c in episode.classes
    ]
    # Round after round one image of each class that has any left, until the limit.
    rounds = [(place, label) for label, rows in enumerate(free) for place in range(len(rows))]
    taken = sorted(rounds)[:limit]
    counts = np.bincount([label for _, label in taken], minlength=len(free)).astype(np.int64)
    return SpareRows(
        rows=np.concatenate([rows[:n] for rows, n in zip(free, counts, strict=True)]).astype(np.int64),
        labels=np.repeat(np.arange(len(free), dtype=np.int64), counts),
    )


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
        order = rng.permutation(shape.n_way * shape.n_query)
        return EpisodeRows(
            classes=classes,
            support=rows[:, : shape.n_shot].reshape(-1),
            support_y=np.repeat(labels, shape.n_shot),
            query=rows[:, shape.n_shot :].reshape(-1)[order],
            query_y=np.repeat(labels, shape.n_query)[order],
        )


def eligible_groups(
    shape: VariableShape, groups: Sequence[IntArray] | None, kind: str | None
) -> list[IntArray] | None:
    """The groups of which one is drawn for each episode; None where classes are drawn from the whole split.

    Of the nodes of a hierarchy, those that span `min_way` to `LARGEST_NODE` classes. Two nodes that span the
    same classes are two chances, as in Meta-Dataset.
    """
    if groups is None or not shape.grouped or shape.n_way is not None:
        return None
    if kind == NODES:
        return [group for group in groups if shape.min_way <= len(group) <= LARGEST_NODE]
    return list(groups)


def shape_problems(
    name: str,
    class_sizes: Sequence[int] | IntArray,
    shape: Shape,
    *,
    groups: Sequence[IntArray] | None = None,
    kind: str | None = None,
) -> list[str]:
    """Why episodes of `shape` cannot be drawn from classes of these sizes; empty when they can.

    groups, kind: numbers of the classes that belong together, and whether these are `SUPERCLASSES` or
    `NODES`; None for a source without groups.
    """
    sizes = np.asarray(class_sizes, dtype=np.int64)
    if isinstance(shape, EpisodeShape):
        return _too_few_classes(name, len(sizes), shape.n_way, "n_way") + _fixed_image_problems(
            name, sizes, shape
        )
    drawn_from = eligible_groups(shape, groups, kind)
    if drawn_from is None:
        least, parameter = (shape.min_way, "min_way") if shape.n_way is None else (shape.n_way, "n_way")
        return _too_few_classes(name, len(sizes), least, parameter) + _image_problems(name, sizes)
    reached = np.unique(np.concatenate([*drawn_from, np.empty(0, dtype=np.int64)]))
    return _group_problems(name, shape, drawn_from, kind) + _image_problems(name, sizes[reached])


def _too_few_classes(name: str, n_classes: int, least: int, parameter: str) -> list[str]:
    if n_classes >= least:
        return []
    way_out = f"lower {parameter} to at most {n_classes}" if n_classes >= 2 else "use another source or split"
    return [f"{name} has {n_classes} classes, fewer than the {least} ways asked for: {way_out}."]


def _fixed_image_problems(name: str, sizes: IntArray, shape: EpisodeShape) -> list[str]:
    needed = shape.n_shot + shape.n_query
    if not len(sizes) or sizes.min() >= needed:
        return []
    return [
        f"{name} has a class of only {int(sizes.min())} images, fewer than the {needed} that "
        f"{shape.n_shot} support + {shape.n_query} query images need: lower n_shot or n_query."
    ]


def _image_problems(name: str, sizes: IntArray) -> list[str]:
    """Half of the smallest class is the most that the query set takes of each: of one image, none."""
    n_small = int((sizes < 2).sum())
    if not n_small:
        return []
    return [
        f"{name} has {n_small} of {len(sizes)} classes with fewer than the 2 images that one support and one "
        "query image need: leave these classes out of the source."
    ]


def _group_problems(
    name: str, shape: VariableShape, drawn_from: list[IntArray], kind: str | None
) -> list[str]:
    way_out = "set VariableShape.grouped = False to draw from all classes"
    if kind not in (SUPERCLASSES, NODES):
        return [
            f"{name} has groups of the kind {kind!r}, not one of {named_choices((SUPERCLASSES, NODES))}: mend "
            f"class_groups of the source, or {way_out}."
        ]
    if not drawn_from:
        span = f" that span {shape.min_way} to {LARGEST_NODE} classes" if kind == NODES else ""
        return [f"{name} has no {kind}{span}, of which an episode's classes are drawn: {way_out}."]
    smallest = min(len(group) for group in drawn_from)
    if smallest >= shape.min_way:
        return []
    n_small = sum(len(group) < shape.min_way for group in drawn_from)
    lower = f"lower min_way to at most {smallest}, or " if smallest >= 2 else ""
    return [
        f"{name} has {n_small} of {len(drawn_from)} {kind} with fewer classes than the {shape.min_way} ways "
        f"asked for, the smallest with {smallest}: {lower}{way_out}."
    ]
