"""CIFAR-FS, CIFAR-100 and CIFAR-10 (Krizhevsky 2009): photographs of 100 or 10 kinds of things at 32x32."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from harness_datasets.cifar_files import (
    CHANNELS,
    CIFAR_10,
    CIFAR_100,
    CIFAR_FS,
    SIDE,
    Layout,
    Splits,
    find_images,
    find_pickles,
)
from harness_datasets.class_split import ClassSplit
from harness_datasets.image_arrays import ImageArrays
from harness_datasets.image_tree import ImageTree
from harness_datasets.source import Find, RoutedSource
from harness_datasets.tfds_preparing import FetchedByTfds
from harness_datasets.tfds_route import TfdsData, find_tfds, published_labels

IMAGES = 60_000
LICENCE = "not stated by its authors; the images were collected from the web"


@dataclass(frozen=True, kw_only=True)
class CIFARFS(FetchedByTfds, RoutedSource):
    """CIFAR-100 in the class split of Bertinetto and others (2019): 64 train, 16 valid and 20 test classes.

    Routes: `images`, an archive or folder of `<class>/<image>`; `pickles`, the original `cifar-100-python`; `tfds`,
    TFDS's `cifar100`. Of the last two, train and test images are taken together (600 a class).
    """

    name: str = "cifar_fs"

    tfds_builder: ClassVar[str] = "cifar100"
    channels: ClassVar[int] = CHANNELS
    native_size: ClassVar[int | None] = SIDE
    official_classes: ClassVar[Mapping[str, int]] = {"train": 64, "valid": 16, "test": 20}
    official_images: ClassVar[int] = IMAGES
    licence: ClassVar[str] = LICENCE
    how_to_get: ClassVar[str] = (
        "Fetch cifar-100-python.tar.gz (0.2 GB) from www.cs.toronto.edu/~kriz/cifar.html."
    )

    def routes(self) -> Mapping[str, Find]:
        """Images first, then the original pickles, then what TFDS has prepared."""
        return {
            "images": partial(find_images, self.name, "cifar_fs", CIFAR_100, CIFAR_FS),
            "pickles": partial(find_pickles, self.name, "cifar_fs", CIFAR_100, CIFAR_FS),
            "tfds": partial(_find_tfds, "cifar100", CIFAR_100, CIFAR_FS),
        }


@dataclass(frozen=True, kw_only=True)
class CIFAR100(ClassSplit, FetchedByTfds, RoutedSource):  # type: ignore[override]  # `splits` follows from the parameters
    """CIFAR-100 with a class split of your own (see `ClassSplit`); without one all 100 classes are for testing.

    Routes as `CIFARFS`.
    """

    name: str = "cifar_100"

    tfds_builder: ClassVar[str] = "cifar100"
    channels: ClassVar[int] = CHANNELS
    native_size: ClassVar[int | None] = SIDE
    official_images: ClassVar[int] = IMAGES
    licence: ClassVar[str] = LICENCE
    how_to_get: ClassVar[str] = CIFARFS.how_to_get

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_split_parameters()

    def routes(self) -> Mapping[str, Find]:
        """Images first, then the original pickles, then what TFDS has prepared."""
        return {"images": self._find_images, "pickles": self._find_pickles, "tfds": self._find_tfds}

    def _find_images(self, data_dir: Path) -> ImageTree | None:
        return find_images(self.name, "cifar_100", CIFAR_100, self._split(data_dir), data_dir)

    def _find_pickles(self, data_dir: Path) -> ImageArrays | None:
        return find_pickles(self.name, "cifar_100", CIFAR_100, self._split(data_dir), data_dir)

    def _find_tfds(self, data_dir: Path) -> TfdsData | None:
        return _find_tfds("cifar100", CIFAR_100, self._split(data_dir), data_dir)

    def _split(self, data_dir: Path) -> Splits:
        return self.split_classes(CIFAR_100.classes, data_dir, f"Source {self.name!r}")


@dataclass(frozen=True, kw_only=True)
class CIFAR10(FetchedByTfds, RoutedSource):
    """CIFAR-10: its 10 classes are for testing only.

    Routes: `images`, an archive or folder of `<class>/<image>`; `pickles`, the original `cifar-10-python`; `tfds`,
    TFDS's `cifar10`. Of the last two, train and test images are taken together (6000 a class).
    """

    name: str = "cifar_10"

    tfds_builder: ClassVar[str] = "cifar10"
    channels: ClassVar[int] = CHANNELS
    splits: ClassVar[tuple[str, ...]] = ("test",)
    native_size: ClassVar[int | None] = SIDE
    official_classes: ClassVar[Mapping[str, int]] = {"train": 0, "valid": 0, "test": 10}
    official_images: ClassVar[int] = IMAGES
    licence: ClassVar[str] = LICENCE
    how_to_get: ClassVar[str] = (
        "Fetch cifar-10-python.tar.gz (0.2 GB) from www.cs.toronto.edu/~kriz/cifar.html."
    )

    def routes(self) -> Mapping[str, Find]:
        """Images first, then the original pickles, then what TFDS has prepared."""
        splits = {"test": CIFAR_10.classes}
        return {
            "images": partial(find_images, self.name, "cifar_10", CIFAR_10, splits),
            "pickles": partial(find_pickles, self.name, "cifar_10", CIFAR_10, splits),
            "tfds": partial(_find_tfds, "cifar10", CIFAR_10, splits),
        }


def _find_tfds(builder: str, layout: Layout, splits: Splits, data_dir: Path) -> TfdsData | None:
    """What TFDS has prepared, its parts train and test together."""
    return find_tfds(
        data_dir,
        builder,
        parts=("train", "test"),
        class_names=published_labels(builder, layout.classes),
        split_classes=lambda _: splits,
        images=IMAGES,
    )
