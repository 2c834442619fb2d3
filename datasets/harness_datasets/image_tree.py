"""Images in classes that lie in a folder or archive: the raw data behind most sources."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.dataset import ClassGroups, ClassImages
from harness.errors import DataError
from harness_datasets.image_files import UNREADABLE, Box, Pixels, decode, in_parts
from harness_datasets.raw_archives import Listing
from harness_datasets.raw_files import RawFolder, Rows
from harness_datasets.source import Rows as Places

CHECKSUM_LIMIT = 50_000


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageTree:
    """Images of a source, one file each; a `harness_datasets.source.RawData`.

    source: its name, for messages. version: begins the fingerprint; a new one where the reader changes.
    root: what all paths begin with and what is no content (the folder's own name), "" or ending in "/".
    classes: class -> rows of its images in `listing`, in order. splits: split -> its classes, in order.
    boxes: path without root -> what to crop the image to; None to crop none.
    side: pixels a side that every image must have; None for any size.
    skipped: images left out because they cannot be decoded, and said so in the fingerprint.
    groups: split -> the groups of its classes; None for a source whose classes have no order above them.
    """

    source: str
    version: str
    raw: RawFolder
    listing: Listing
    root: str
    classes: Mapping[str, Rows]
    splits: Mapping[str, Sequence[str]]
    channels: int
    boxes: Mapping[str, Box] | None = None
    side: int | None = None
    skipped: int = 0
    groups: Mapping[str, ClassGroups] | None = None

    @property
    def location(self) -> Path:
        """The archive or folder."""
        return self.raw.location

    def fingerprint(self) -> str:
        """Of every image's split, class, path, content and crop, and of the groups: the same for archive and folder.

        The content is its size and CRC-32; for more than 50,000 images its size alone, so that a plan on a
        million of them takes seconds: there an image exchanged for one of equal size in bytes goes unnoticed.
        Raises DataError for an image that cannot be read in full.
        """
        split_of = {name: split for split, names in self.splits.items() for name in names}
        rows = np.concatenate([np.zeros(0, np.intp), *(self.classes[name] for name in split_of)])
        crcs = (
            self.raw.crcs(self.listing, rows)
            if len(rows) <= CHECKSUM_LIMIT
            else np.zeros(len(rows), np.uint32)
        )
        digest, at = hashlib.sha256(), 0
        for name, split in split_of.items():
            digest.update(f"{split}\0{name}\n".encode())
            for row in self.classes[name]:
                path = self._path(row)
                box = "" if self.boxes is None else f"\0{self.boxes[path]}"
                digest.update(f"{path}\0{self.listing.sizes[row]}\0{crcs[at]}{box}\n".encode())
                at += 1
        for split, groups in (self.groups or {}).items():
            for group, members in groups.members.items():
                digest.update(f"{split}\0{groups.kind}\0{group}\0{' '.join(members)}\n".encode())
        skipped = f"-without-{self.skipped}" if self.skipped else ""
        return f"{self.version}-{digest.hexdigest()[:16]}{skipped}"

    def class_sizes(self, split: str) -> Mapping[str, int]:
        """Class -> number of images, in class order."""
        return {name: len(self.classes[name]) for name in self.splits.get(split, ())}

    def class_groups(self, split: str) -> ClassGroups | None:
        """The groups of the split's classes, None where there are none."""
        return None if self.groups is None else self.groups.get(split)

    def read(self, split: str, wanted: Mapping[str, Places]) -> Iterator[ClassImages]:  # noqa: ARG002
        """Yield the images; parts have one size. Raises DataError for one that cannot be decoded, naming it."""
        with self.raw.reader() as read:
            for name, places in wanted.items():
                rows = self.classes[name][places]
                yield from in_parts(
                    name, (self._decoded(name, row, read(self.listing.path(row))) for row in rows)
                )

    def unreadable(self, name: str) -> dict[int, str]:
        """Row -> what is wrong, for the images of a class that cannot be decoded. Decodes all of them."""
        wrong = {}
        with self.raw.reader() as read:
            for row in self.classes[name]:
                try:
                    self._decoded(name, row, read(self.listing.path(row)))
                except DataError as error:
                    wrong[int(row)] = str(error)
        return wrong

    def _decoded(self, name: str, row: int, content: bytes) -> Pixels:
        path = self._path(row)
        try:
            pixels = decode(content, self.channels, None if self.boxes is None else self.boxes[path])
        except UNREADABLE as error:
            raise DataError(
                f"{path} in {self.location}, of class {name!r} of source {self.source!r}, is no readable image "
                f"({error}). Fetch it again, or remove it on purpose."
            ) from error
        if self.side is not None and pixels.shape[:2] != (self.side, self.side):
            raise DataError(
                f"{path} in {self.location} is {pixels.shape[1]}x{pixels.shape[0]} pixels, but the images of source "
                f"{self.source!r} are {self.side}x{self.side}: fetch them in that size."
            )
        return pixels

    def _path(self, row: int) -> str:
        return self.listing.path(row)[len(self.root) :]


def check_classes(
    source: str,
    raw: RawFolder,
    found: Mapping[str, int],
    published: Sequence[str],
    images: int | None = None,
) -> None:
    """Raise DataError unless the classes are those published, and so many images in all.

    found: class -> number of images that are there; an empty class counts as missing.
    """
    missing = [name for name in published if not found.get(name)]
    known = set(published)
    extra = [name for name in found if name not in known]
    if missing or extra:
        said = [
            f"{len(names)} {what}: {_some(names)}"
            for names, what in ((missing, "missing"), (extra, "unknown"))
            if names
        ]
        raise DataError(
            f"{raw.location} is not {source!r} as published: of its {len(published)} classes {'; '.join(said)}. "
            "Fetch it again and unpack all of it, or read it as a source of your own with ImageFolder."
        )
    total = sum(found.values())
    if images is not None and total != images:
        raise DataError(
            f"{raw.location} is not {source!r} as published: it has {total} images, not {images}. "
            "Fetch it again and unpack all of it, or read it as a source of your own with ImageFolder."
        )


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
