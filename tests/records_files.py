"""Small records as tests make them, and a reader of records like Meta-Dataset's own."""

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness_datasets.records import Records, find_records
from harness_datasets.records_writing import flat_spec, write_records
from harness_datasets.tensorflow_loading import load_tensorflow
from packing import drawn

Pixels = npt.NDArray[np.uint8]

CLASSES = {"train": ["banded", "Dotted"], "valid": ["lined"], "test": ["woven", "zigzagged"]}
SIZES = (4, 3, 5, 6, 2)
SHAPES = ((12, 10), (12, 10), (9, 14))
"""Width and height of the images of a class, over and over."""


def encoded(class_id: int, count: int, kind: str = "JPEG") -> list[bytes]:
    return [drawn(10 * class_id + k, SHAPES[k % len(SHAPES)], kind=kind) for k in range(count)]


def framed(records: Iterable[bytes], path: Path) -> bytes:
    """The content of a file of records, as tensorflow writes it."""
    with load_tensorflow().io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path.read_bytes()


def example(**values: list[Any]) -> bytes:
    train = load_tensorflow().train
    features = {
        key: train.Feature(bytes_list=train.BytesList(value=value))
        if isinstance(value[0], bytes)
        else train.Feature(int64_list=train.Int64List(value=value))
        for key, value in values.items()
    }
    serialised: bytes = train.Example(features=train.Features(feature=features)).SerializeToString()
    return serialised


def write_small(place: Path, name: str = "dtd", sizes: tuple[int, ...] = SIZES) -> Path:
    write_records(
        place / name, flat_spec(name, CLASSES, sizes), ((k, encoded(k, n)) for k, n in enumerate(sizes))
    )
    return place / name


def files_of(folder: Path, inside: str) -> dict[str, bytes]:
    return {f"{inside}{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}


def opened(place: Path, source: str = "dtd", channels: int = 3) -> Records:
    found = find_records(place, source, channels=channels)
    assert found is not None
    return found


def read(
    records: Records, split: str, rows: Mapping[str, list[int]] | None = None
) -> dict[str, list[Pixels]]:
    """Class -> its images, in order."""
    wanted = {name: np.arange(size) for name, size in records.class_sizes(split).items()}
    if rows is not None:
        wanted = {name: np.array(chosen, np.int64) for name, chosen in rows.items()}
    found: dict[str, list[Pixels]] = {}
    for name, images in records.read(split, wanted):
        found.setdefault(name, []).extend(images)
    return found


def as_metadataset_reads(*paths: Path) -> list[tuple[int, Pixels]]:
    """Label and RGB pixels of each record of these files, by the operations of Meta-Dataset's own reader."""
    tf = load_tensorflow()
    features = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}

    def parsed(record: Any) -> tuple[Any, Any]:
        values = tf.io.parse_single_example(record, features)
        return values["label"], tf.image.decode_jpeg(values["image"], channels=3)

    records = tf.data.TFRecordDataset([str(path) for path in paths])
    return list(records.map(parsed).as_numpy_iterator())


def assert_same(one: Mapping[str, list[Pixels]], other: Mapping[str, list[Pixels]]) -> None:
    assert list(one) == list(other)
    for name in one:
        assert len(one[name]) == len(other[name])
        for image, twin in zip(one[name], other[name], strict=True):
            np.testing.assert_array_equal(image, twin)


def starts(content: bytes) -> list[int]:
    """Where each record of a file begins: 8 bytes of length, 4 of checksum, the data, 4 of checksum."""
    found, at = [], 0
    while at < len(content):
        found.append(at)
        at += 8 + 4 + struct.unpack("<Q", content[at : at + 8])[0] + 4
    assert at == len(content)
    return found
