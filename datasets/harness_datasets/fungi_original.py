"""FGVCx Fungi 2018 as published: the folder `images` with the lists `train.json` and `val.json`."""

import hashlib
import io
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import DataError
from harness_datasets.class_folders import check_listed, root_of
from harness_datasets.image_tree import ImageTree
from harness_datasets.json_stream import take_elements
from harness_datasets.original_archives import published_tree
from harness_datasets.raw_archives import Listing
from harness_datasets.raw_files import FOLDER, RawFolder, find_raw_folder, look_for

IMAGES, ANNOTATIONS = "fungi_train_val", "train_val_annotations"
"""What the archives are called."""

FOLDER_OF_IMAGES = "images"
LISTS = ("train.json", "val.json")

_DIGEST = "e7f630f5ff450e38707ad7ba488a32001477eb394641d4e394c7529915940fdd"
"""SHA-256 of the classes in the order of their numbers, a line each."""

_AGAIN = f"Fetch {ANNOTATIONS}.tgz again and put {LISTS[0]} and {LISTS[1]} beside `{FOLDER_OF_IMAGES}`."


def find_original_fungi(
    source: str, published: Mapping[str, int], images: int, data_dir: Path
) -> ImageTree | None:
    """The images of the lists for training and validation, taken together; None where there are none.

    A class is `0123.Name` with the number of its category, as some categories share a name. Its images are in the
    order of the lists. Of more images that lie with them, such as those for testing, the species is not known: they
    are passed over.
    Raises DataError where the lists are missing, or are not those of all 1394 species and `images` images.
    """
    raw = _images(data_dir)
    if raw is None:
        return None
    listing = raw.listing()
    root = root_of(raw, listing, [f"{FOLDER_OF_IMAGES}/"], source)
    lists, where = _lists(source, raw, listing, root)
    read = _Reading()
    for name, content in zip(LISTS, lists, strict=True):
        read.add(name, content, where)
    labels, files = read.classes(where)
    _check(labels, sum(map(len, files.values())), images, where)
    rows = {path.decode(): row for row, path in enumerate(listing.paths.tolist())}
    listed = [root + path for paths in files.values() for path in paths]
    check_listed(raw.location, source, listed, rows.keys(), " and ".join(LISTS))
    return published_tree(
        source,
        "fungi-1",
        raw,
        listing,
        root=root,
        classes={label: np.array([rows[root + path] for path in files[label]], np.intp) for label in labels},
        published=published,
        names=labels,
    )


def _images(data_dir: Path) -> RawFolder | None:
    found = look_for("fungi", data_dir, (IMAGES,), inside=(FOLDER_OF_IMAGES, *LISTS))
    place = data_dir / "fungi"
    if found is None and (place / FOLDER_OF_IMAGES).is_dir():
        return RawFolder(location=place, form=FOLDER, only=(FOLDER_OF_IMAGES,))
    return found


def _lists(source: str, raw: RawFolder, listing: Listing, root: str) -> tuple[list[bytes], Path]:
    """The lists, and what they are in: with the images, beside them, or in the archive they come in."""
    paths = [root + name for name in LISTS]
    if all(listing.row(path) is not None for path in paths):
        return list(raw.read_few(paths).values()), raw.location
    for place in (raw.location, raw.location.parent):
        if all((place / name).is_file() for name in LISTS):
            beside = RawFolder(location=place.resolve(), form=FOLDER, only=LISTS)
            return list(beside.read_few([f"{beside.location.name}/{name}" for name in LISTS]).values()), place
        packed = find_raw_folder(ANNOTATIONS, [place])
        if packed is not None:
            ends = {path.rpartition("/")[2]: path for path in packed.paths()}
            if all(name in ends for name in LISTS):
                content = packed.read_few([ends[name] for name in LISTS])
                return [content[ends[name]] for name in LISTS], packed.location
    raise DataError(
        f"Source {source!r} has its images in {raw.location}, but not the lists of what they show, {LISTS[0]} and "
        f"{LISTS[1]}: fetch {ANNOTATIONS}.tgz from the page of the challenge and put it beside them."
    )


def _check(labels: list[str], there: int, images: int, where: Path) -> None:
    """Raise DataError unless these are the published species, and so many images."""
    if hashlib.sha256("".join(f"{label}\n" for label in labels).encode()).hexdigest() != _DIGEST:
        raise DataError(
            f"The {len(labels)} categories of the lists in {where} are not the 1394 species of FGVCx Fungi 2018, by "
            f"which the official split was drawn. {_AGAIN}"
        )
    if there != images:
        raise DataError(f"The lists in {where} name {there} images with a species, not {images}. {_AGAIN}")


@dataclass(frozen=True)
class _Reading:
    """What the lists say so far. names: category -> its name; files: image -> its path; kinds: image -> category."""

    names: dict[int, str] = field(default_factory=dict)
    files: dict[int, str] = field(default_factory=dict)
    kinds: dict[int, int] = field(default_factory=dict)

    def add(self, name: str, content: bytes, where: Path) -> None:
        """Read one list. Raises DataError for what is none, or contradicts what was read before."""
        take = {"images": self._image, "annotations": self._annotation, "categories": self._category}
        try:
            take_elements(io.BytesIO(content), take)
        except ValueError as error:
            raise DataError(f"{name} in {where} is damaged or none of Fungi: {error}. {_AGAIN}") from error

    def classes(self, where: Path) -> tuple[list[str], dict[str, list[str]]]:
        """The classes in order, and class -> paths of its images. Raises DataError for images without a category."""
        labels = {number: f"{number:04}.{self.names[number]}" for number in sorted(self.names)}
        files: dict[str, list[str]] = defaultdict(list)
        for image, path in self.files.items():
            label = labels.get(self.kinds.get(image, -1))
            if label is None:
                raise DataError(f"The lists in {where} do not say which species {path} shows. {_AGAIN}")
            files[label].append(path)
        return list(labels.values()), files

    def _image(self, element: Mapping[str, Any]) -> None:
        self._once(self.files, int(element["id"]), str(element["file_name"]))

    def _annotation(self, element: Mapping[str, Any]) -> None:
        self._once(self.kinds, int(element["image_id"]), int(element["category_id"]))

    def _category(self, element: Mapping[str, Any]) -> None:
        """Both lists name all categories."""
        number, name = int(element["id"]), str(element["name"])
        if self.names.setdefault(number, name) != name:
            raise ValueError(f"{number} has two names")

    @staticmethod
    def _once(known: dict[int, Any], number: int, value: Any) -> None:
        if number in known:
            raise ValueError(f"{number} comes twice")
        known[number] = value
