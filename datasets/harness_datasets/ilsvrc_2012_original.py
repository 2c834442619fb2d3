"""ILSVRC 2012 as ImageNet's images for training are unpacked: a thousand folders `<wnid>/<wnid>_<number>.JPEG`."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from harness.dataset import SPLITS
from harness.errors import DataError
from harness_datasets.ilsvrc_2012_classes import left_out, sizes_of_ilsvrc_2012
from harness_datasets.ilsvrc_2012_graph import classes_of, groups_of
from harness_datasets.image_files import is_image
from harness_datasets.image_tree import ImageTree, check_classes
from harness_datasets.raw_archives import Listing
from harness_datasets.raw_files import RawFolder, Rows, explained, raw_folder_at

COLOUR = 3

KAGGLE = "imagenet-object-localization-challenge"
TOPS = ("ilsvrc_2012", "", "ilsvrc2012", "ILSVRC2012", "imagenet", "ImageNet", KAGGLE)
BELOW = (
    *("", "train", "ILSVRC2012_img_train"),
    *("ILSVRC/Data/CLS-LOC/train", "Data/CLS-LOC/train", "CLS-LOC/train"),
)
"""The class folders are in one of `TOPS` below the folder of raw data, and there in one of `BELOW`."""

IMAGE = re.compile(rb"(n[0-9]{8}_[0-9]+)\.jpe?g", re.IGNORECASE)


def find_ilsvrc_2012_original(source: str, data_dir: Path) -> ImageTree | None:
    """The images for training, less the 403 that Meta-Dataset leaves out; None where there is no such folder.

    A folder is known by more than half of the class folders; what else lies there is not looked at.
    Raises DataError unless every class has all of its images, under the names that ImageNet gives them.
    """
    raw = _class_folders(data_dir)
    return None if raw is None else _tree(source, raw, _stamp(raw))


# To list a million files takes seconds, and a source is asked for its fingerprint and for the classes of each split
# one after the other: this remembers what is in folders to which no image was added and from which none was taken.
@lru_cache(maxsize=2)
def _tree(source: str, raw: RawFolder, stamp: tuple[int, ...]) -> ImageTree:  # noqa: ARG001
    sizes = sizes_of_ilsvrc_2012()
    listing, root = raw.listing(), f"{raw.location.name}/"
    without = frozenset(Path(name).stem.encode() for name in left_out())
    classes = {wnid: _images(raw, listing, f"{root}{wnid}/", without) for wnid in sizes}
    _check_sizes(source, raw, {wnid: len(rows) for wnid, rows in classes.items()}, sizes)
    return ImageTree(
        source=source,
        version="ilsvrc-2012-1",
        raw=raw,
        listing=listing,
        root=root,
        classes=classes,
        splits={split: classes_of(split) for split in SPLITS},
        channels=COLOUR,
        groups={split: groups_of(split) for split in SPLITS},
    )


def _class_folders(data_dir: Path) -> RawFolder | None:
    """The first folder with more than half of the class folders: Tiny ImageNet and its like have fewer of them."""
    wnids = tuple(sizes_of_ilsvrc_2012())
    for place in _places(data_dir):
        with explained(place), os.scandir(place) as entries:
            there = {entry.name for entry in entries if entry.is_dir()}
        if 2 * len(there.intersection(wnids)) > len(wnids) and (raw := raw_folder_at(place)) is not None:
            return replace(raw, only=tuple(wnid for wnid in wnids if wnid in there))
    return None


def _stamp(raw: RawFolder) -> tuple[int, ...]:
    """What changes when an image is added to a folder of a class, removed or renamed: the times of the folders."""
    with explained(raw.location):
        return tuple((raw.location / folder).stat().st_mtime_ns for folder in raw.only)


def _places(data_dir: Path) -> Iterator[Path]:
    return (place for top in TOPS for below in BELOW if (place := data_dir / top / below).is_dir())


def _images(raw: RawFolder, listing: Listing, folder: str, without: Collection[bytes]) -> Rows:
    """Rows of the images that lie in the folder of a class, less those left out.

    Raises DataError for an image that is not called after the class and its number, as `without` calls them.
    """
    start, wnid = folder.encode(), folder.split("/")[-2].encode()
    first, after = np.searchsorted(listing.paths, [start, start[:-1] + b"0"])  # "0" comes right after "/"
    kept = []
    for row, path in enumerate(listing.paths[first:after].tolist(), start=int(first)):
        if not is_image(path):
            continue
        named = IMAGE.fullmatch(path, len(start))
        if named is None or not named[1].startswith(wnid):
            raise DataError(
                f"{path.decode()} in {raw.location} is not called as ImageNet's images of that class are, "
                f"'{wnid.decode()}_10026.JPEG'. Remove it and others like it, or unpack the images again."
            )
        if named[1] not in without:
            kept.append(row)
    return np.array(kept, np.intp)


def _check_sizes(source: str, raw: RawFolder, found: Mapping[str, int], sizes: Mapping[str, int]) -> None:
    """Raise DataError unless every class has all of its images."""
    check_classes(source, raw, found, list(sizes))
    wrong = [wnid for wnid, size in sizes.items() if found[wnid] != size]
    if wrong:
        first, others = wrong[0], f", nor are {len(wrong) - 1} other classes whole" if len(wrong) > 1 else ""
        raise DataError(
            f"{raw.location} is not {source!r} as published: class {first!r} has {found[first]} images, not "
            f"{sizes[first]}{others}. It has {sum(found.values())} of {sum(sizes.values())} images in all, without "
            f"those that Meta-Dataset leaves out. Unpack the images of {first!r} again."
        )
