"""The records in the shards of a data set that tensorflow-datasets has prepared: passed through once, or at random.

A record is a tf.Example. A shard is a TFRecord file, whose records are found by their byte offset, or an ArrayRecord
file, whose records are numbered. Both keep checksums, which are compared whenever a record is read.
"""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness_datasets.tensorflow_loading import load_tensorflow
from harness_datasets.tfds_prepared import ARRAY_RECORD, Shard

BATCH_BYTES = 32 << 20
MOST_RECORDS = 8192
TFRECORD_FRAME = 16
"""Bytes that a TFRecord file adds to each record: its length, and the checksums of the length and the record."""

OPEN_SHARDS = 64
"""Shards open at once: ImageNet has 1024, as many as a process may open on many systems."""


@dataclass(frozen=True)
class Scanned:
    """What one pass through a shard finds: of each record its label and where it is, int64 [n]; and its key.

    keys: the text of the feature asked for; empty where none was.
    """

    labels: npt.NDArray[np.int64]
    at: npt.NDArray[np.int64]
    keys: Sequence[bytes]


def scan(shard: Shard, file_format: str, label: str, key: str | None) -> Scanned:
    """Pass through a shard without decoding images: no more than about 32 MiB of it are in memory.

    Raises DataError for a shard that is missing, damaged or truncated, and for records without the features.
    """
    tf = load_tensorflow()
    wanted = {label: tf.io.FixedLenFeature([], tf.int64)}
    if key is not None:
        wanted[key] = tf.io.FixedLenFeature([], tf.string)
    batches = _array_records(shard) if file_format == ARRAY_RECORD else _tfrecords(tf, shard)
    labels, lengths, keys = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], list[bytes]()
    with _explained(shard):
        for records in batches:
            try:
                found = tf.io.parse_example(records, wanted)
            except tf.errors.InvalidArgumentError as error:
                raise DataError(
                    f"The shard {shard.path} has a record without {' and '.join(map(repr, wanted))}: it is damaged, or "
                    "of another data set than dataset_info.json beside it says. Prepare the data set again."
                ) from error
            labels.append(found[label].numpy())
            lengths.append(tf.strings.length(records).numpy().astype(np.int64))
            if key is not None:
                keys += found[key].numpy().tolist()
    sizes = np.concatenate(lengths)
    if len(sizes) != shard.records:
        raise DataError(
            f"The shard {shard.path} has {len(sizes)} records, but dataset_info.json says {shard.records}: it is "
            "truncated. Fetch it or prepare the data set again."
        )
    ends = np.cumsum(sizes + TFRECORD_FRAME)
    at = (
        np.arange(len(sizes), dtype=np.int64)
        if file_format == ARRAY_RECORD
        else ends - sizes - TFRECORD_FRAME
    )
    return Scanned(np.concatenate(labels), at, keys)


class RecordReader:
    """Reads records of some shards in any order; a context manager that closes them. Not for several threads."""

    def __init__(self, shards: Sequence[Shard], file_format: str) -> None:
        self.shards, self.file_format = shards, file_format
        self._open: dict[int, Any] = {}

    def __enter__(self) -> "RecordReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._open:
            self._close(next(iter(self._open)))

    def read(self, number: int, at: Sequence[int]) -> Iterator[bytes]:
        """The records of shard `number` in these places. Raises DataError for a damaged one, naming the shard."""
        with _explained(self.shards[number]):
            reader = self._reader(number)
            if self.file_format == ARRAY_RECORD:
                for place in at:
                    yield reader.read([place])[0]
            else:
                for place in at:
                    yield reader.read(place)[0]

    def _reader(self, number: int) -> Any:
        """The open shard, the last of those open; the first of them is closed where there are too many."""
        reader = self._open.pop(number, None) or self._opened(self.shards[number])
        self._open[number] = reader
        if len(self._open) > OPEN_SHARDS:
            self._close(next(iter(self._open)))
        return reader

    def _opened(self, shard: Shard) -> Any:
        if self.file_format == ARRAY_RECORD:
            return _open_array_record(shard, readahead=False)
        load_tensorflow()
        # It is not exported, but nothing that is reads a record at an offset and compares its checksum.
        from tensorflow.python.lib.io.tf_record import tf_record_random_reader

        return tf_record_random_reader(str(shard.path))

    def _close(self, number: int) -> None:
        reader = self._open.pop(number)
        if self.file_format == ARRAY_RECORD:
            reader.close()


def _tfrecords(tf: Any, shard: Shard) -> Iterator[Any]:
    """The records in batches, as string tensors [n]."""
    step = _batch(shard)
    yield from tf.data.TFRecordDataset(str(shard.path), buffer_size=8 << 20).batch(step)


def _array_records(shard: Shard) -> Iterator[Any]:
    """The records in batches, as lists of bytes."""
    step = _batch(shard)
    reader = _open_array_record(shard, readahead=True)
    try:
        total = reader.num_records()
        for start in range(0, total, step):
            yield reader.read(start, min(start + step, total))
    finally:
        reader.close()


def _open_array_record(shard: Shard, *, readahead: bool) -> Any:
    """An open ArrayRecord file. Raises DataError where the package for it is missing."""
    try:
        module = importlib.import_module("array_record.python.array_record_module")
    except ImportError as error:
        raise DataError(
            f"{shard.path} is an ArrayRecord file, and the package array_record cannot be imported ({error}): install "
            "it, or prepare the data set as TFRecord, with file_format='tfrecord'."
        ) from error
    options = {} if readahead else {"options": "readahead_buffer_size:0", "file_reader_buffer_size": 32768}
    reader = module.ArrayRecordReader(str(shard.path), **options)
    if not reader.ok():
        reader.read([0])  # says what is wrong, as an error
    return reader


def _batch(shard: Shard) -> int:
    size = shard.path.stat().st_size
    return max(1, min(MOST_RECORDS, BATCH_BYTES * max(1, shard.records) // max(1, size)))


@contextmanager
def _explained(shard: Shard) -> Iterator[None]:
    """Turn what the readers raise for a damaged shard into one sentence that names it."""
    try:
        yield
    except (OSError, RuntimeError, IndexError) as error:
        said = f"{type(error).__name__}: {error}"
    except Exception as error:
        # tensorflow's errors share no base that is public; a HarnessError is said already.
        if not type(error).__module__.startswith("tensorflow"):
            raise
        said = f"{type(error).__name__}: {getattr(error, 'message', error)}"
    else:
        return
    raise DataError(
        f"The shard {shard.path} is truncated or damaged ({said[:300]}). Fetch it or prepare the data set again."
    )
