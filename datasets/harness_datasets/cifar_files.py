"""The forms in which people have CIFAR-10 and CIFAR-100 (Krizhevsky 2009), and the names of their classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness_datasets.class_folders import find_classes
from harness_datasets.image_arrays import ClassRows, ImageArrays, member_checksums, members
from harness_datasets.image_files import is_image
from harness_datasets.image_tree import ImageTree, check_classes
from harness_datasets.raw_files import RawFolder, look_for
from harness_datasets.safe_pickle import entry, load_pickle

SIDE, CHANNELS = 32, 3
Splits = Mapping[str, Sequence[str]]
"""Split -> its classes, in order."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One of the two data sets. images, pickles: what an archive or folder of each form is called.

    batches: the pickles of images; labels: the key of their classes' numbers; meta, names: file and key of the names.
    """

    classes: tuple[str, ...]
    images: tuple[str, ...]
    pickles: tuple[str, ...]
    batches: tuple[str, ...]
    labels: str
    meta: str
    names: str


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CIFAR_10 = Layout(
    classes=_words("airplane automobile bird cat deer dog frog horse ship truck"),
    images=("cifar10", "cifar10[!0]*", "cifar_10", "cifar_10[!0]*"),
    pickles=("cifar-10-python", "cifar-10-batches-py"),
    batches=(*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"),
    labels="labels",
    meta="batches.meta",
    names="label_names",
)

CIFAR_FS: Splits = {
    "train": _words(
        """
        apple aquarium_fish bear bee bottle bowl boy bridge bus can castle caterpillar chair clock cloud
        cockroach couch cup dinosaur dolphin elephant forest girl hamster house kangaroo keyboard lawn_mower lion
        lizard lobster mountain mouse mushroom oak_tree orange orchid palm_tree pear pine_tree plate porcupine
        possum rabbit raccoon ray road seal shrew skunk skyscraper snake spider squirrel streetcar sunflower tank
        tiger train trout tulip turtle willow_tree wolf
        """
    ),
    "valid": _words(
        """
        beaver beetle butterfly camel cattle crab crocodile flatfish lamp maple_tree motorcycle otter sea shark
        television tractor
        """
    ),
    "test": _words(
        """
        baby bed bicycle chimpanzee fox leopard man pickup_truck plain poppy rocket rose snail sweet_pepper table
        telephone wardrobe whale woman worm
        """
    ),
}
"""The class split of CIFAR-FS (Bertinetto and others 2019): 64, 16 and 20 of CIFAR-100's classes."""

CIFAR_100 = Layout(
    classes=tuple(sorted(name for names in CIFAR_FS.values() for name in names)),
    images=("cifar-fs*", "cifar_fs*", "cifarfs*", "cifar100*", "cifar_100*"),
    pickles=("cifar-100-python",),
    batches=("train", "test"),
    labels="fine_labels",
    meta="meta",
    names="fine_label_names",
)


def find_images(source: str, folder: str, layout: Layout, splits: Splits, data_dir: Path) -> ImageTree | None:
    """An archive or folder of `<class>/<image>`, 32x32; `folder` is where it may lie below `data_dir`."""
    raw = look_for(folder, data_dir, layout.images)
    if raw is None:
        return None
    listing = raw.listing()
    if not any(is_image(path) for path in listing.paths.tolist()):
        return None
    root, classes = find_classes(raw, listing, "", source)
    check_classes(source, raw, {name: len(rows) for name, rows in classes.items()}, layout.classes)
    return ImageTree(
        source=source,
        version="cifar-1",
        raw=raw,
        listing=listing,
        root=root,
        classes=classes,
        splits=splits,
        channels=CHANNELS,
        side=SIDE,
    )


def find_pickles(
    source: str, folder: str, layout: Layout, splits: Splits, data_dir: Path
) -> ImageArrays | None:
    """The original `cifar-*-python`: pickled batches. Published train and test images are taken together."""
    files = (*layout.batches, layout.meta)
    raw = look_for(folder, data_dir, layout.pickles, inside=files)
    if raw is None:
        return None
    found = members(raw, files)
    if not found:
        return None
    missing = [file for file in files if file not in found]
    if missing:
        raise DataError(
            f"{raw.location} lacks {', '.join(missing)} of source {source!r}. Fetch it again and unpack all of it."
        )

    def load(split: str) -> tuple[npt.NDArray[np.uint8], ClassRows]:
        return _load(raw, found, layout, splits[split])

    return ImageArrays(
        version="cifar-python-1",
        location=raw.location,
        content=lambda: member_checksums(raw, found),
        load=load,
        chosen=repr({split: list(names) for split, names in splits.items()}),
    )


def _load(
    raw: RawFolder, found: Mapping[str, str], layout: Layout, wanted: Sequence[str]
) -> tuple[npt.NDArray[np.uint8], ClassRows]:
    """The images of all batches, [n, 32, 32, 3], and the rows of the wanted classes."""
    with raw.opener() as opened:
        contents = {
            file: load_pickle(lambda path=path: opened(path), path, raw.location)  # type: ignore[misc]
            for file, path in found.items()
        }
    names = entry(contents[layout.meta], layout.names, layout.meta, raw.location)
    if [name.decode() if isinstance(name, bytes) else name for name in names] != list(layout.classes):
        raise DataError(
            f"{layout.meta} in {raw.location} does not name the published classes. Fetch it again."
        )
    images, labels = [], []
    for file in layout.batches:
        pixels = np.asarray(entry(contents[file], "data", file, raw.location))
        numbers = np.asarray(entry(contents[file], layout.labels, file, raw.location))
        if pixels.dtype != np.uint8 or pixels.shape != (len(numbers), CHANNELS * SIDE * SIDE):
            raise DataError(
                f"{file} in {raw.location} holds {pixels.dtype} {pixels.shape} for {len(numbers)} labels, not uint8 "
                f"({len(numbers)}, {CHANNELS * SIDE * SIDE}). Fetch it again."
            )
        if numbers.dtype.kind not in "iu" or not np.isin(numbers, np.arange(len(layout.classes))).all():
            raise DataError(
                f"{file} in {raw.location} has labels other than 0 to {len(layout.classes) - 1}. Fetch it again."
            )
        images.append(pixels)
        labels.append(numbers)
    together, label = np.concatenate(images), np.concatenate(labels)
    number = {name: at for at, name in enumerate(layout.classes)}
    rows = {name: np.flatnonzero(label == number[name]) for name in wanted}
    return together.reshape(-1, CHANNELS, SIDE, SIDE).transpose(0, 2, 3, 1), rows
