"""MS COCO 2017 as tensorflow-datasets (TFDS) prepares it, `coco/2017`: photographs with the objects in them.

TFDS keeps the four edges of a box as shares of the photograph's height and width, in 32 bits. COCO's boxes have two
decimals, so the published number is the one with two decimals that is nearest to share times side: a share of at most
1 in 32 bits is off by 2^-25 at most, which is 0.00002 pixels for a side of 640, and the decimals are 0.01 apart. The
objects are therefore exactly those that are cut out by the annotation file. A number that is further from all with two
decimals than twice that error has more of them, and is taken as it is, right to 0.0001 pixels.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from harness.errors import DataError
from harness_datasets.coco_categories import CATEGORIES, check_categories, check_published
from harness_datasets.coco_objects import CocoObjects, Floats, ObjectIndex, index_objects, kept_index
from harness_datasets.image_files import UNREADABLE
from harness_datasets.tensorflow_loading import load_tensorflow
from harness_datasets.tfds_index import SHARD_BITS
from harness_datasets.tfds_prepared import Prepared, Shard, find_prepared
from harness_datasets.tfds_shards import RecordReader, pass_through

BUILDER, PARTS = "coco/2017", ("train",)
IMAGE, LABEL, BOX = "image", "objects/label", "objects/bbox"
LABELS = "objects-label.labels.txt"
ERROR = 2.0**-25
"""Of a share from 0 to 1 in 32 bits: half a unit in the last place."""

_AGAIN = f"Prepare {BUILDER} again with tensorflow-datasets."


def find_tfds_coco(source: str, data_dir: Path) -> CocoObjects | None:
    """The objects of the prepared data set's split `train`; None where it is not there.

    Raises DataError for a data set without that split, or with other labels than COCO's.
    """
    prepared = find_prepared(data_dir, BUILDER)
    if prepared is None:
        return None
    prepared.shards_of(PARTS)
    prepared.check_image(IMAGE)
    labels = prepared.folder / LABELS
    try:
        names = [line.strip() for line in labels.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{labels}, the names of the labels, cannot be read ({error}). {_AGAIN}") from error
    check_categories(names, labels, _AGAIN)
    return CocoObjects(source=source, photographs=CocoRecords(prepared=prepared))


def boxes_of(shares: npt.NDArray[np.float32], sizes: npt.NDArray[np.int32]) -> Floats:
    """x, y, width and height in pixels, as published, float64 [n, 4].

    shares: upper, left, lower and right edge as TFDS has them, [n, 4]. sizes: width and height, [n, 2].
    """
    edges = shares[:, [1, 0, 3, 2]].astype(np.float64) * np.tile(sizes, 2)
    error: Floats = ERROR * sizes.astype(np.float64)
    low, high = _with_decimals(edges[:, :2], error), _with_decimals(edges[:, 2:], error)
    return np.concatenate([low, _with_decimals(high - low, 2 * error)], axis=1)


def _with_decimals(numbers: Floats, error: Floats) -> Floats:
    """The nearest numbers with two decimals, where they are within twice the error; else the numbers themselves."""
    nearest = np.round(numbers, 2)
    return np.where(np.abs(nearest - numbers) <= 2 * error, nearest, numbers)


@dataclass(frozen=True, kw_only=True)
class CocoRecords:
    """Photographs in TFDS's records (`coco_objects.Photographs`), numbered by shard and place in it."""

    prepared: Prepared

    @property
    def location(self) -> Path:
        """The folder of the prepared version."""
        return self.prepared.folder

    def fingerprint(self) -> str:
        """That of the prepared data."""
        return f"mscoco-tfds-1-{self.prepared.fingerprint(PARTS)}"

    def index(self) -> ObjectIndex:
        """Where the objects are: kept, or found by a pass through the shards."""
        return _index(self.prepared, self.fingerprint())

    def name(self, number: int) -> str:
        """The shard that the record is in."""
        shard = self.prepared.shards_of(PARTS)[number >> SHARD_BITS]
        return f"a record of {shard.path.name}"

    @contextmanager
    def reader(self) -> Iterator[Callable[[Iterable[int]], Iterator[bytes]]]:
        """Reads records in any order."""
        tf = load_tensorflow()
        low = (1 << SHARD_BITS) - 1
        with RecordReader(self.prepared.shards_of(PARTS), self.prepared.file_format) as records:

            def read(numbers: Iterable[int]) -> Iterator[bytes]:
                for _, record in records.read((number >> SHARD_BITS, number & low) for number in numbers):
                    yield tf.train.Example.FromString(record).features.feature[IMAGE].bytes_list.value[0]

            yield read


# As for other TFDS data: a pure function of files that did not change.
@lru_cache(maxsize=2)
def _index(prepared: Prepared, fingerprint: str) -> ObjectIndex:
    return kept_index(fingerprint, lambda: _built(prepared))


def _built(prepared: Prepared) -> ObjectIndex:
    found = [_scan(number, shard, prepared) for number, shard in enumerate(prepared.shards_of(PARTS))]
    check_published(
        sum(len(part.sizes) for part in found),
        sum(len(part.labels) for part in found),
        prepared.folder,
        _AGAIN,
    )
    counts = np.concatenate([part.counts for part in found])
    sizes = np.repeat(np.concatenate([part.sizes for part in found]), counts, axis=0)
    return index_objects(
        np.concatenate([part.labels for part in found]),
        np.repeat(np.concatenate([part.places for part in found]), counts),
        boxes_of(np.concatenate([part.shares for part in found]), sizes),
        sizes,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Scanned:
    """Of each record of a shard: its number, its photograph's size, how many objects; of each object: label, box."""

    places: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float32]


def _scan(number: int, shard: Shard, prepared: Prepared) -> _Scanned:
    """Raises DataError for a damaged shard, and for a record without a photograph or with odd objects."""
    tf = load_tensorflow()
    wanted = {
        IMAGE: tf.io.FixedLenFeature([], tf.string),
        LABEL: tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64),
        BOX: tf.io.RaggedFeature(tf.float32, row_splits_dtype=tf.int64),
    }
    sizes: list[tuple[int, int]] = []
    counts, labels, shares = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros((0, 4), np.float32)]

    def take(found: Mapping[str, Any]) -> None:
        of_each = found[LABEL].row_lengths().numpy()
        label, share = found[LABEL].values.numpy(), found[BOX].values.numpy()
        fits = np.array_equal(4 * of_each, found[BOX].row_lengths().numpy())
        if not fits or not ((label >= 0) & (label < len(CATEGORIES))).all() or not np.isfinite(share).all():
            raise DataError(f"The shard {shard.path} has objects without a label and a box. {_AGAIN}")
        sizes.extend(_size(content, shard) for content in found[IMAGE].numpy())
        counts.append(of_each)
        labels.append(label)
        shares.append(share.reshape(-1, 4))

    at = pass_through(shard, prepared.file_format, wanted, take)
    return _Scanned(
        places=(number << SHARD_BITS) | at,
        sizes=np.array(sizes, np.int32).reshape(-1, 2),
        counts=np.concatenate(counts),
        labels=np.concatenate(labels),
        shares=np.concatenate(shares),
    )


def _size(content: bytes, shard: Shard) -> tuple[int, int]:
    """Width and height by the image's header."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.size
    except UNREADABLE as error:
        raise DataError(
            f"The shard {shard.path} has a photograph that is no readable image ({error}). {_AGAIN}"
        ) from error
