"""What a source is: the contract that every dataset plugin keeps.

A dataset is a frozen dataclass registered under the entry-point group `harness.datasets`. Its fields are its
parameters (set from gin) and part of its identity. It is read once, in the driver, into pools; training and
evaluation read pools only. It hands out images as they are stored: scaling them is the harness's business.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

SPLITS = ("train", "valid", "test")

SUPERCLASSES, NODES = GROUP_KINDS = ("superclasses", "nodes")
"""Kinds of `ClassGroups`."""

ClassImages = tuple[str, npt.NDArray[np.uint8]]
"""A class, or a part of one: its name and some of its images, uint8 [n, H, W, C] with C = 1 or 3."""


@dataclass(frozen=True, kw_only=True)
class ClassGroups:
    """Which classes of a split belong together, for samplers that draw a group first.

    kind: `superclasses`, disjoint sets such as Omniglot's alphabets; or `nodes`, the internal nodes of a class
    hierarchy such as WordNet, each with all classes below it, so that sets contain one another.
    members: group -> names of its classes.
    """

    kind: str
    members: Mapping[str, Sequence[str]]


@runtime_checkable
class Dataset(Protocol):
    """A source of images in classes.

    Attributes:
        name: the source's name in every row and path; a field with a default, so that one plugin can serve
            two variants in one experiment.
        channels: 1 (grey) or 3 (RGB): what `read` yields.
        splits: the splits it has, a subset of `SPLITS`; their classes are disjoint.
        needs_data: whether raw files under the data folder are needed (embedded sources need none).

    A source may also have `native_size`, pixels a side where all its images are square and of one size: pools
    then never hold them enlarged; and `class_groups(split, data_dir)`, a `ClassGroups` or None, where its
    classes have an order above them. See `native_size` and `class_groups` below.
    """

    @property
    def name(self) -> str:
        """The source's name in rows and paths."""

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (RGB)."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits it has."""

    @property
    def needs_data(self) -> bool:
        """Whether raw files are needed."""

    def fingerprint(self, data_dir: Path | None) -> str:
        """A short text that changes whenever the raw content or the code that draws it changes.

        The same content in another container (archive or unpacked tree) gives the same fingerprint.
        Raises MissingDataError when the raw data is not there, naming what was looked for, where, and the
        next step; DataError when it is damaged, naming the file.
        """

    def class_sizes(self, split: str, data_dir: Path | None) -> Mapping[str, int]:
        """Class name -> number of images, in pool order, without decoding images.

        Raises as `fingerprint` does, and DataError for a split it does not have.
        """

    def read(self, split: str, classes: Sequence[str], data_dir: Path | None) -> Iterator[ClassImages]:
        """Yield the images of `classes`, some of `class_sizes(split, data_dir)` in its order, class by class.

        Images come as they are stored, of any height and width. A class may come in several parts, one right
        after the other: no more than a part is in memory.
        Raises DataError for a missing, truncated or undecodable file, naming it.
        """


def native_size(dataset: Dataset) -> int | None:
    """Pixels a side of the source's images where all are square and of one size; otherwise None."""
    size: int | None = getattr(dataset, "native_size", None)
    return size


def class_groups(dataset: Dataset, split: str, data_dir: Path | None) -> ClassGroups | None:
    """The groups of the split's classes; None for a source without them. Raises as `class_sizes` does."""
    ask = getattr(dataset, "class_groups", None)
    groups: ClassGroups | None = None if ask is None else ask(split, data_dir)
    return groups
