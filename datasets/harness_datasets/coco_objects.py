"""Objects cut out of the photographs of MS COCO 2017, as Meta-Dataset's conversion does (arXiv 1903.03096).

Every annotated object of `train2017` is an image of its category, crowds included. Its box is enlarged by a fifth
about its centre, and the pixels that it touches are cut out. The conversion keeps each of them as a JPEG file with
Pillow's settings, so that step is made here too: the pixels are those of Meta-Dataset's records but for what two
decoders of one file differ in, while without it they would lack the blur and blocks that methods are compared on.
Two objects that both fill a photograph may be cut out alike: one image in two classes, here as in the records.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from harness.dataset import ClassGroups, ClassImages
from harness.errors import DataError
from harness_datasets.coco_categories import CATEGORIES, VALID
from harness_datasets.image_files import COLOUR, UNREADABLE, Pixels, in_parts
from harness_datasets.kept_arrays import keep_arrays, kept_arrays
from harness_datasets.official_splits import official_split
from harness_datasets.source import Rows

VERSION = 1
FOLDER = "coco-index"
SCALE = 1.2
ARRAYS = ("starts", "photographs", "edges", "sizes")

Edges = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


def edges_of(boxes: Floats, sizes: Edges) -> Edges:
    """The left, upper, right and lower edges to crop to, int32 [n, 4]; right <= left or lower <= upper is no crop.

    boxes: x, y, width and height in pixels, [n, 4]. sizes: width and height of the photograph, [n, 2].
    Boxes have two decimals, so that one edge in a thousand lies halfway between pixels: the order of the float64
    operations is that of the conversion, and halves are rounded to even numbers as there.
    """
    starts, spans = boxes[:, :2], boxes[:, 2:]
    starts = starts - 0.5 * spans * (SCALE - 1.0)
    spans = spans * SCALE
    low = np.maximum(np.rint(starts - 0.5), 0)
    high = np.minimum(np.rint(starts + spans - 0.5) + 1, sizes)
    return np.concatenate([low, high], axis=1).astype(np.int32)


def cut(photograph: Image.Image, edges: tuple[int, int, int, int]) -> Pixels:
    """An object of an RGB photograph, uint8 [H, W, 3], by way of a JPEG file with Pillow's settings."""
    file = io.BytesIO()
    photograph.crop(edges).save(file, "JPEG")
    with Image.open(file) as image:
        return np.array(image, dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class ObjectIndex:
    """The objects of category k are those from `starts[k]` to before `starts[k + 1]`, in the order of photographs.

    photographs: the number by which the photograph of each object is read, int64 [n]. edges: as `edges_of` gives
    them. sizes: width and height of the photograph.
    """

    starts: npt.NDArray[np.int64]
    photographs: npt.NDArray[np.int64]
    edges: Edges
    sizes: Edges


def index_objects(
    categories: npt.NDArray[np.int64], photographs: npt.NDArray[np.int64], boxes: Floats, sizes: Edges
) -> ObjectIndex:
    """Put objects in order; those with an empty crop are left out, as the conversion skips them."""
    edges = edges_of(boxes, sizes)
    kept = np.flatnonzero((edges[:, 2:] > edges[:, :2]).all(axis=1))
    order = kept[np.lexsort((photographs[kept], categories[kept]))]
    counts = np.bincount(categories[order], minlength=len(CATEGORIES))
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    return ObjectIndex(starts, photographs[order], edges[order], sizes[order])


def kept_index(fingerprint: str, build: Callable[[], ObjectIndex]) -> ObjectIndex:
    """The index from the folder of prepared data, or built and kept there; some 30 MB for all of COCO."""
    about = (VERSION, fingerprint)
    kept = kept_arrays(FOLDER, about, ARRAYS)
    if kept is not None and {len(kept[name]) for name in ARRAYS[1:]} == {int(kept["starts"][-1])}:
        return ObjectIndex(**kept)
    built = build()
    keep_arrays(FOLDER, about, {name: getattr(built, name) for name in ARRAYS})
    return built


class Photographs(Protocol):
    """The photographs of `train2017` in one form, and where the objects in them are."""

    @property
    def location(self) -> Path:
        """The file or folder they are in."""

    def fingerprint(self) -> str:
        """A short text that changes with the content."""

    def index(self) -> ObjectIndex:
        """Where the objects are. Raises DataError for data that is damaged or not as published."""

    def name(self, number: int) -> str:
        """What a photograph is called in messages."""

    def reader(self) -> AbstractContextManager[Callable[[Iterable[int]], Iterator[bytes]]]:
        """A function from numbers to the photographs' files, in that order. It raises DataError for damage."""


@dataclass(frozen=True, kw_only=True)
class CocoObjects:
    """The objects of COCO as a source's raw data (`source.RawData`): 40 categories valid, 40 test."""

    source: str
    photographs: Photographs

    @property
    def location(self) -> Path:
        """Where the photographs are."""
        return self.photographs.location

    def fingerprint(self) -> str:
        """That of the photographs and annotations."""
        return self.photographs.fingerprint()

    def class_sizes(self, split: str) -> Mapping[str, int]:
        """Category -> number of its objects, in the official order. The first time, all annotations are read.

        Raises DataError for damaged annotations, and where photographs or objects are missing.
        """
        names = official_split(CATEGORIES, 0, VALID).get(split, [])
        sizes = np.diff(self.photographs.index().starts) if names else np.empty(0)
        return {name: int(sizes[CATEGORIES.index(name)]) for name in names}

    def class_groups(self, split: str) -> ClassGroups | None:  # noqa: ARG002
        """None: the super-categories have no part in Meta-Dataset's episodes."""
        return None

    def read(self, split: str, wanted: Mapping[str, Rows]) -> Iterator[ClassImages]:  # noqa: ARG002
        """Yield the objects in parts of one size. A photograph is decoded once for all of a class in it.

        Raises DataError for a photograph that cannot be decoded or has another size than it should, naming it.
        """
        index = self.photographs.index()
        with self.photographs.reader() as read:
            for name, rows in wanted.items():
                places = index.starts[CATEGORIES.index(name)] + rows
                yield from in_parts(name, self._cut_out(index, places, read))

    def _cut_out(
        self, index: ObjectIndex, places: Rows, read: Callable[[Iterable[int]], Iterator[bytes]]
    ) -> Iterator[Pixels]:
        of_each = np.asarray(index.photographs[places])
        firsts = np.flatnonzero(np.diff(of_each, prepend=-1))
        numbers = of_each[firsts].tolist()
        groups = np.split(places, firsts[1:])
        for number, group, content in zip(numbers, groups, read(numbers), strict=True):
            try:
                with Image.open(io.BytesIO(content)) as opened:
                    photograph = opened.convert(COLOUR)
            except UNREADABLE as error:
                raise self._wrong(number, f"is no readable image ({error})") from error
            width, height = index.sizes[group[0]].tolist()
            if photograph.size != (width, height):
                size = "x".join(map(str, photograph.size))
                raise self._wrong(number, f"is {size} pixels, and its annotations are for {width}x{height}")
            for left, upper, right, lower in index.edges[group].tolist():
                yield cut(photograph, (left, upper, right, lower))

    def _wrong(self, number: int, said: str) -> DataError:
        return DataError(
            f"{self.photographs.name(number)} in {self.location}, a photograph of source {self.source!r}, {said}. "
            "Fetch it again."
        )
