"""Digits: real handwriting that scikit-learn carries with it; a test split for learners trained elsewhere."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from harness.dataset import ClassImages
from harness.parameters import check_name, check_split

VERSION = "digits-1"
BRIGHTEST = 16


@dataclass(frozen=True, kw_only=True)
class Digits:
    """The 1797 handwritten digits of `sklearn.datasets.load_digits` (8x8, 17 greys): test only, ink bright.

    Raises ConfigError for a name that cannot be used.
    """

    name: str = "digits"

    channels: ClassVar[int] = 1
    splits: ClassVar[tuple[str, ...]] = ("test",)
    needs_data: ClassVar[bool] = False
    licence: ClassVar[str] = (
        "CC BY 4.0 (UCI's Optical Recognition of Handwritten Digits, within scikit-learn)"
    )
    native_size: ClassVar[int] = 8

    def __post_init__(self) -> None:
        check_name("Digits", self.name)

    def fingerprint(self, data_dir: Path | None) -> str:  # noqa: ARG002
        """The version and a digest of all pixels and labels: it depends on what scikit-learn carries."""
        images, labels = _load()
        digest = hashlib.sha256(images.tobytes() + labels.tobytes())
        return f"{VERSION}-{digest.hexdigest()[:16]}"

    def class_sizes(self, split: str, data_dir: Path | None) -> Mapping[str, int]:  # noqa: ARG002
        """`"0"` to `"9"` -> 174 to 183 images. Raises DataError for another split than test."""
        check_split(self.name, split, self.splits)
        labels = _load()[1]
        return {str(digit): int((labels == digit).sum()) for digit in range(10)}

    def read(self, split: str, classes: Sequence[str], data_dir: Path | None) -> Iterator[ClassImages]:  # noqa: ARG002
        """Yield the digits. Raises DataError for another split than test."""
        check_split(self.name, split, self.splits)
        images, labels = _load()
        for name in classes:
            yield name, images[labels == int(name), :, :, np.newaxis]


def _load() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """All images, uint8 [1797, 8, 8] from 0 to 255, and their labels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / BRIGHTEST)).astype(np.uint8)
    return images, bunch.target.astype(np.int64)
