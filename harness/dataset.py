"""What a source is: the contract that every dataset plugin keeps.

A dataset is a frozen dataclass registered under the entry-point group `harness.datasets`. Its fields are its
parameters (set from gin) and part of its identity. It is read once, in the driver, into a pool; training and
evaluation read pools only.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

SPLITS = ("train", "valid", "test")

ClassImages = tuple[str, npt.NDArray[np.uint8]]
"""One class: its name and its images, uint8 [n, H, W, C] with C = 1 or 3."""


@runtime_checkable
class Dataset(Protocol):
    """A source of images in classes.

    Attributes:
        name: the source's name in every row and path; a field with a default, so that one plugin can serve
            two variants in one experiment.
        channels: 1 (grey) or 3 (RGB): what `read` yields.
        splits: the splits it has, a subset of `SPLITS`; their classes are disjoint.
        needs_data: whether raw files under the data folder are needed (embedded sources need none).
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
        Raises DataError when the raw data is missing or damaged, naming the file and the next step.
        """

    def class_sizes(self, split: str, data_dir: Path | None) -> Mapping[str, int]:
        """Class name -> number of images, in pool order, without decoding images.

        Raises DataError as `fingerprint` does, and for a split it does not have.
        """

    def read(self, split: str, image_size: int, data_dir: Path | None) -> Iterator[ClassImages]:
        """Yield the classes of `split` one after another, in the order of `class_sizes`.

        Images are square, `image_size` pixels, uint8. One class at a time is in memory.
        Raises DataError for a missing, truncated or undecodable file, naming it.
        """
