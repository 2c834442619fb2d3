"""MNIST and the sets made in its likeness: ten classes of grey 28x28 images in idx files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from harness.errors import DataError, named_choices
from harness.parameters import check_choice
from harness_datasets.class_split import ClassSplit
from harness_datasets.idx_files import PARTS, SIDE, IdxPart, Pair, find_pairs, join, read_pair
from harness_datasets.image_arrays import ClassRows, ImageArrays
from harness_datasets.raw_files import Checksum
from harness_datasets.source import AUTO, Find, RoutedSource
from harness_datasets.tfds_preparing import FetchedByTfds
from harness_datasets.tfds_route import TfdsData, find_tfds, published_labels

BOTH = "both"
TFDS_PARTS = {"train": ("train", 60_000), "t10k": ("test", 10_000)}
"""Part -> what TFDS calls it, and its images."""


@dataclass(frozen=True, kw_only=True)
class IdxSource(ClassSplit, FetchedByTfds, RoutedSource):  # type: ignore[override]  # `splits` follows from the parameters
    """A source in the pairs of idx files `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, `t10k-...`,
    or as TFDS has prepared it.

    Files may be compressed (.gz) or not, in `<data>/<folder>` for one of the plugin's `folders`; never in `<data>`
    itself under another name, as the files of MNIST, Fashion-MNIST and KMNIST are called the same. All classes are
    for testing unless `ClassSplit`'s parameters say otherwise.

    Args:
        parts: "train" or "t10k" for one pair, "both" for both; "auto" takes those that are there, and the
            fingerprint says which.
    """

    parts: str = AUTO

    channels: ClassVar[int] = 1
    native_size: ClassVar[int | None] = SIDE
    classes: ClassVar[tuple[str, ...]]
    folders: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_split_parameters()
        check_choice(f"{type(self).__name__}.parts", self.parts, (AUTO, BOTH, *PARTS))

    def routes(self) -> Mapping[str, Find]:
        """The idx files, and what TFDS has prepared of them."""
        return {"idx": self._find, "tfds": self._find_tfds}

    def _find(self, data_dir: Path) -> ImageArrays | None:
        folder = next((place for place in self._places(data_dir) if find_pairs(place)), None)
        if folder is None:
            return None
        pairs = self._wanted(folder)
        splits = self.split_classes(self.classes, data_dir, f"Source {self.name!r}")

        def load(split: str) -> tuple[npt.NDArray[np.uint8], ClassRows]:
            images, labels = join(self._read(pairs))
            return images, {
                name: np.flatnonzero(labels == self.classes.index(name)) for name in splits[split]
            }

        def content() -> list[Checksum]:
            return [
                (part, read.crc, read.images.size)
                for part, read in zip(pairs, self._read(pairs), strict=True)
            ]

        return ImageArrays(
            version=f"idx-1-{'+'.join(pairs)}",
            location=folder,
            content=content,
            load=load,
            chosen=repr(splits),
        )

    def _find_tfds(self, data_dir: Path) -> TfdsData | None:
        parts = {AUTO: TFDS_PARTS, BOTH: TFDS_PARTS, **{p: {p: TFDS_PARTS[p]} for p in PARTS}}[self.parts]
        return find_tfds(
            data_dir,
            self.tfds_builder,
            parts=[part for part, _ in parts.values()],
            class_names=published_labels(self.tfds_builder, self.classes),
            split_classes=lambda _: self.split_classes(self.classes, data_dir, f"Source {self.name!r}"),
            channels=self.channels,
            images=sum(images for _, images in parts.values()),
        )

    def _places(self, data_dir: Path) -> list[Path]:
        """Where the files may be; torchvision keeps them in `<folder>/raw`."""
        below = [data_dir / folder for folder in self.folders]
        own = [place for place in (data_dir, data_dir.parent) if place.name in self.folders]
        return [inside for place in (*below, *own) for inside in (place, place / "raw")]

    def _wanted(self, folder: Path) -> dict[str, Pair]:
        """The pairs of files that are read. Raises DataError where one that was asked for is not there."""
        pairs = find_pairs(folder)
        wanted = {AUTO: tuple(pairs), BOTH: PARTS}.get(self.parts, (self.parts,))
        missing = [part for part in wanted if part not in pairs]
        if missing:
            raise DataError(
                f"{type(self).__name__}.parts is {self.parts!r}, but {folder} has only the files of "
                f"{named_choices(pairs)}: fetch those of {named_choices(missing)} too, or set parts to "
                f"{next(iter(pairs))!r}."
            )
        return {part: pairs[part] for part in wanted}

    def _read(self, pairs: Mapping[str, Pair]) -> list[IdxPart]:
        parts = [read_pair(pair, len(self.classes)) for pair in pairs.values()]
        present = set(np.unique(np.concatenate([part.labels for part in parts])).tolist())
        absent = [name for number, name in enumerate(self.classes) if number not in present]
        if absent:
            where = next(iter(pairs.values()))[1]
            raise DataError(
                f"{where} has no image of {named_choices(absent)} of source {self.name!r}. Fetch it again."
            )
        return parts


@dataclass(frozen=True, kw_only=True)
class MNIST(IdxSource):
    """Handwritten digits (LeCun and others 1998), bright ink on black; see `IdxSource`."""

    name: str = "mnist"

    tfds_builder: ClassVar[str] = "mnist"
    classes: ClassVar[tuple[str, ...]] = tuple("0123456789")
    folders: ClassVar[tuple[str, ...]] = ("mnist", "MNIST")
    official_images: ClassVar[int] = 70_000
    licence: ClassVar[str] = "CC BY-SA 3.0, as is commonly said"
    how_to_get: ClassVar[str] = (
        "Put its idx files, as torchvision or yann.lecun.com/exdb/mnist have them, into a folder `mnist`."
    )


@dataclass(frozen=True, kw_only=True)
class FashionMNIST(IdxSource):
    """Pieces of clothing (Xiao and others 2017), bright on black; see `IdxSource`."""

    name: str = "fashion_mnist"

    tfds_builder: ClassVar[str] = "fashion_mnist"
    classes: ClassVar[tuple[str, ...]] = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    folders: ClassVar[tuple[str, ...]] = ("fashion_mnist", "fashion-mnist", "FashionMNIST")
    official_images: ClassVar[int] = 70_000
    licence: ClassVar[str] = "MIT"
    how_to_get: ClassVar[str] = (
        "Put its idx files, from github.com/zalandoresearch/fashion-mnist, into a folder `fashion_mnist`."
    )


@dataclass(frozen=True, kw_only=True)
class KMNIST(IdxSource):
    """Handwritten hiragana (Clanuwat and others 2018), bright ink on black; see `IdxSource`."""

    name: str = "kmnist"

    tfds_builder: ClassVar[str] = "kmnist"
    classes: ClassVar[tuple[str, ...]] = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    folders: ClassVar[tuple[str, ...]] = ("kmnist", "KMNIST")
    official_images: ClassVar[int] = 70_000
    licence: ClassVar[str] = "CC BY-SA 4.0"
    how_to_get: ClassVar[str] = "Put its idx files, from github.com/rois-codh/kmnist, into a folder `kmnist`."
