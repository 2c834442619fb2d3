"""What the original archives of Meta-Dataset's sources have in common: complete as published, split officially."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.errors import DataError
from harness_datasets.class_folders import check_listed, images_by_folder, root_of
from harness_datasets.image_files import Box
from harness_datasets.image_tree import ImageTree, check_classes
from harness_datasets.official_splits import official_split
from harness_datasets.raw_archives import Listing
from harness_datasets.raw_files import RawFolder, Rows

COLOUR = 3

Lists = Callable[[RawFolder, Listing, str], list[str] | None]
"""What an archive says its images are (`<folder>/<image>`), given where it begins; None where it does not say."""


def published_tree(
    source: str,
    version: str,
    raw: RawFolder,
    listing: Listing,
    *,
    root: str,
    classes: Mapping[str, Rows],
    published: Mapping[str, int],
    names: Sequence[str],
    boxes: Mapping[str, Box] | None = None,
) -> ImageTree:
    """The images of an original archive, in Meta-Dataset's split.

    published: split -> number of classes; names: all class names, sorted, in whose order the split was drawn.
    A source without training classes has all of them in its test split, in order.
    Raises DataError unless the classes are those in `names`.
    """
    check_classes(source, raw, {name: len(rows) for name, rows in classes.items()}, names)
    only_test = published["test"] == len(names)
    splits = {"test": names} if only_test else official_split(names, published["train"], published["valid"])
    return ImageTree(
        source=source,
        version=version,
        raw=raw,
        listing=listing,
        root=root,
        classes=classes,
        splits={split: list(chosen) for split, chosen in splits.items()},
        channels=COLOUR,
        boxes=boxes,
    )


def folder_tree(
    source: str,
    version: str,
    raw: RawFolder,
    *,
    inside: str,
    folders: Mapping[str, str],
    lists: Lists,
    published: Mapping[str, int],
    images: int,
) -> ImageTree:
    """The images of an original archive with a folder for each class.

    inside: where in it the folders are, ending in "/"; folders: folder -> class, in the order of the names.
    lists: what names all of the images; images: how many were published, for an archive without those lists.
    Raises DataError unless classes and images are those published.
    """
    listing = raw.listing()
    root = root_of(raw, listing, [f"{inside}{folder}/" for folder in folders], source)
    found = images_by_folder(listing, root + inside)
    tree = published_tree(
        source,
        version,
        raw,
        listing,
        root=root + inside,
        classes={folders.get(folder, folder): rows for folder, rows in found.items()},
        published=published,
        names=list(folders.values()),
    )
    there = [listing.path(row)[len(root + inside) :] for rows in found.values() for row in rows]
    check_complete(raw, source, there, lists(raw, listing, root), "its own list", images)
    return tree


def lists_there(raw: RawFolder, listing: Listing, paths: Sequence[str]) -> dict[str, list[str]] | None:
    """Path -> lines of these text files of an archive; None where one is not there."""
    if any(listing.row(path) is None for path in paths):
        return None
    return {path: lines_of(content, path, raw.location) for path, content in raw.read_few(paths).items()}


def check_complete(
    raw: RawFolder, source: str, there: Collection[str], listed: Collection[str] | None, what: str, total: int
) -> None:
    """Raise DataError unless the images are those that the archive's own list names.

    there, listed: paths of images. Without a list (None) there must be as many images as published, `total`.
    """
    if listed is None:
        if len(there) != total:
            raise DataError(
                f"{raw.location} has {len(there)} images of source {source!r}, not the {total} published, and {what}, "
                "which names them, is not there either. Fetch it again and unpack all of it."
            )
        return
    check_listed(raw.location, source, listed, there, what)
    known = set(listed)
    more = [path for path in there if path not in known]
    if more:
        raise DataError(
            f"{raw.location} has {len(more)} images of source {source!r} that {what} does not name, among them "
            f"{', '.join(more[:3])}: they are not part of it. Remove them, or fetch the archive again."
        )


def lines_of(content: bytes, path: str, location: Path) -> list[str]:
    """The lines of a text file of an archive, without empty ones. Raises DataError for what is no text."""
    try:
        return [line for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError(f"{path} in {location} is no text ({error}). Fetch it again.") from error


def rows_by_name(listing: Listing, folder: str, rows: Rows) -> dict[str, int]:
    """File name -> row, of images that lie directly in `folder`."""
    return {listing.path(row)[len(folder) :]: int(row) for row in rows}


def sorted_rows(rows: Sequence[int]) -> Rows:
    """Rows in the order of their paths."""
    return np.array(sorted(rows), np.intp)
