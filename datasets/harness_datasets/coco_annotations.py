"""The annotation file of MS COCO 2017, `instances_train2017.json`: 450 MB of JSON, of which four numbers an object
are kept."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness_datasets.coco_categories import check_categories, check_published
from harness_datasets.coco_objects import ObjectIndex, index_objects
from harness_datasets.json_stream import take_elements


@dataclass(frozen=True, kw_only=True, eq=False)
class Annotations:
    """What the conversion needs of an annotation file, as arrays, in the order of the file.

    image_ids: of the photographs, int64 [m]; image_sizes: their width and height, int32 [m, 2]. Of each object:
    categories: its place among the categories, photographs: its photograph's id, both int64 [n]; boxes: x, y,
    width and height in pixels, float64 [n, 4].
    """

    image_ids: npt.NDArray[np.int64]
    image_sizes: npt.NDArray[np.int32]
    categories: npt.NDArray[np.int64]
    photographs: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float64]

    def indexed(self) -> ObjectIndex:
        """Where the objects are, photographs being numbered by their ids."""
        order = np.argsort(self.image_ids)
        places = order[np.searchsorted(self.image_ids, self.photographs, sorter=order)]
        return index_objects(self.categories, self.photographs, self.boxes, self.image_sizes[places])


def read_annotations(stream: IO[bytes], where: Path, again: str) -> Annotations:
    """Read an annotation file. where: what holds it; again: the next step, both for messages.

    Raises DataError for what is no such file, or not of all of train2017 as published.
    """
    read = _Reading()
    take = {"images": read.image, "annotations": read.annotation, "categories": read.category}
    try:
        take_elements(stream, take)
    except ValueError as error:
        raise DataError(
            f"The annotations in {where} are damaged or none of COCO: {error}. {again}"
        ) from error
    ids = sorted(read.names)
    check_categories([read.names[number] for number in ids], where, again)
    found = Annotations(
        image_ids=np.array(read.ids, np.int64),
        image_sizes=np.array(read.sizes, np.int32).reshape(-1, 2),
        categories=np.searchsorted(ids, np.array(read.categories, np.int64)).astype(np.int64),
        photographs=np.array(read.photographs, np.int64),
        boxes=np.array(read.boxes, np.float64).reshape(-1, 4),
    )
    _check(found, np.isin(np.array(read.categories, np.int64), ids), where, again)
    return found


def _check(found: Annotations, known: npt.NDArray[np.bool_], where: Path, again: str) -> None:
    """Raise DataError for annotations that contradict one another, and for more or fewer than were published."""
    check_published(len(found.image_ids), len(found.boxes), where, again)
    said = None
    if len(np.unique(found.image_ids)) < len(found.image_ids):
        said = "a photograph is named twice"
    elif not known.all():
        said = "an object has no category"
    elif not np.isin(found.photographs, found.image_ids).all():
        said = "an object is in no photograph"
    elif not (np.abs(found.boxes) < 1e6).all() or not (found.image_sizes > 0).all():
        said = "a size or a box is not a number of pixels"
    if said is not None:
        raise DataError(f"The annotations in {where} do not fit together: {said}. {again}")


@dataclass(frozen=True)
class _Reading:
    """Numbers read so far, 8 bytes each."""

    ids: "array[int]" = field(default_factory=lambda: array("q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    photographs: "array[int]" = field(default_factory=lambda: array("q"))
    categories: "array[int]" = field(default_factory=lambda: array("q"))
    boxes: "array[float]" = field(default_factory=lambda: array("d"))
    names: dict[int, str] = field(default_factory=dict)

    def image(self, element: Mapping[str, Any]) -> None:
        self.ids.append(element["id"])
        self.sizes.extend((element["width"], element["height"]))

    def annotation(self, element: Mapping[str, Any]) -> None:
        x, y, width, height = element["bbox"]
        self.photographs.append(element["image_id"])
        self.categories.append(element["category_id"])
        self.boxes.extend((x, y, width, height))

    def category(self, element: Mapping[str, Any]) -> None:
        self.names[int(element["id"])] = str(element["name"])
