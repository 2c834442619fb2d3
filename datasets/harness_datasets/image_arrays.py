"""Images that lie in a few files of many images each: the raw data behind CIFAR, idx files and caches."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.dataset import ClassGroups, ClassImages
from harness_datasets.image_files import array_parts
from harness_datasets.raw_files import Checksum, RawFolder
from harness_datasets.source import Rows

ClassRows = Mapping[str, npt.NDArray[np.intp]]
"""Class -> rows of its images in an array, in class order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageArrays:
    """Images of a source in arrays; a `harness_datasets.source.RawData`. Nothing is read before it is asked for.

    version: begins the fingerprint.
    content: the checksums of the files that the images come from, without the folder they happen to be in.
    load: split -> the images of its file or files, uint8 [n, H, W, C], and which rows are which class's.
    chosen: what decides the split of a class where the files do not; part of the fingerprint.
    """

    version: str
    location: Path
    content: Callable[[], Sequence[Checksum]]
    load: Callable[[str], tuple[npt.NDArray[np.uint8], ClassRows]]
    chosen: str = ""

    def fingerprint(self) -> str:
        """Of the files' content, and of the choice of splits. Raises DataError for a file that cannot be read."""
        digest = hashlib.sha256(repr((list(self.content()), self.chosen)).encode())
        return f"{self.version}-{digest.hexdigest()[:16]}"

    def class_sizes(self, split: str) -> Mapping[str, int]:
        """Class -> number of images, in class order. Raises DataError as loading does."""
        return {name: len(rows) for name, rows in self.load(split)[1].items()}

    def class_groups(self, split: str) -> ClassGroups | None:  # noqa: ARG002
        """None: the classes have no order above them."""
        return None

    def read(self, split: str, wanted: Mapping[str, Rows]) -> Iterator[ClassImages]:
        """Yield the images, in parts of bounded size. Raises DataError as loading does."""
        images, classes = self.load(split)
        for name, places in wanted.items():
            yield from array_parts(name, images, classes[name][places])


def members(raw: RawFolder, names: Sequence[str]) -> dict[str, str]:
    """File name -> path of those of `names` that are there, the nearest to the top where one is there twice."""
    found: dict[str, str] = {}
    paths = sorted((path.decode() for path in raw.listing().paths.tolist()), key=lambda path: path.count("/"))
    for path in paths:
        name = path.rpartition("/")[2]
        if name in names:
            found.setdefault(name, path)
    return found


def member_checksums(raw: RawFolder, paths: Mapping[str, str]) -> list[Checksum]:
    """Checksums of these files (name -> path) under their bare names, sorted."""
    names = {path: name for name, path in paths.items()}
    return sorted((names[path], crc, size) for path, crc, size in raw.checksums(names.__contains__))
