"""Sources that draw their images: no raw data, every pixel a function of the parameters.

The traits of a class come from a generator of its own, and so does each of its images: they are the same in
every process. Images are drawn large and reduced by the harness, so that one image looks the same at every size.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from harness.dataset import SPLITS, ClassImages
from harness.parameters import check_name, check_split, check_whole
from harness.seeds import counter_rng

TRAIN_SHARE, VALID_SHARE = 0.60, 0.15


@dataclass(frozen=True, kw_only=True)
class DrawnSource(ABC):
    """What the drawing sources share. A subclass says what a class is and how an image of it is drawn.

    Args:
        name: the source's name.
        n_classes: classes in all; 60 % are train, 15 % valid, 25 % test, in class order.
        images_per_class: images of each class.
        seed: another seed gives other classes.

    Raises ConfigError for a parameter out of range.
    """

    name: str
    n_classes: int
    images_per_class: int = 20
    seed: int = 0

    version: ClassVar[str]
    channels: ClassVar[int]
    native_size: ClassVar[int]
    splits: ClassVar[tuple[str, ...]] = SPLITS
    needs_data: ClassVar[bool] = False
    licence: ClassVar[str] = "none needed: the program draws it"
    most_classes: ClassVar[int] = 10_000

    def __post_init__(self) -> None:
        plugin = type(self).__name__
        check_name(plugin, self.name)
        check_whole(f"{plugin}.n_classes", self.n_classes, low=20, high=self.most_classes)
        check_whole(f"{plugin}.images_per_class", self.images_per_class, low=2, high=10_000)
        check_whole(f"{plugin}.seed", self.seed, low=0, high=2**31 - 1)

    @abstractmethod
    def traits(self, index: int) -> Any:
        """What makes class `index` that class."""

    @abstractmethod
    def draw(self, traits: Any, rng: np.random.Generator) -> Image.Image:
        """One image of a class, square, of any size: mode L or RGB, as `channels` says."""

    def class_rng(self, index: int) -> np.random.Generator:
        """The generator of the traits of class `index`."""
        return counter_rng(self.seed, f"{self.version}/class", index)

    def class_images(self, index: int, count: int) -> npt.NDArray[np.uint8]:
        """The first `count` images of class `index`: uint8 [count, H, W, channels]."""
        traits, stream = self.traits(index), f"{self.version}/class {index}"
        images = [self.draw(traits, counter_rng(self.seed, stream, k)) for k in range(count)]
        drawn = np.stack([np.asarray(image, dtype=np.uint8) for image in images])
        return drawn if drawn.ndim == 4 else drawn[..., np.newaxis]

    def fingerprint(self, data_dir: Path | None) -> str:  # noqa: ARG002
        """The version and a digest of three images of each of five classes.

        It depends on this package's drawing code and on the numpy and Pillow that run it: whatever changes
        the pixels changes it.
        """
        digest = hashlib.sha256()
        for index in range(0, self.n_classes, -(-self.n_classes // 5)):
            digest.update(self.class_images(index, min(3, self.images_per_class)).tobytes())
        return f"{self.version}-{digest.hexdigest()[:16]}"

    def class_sizes(self, split: str, data_dir: Path | None) -> Mapping[str, int]:  # noqa: ARG002
        """`glyphs0000`, `glyphs0001`, ... -> `images_per_class`. Raises DataError for an unknown split."""
        return {self._class_name(index): self.images_per_class for index in self._indices(split)}

    def read(self, split: str, classes: Sequence[str], data_dir: Path | None) -> Iterator[ClassImages]:  # noqa: ARG002
        """Draw `classes`. Raises DataError for an unknown split."""
        numbers = {self._class_name(index): index for index in self._indices(split)}
        for name in classes:
            yield name, self.class_images(numbers[name], self.images_per_class)

    def _class_name(self, index: int) -> str:
        return f"{type(self).__name__.lower()}{index:04}"

    def _indices(self, split: str) -> range:
        check_split(self.name, split, self.splits)
        train, valid = round(TRAIN_SHARE * self.n_classes), round(VALID_SHARE * self.n_classes)
        return {
            "train": range(train),
            "valid": range(train, train + valid),
            "test": range(train + valid, self.n_classes),
        }[split]
