"""The records in the shards of a data set that tensorflow-datasets has prepared: passed through once, or at random.

A record is a tf.Example. A shard is a TFRecord file, whose records are found by their byte offset, or an ArrayRecord
file, whose records are numbered. Both keep checksums, which are compared whenever a record is read.
"""

import importlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DataError, WorkspaceError
from harness_datasets.tensorflow_loading import load_tensorflow
from harness_datasets.tfds_prepared import ARRAY_RECORD, Shard

BATCH_BYTES = 32 << 20
MOST_RECORDS = 8192
COPY_BYTES = 4 << 20
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
    labels, keys = [np.zeros(0, np.int64)], list[bytes]()

    def take(found: Mapping[str, Any]) -> None:
        labels.append(found[label].numpy())
        if key is not None:
            keys.extend(found[key].numpy().tolist())

    at = pass_through(shard, file_format, wanted, take)
    return Scanned(np.concatenate(labels), at, keys)


def pass_through(
    shard: Shard, file_format: str, wanted: Mapping[str, Any], take: Callable[[Mapping[str, Any]], None]
) -> npt.NDArray[np.int64]:
    """Parse all records of a shard for the features `wanted` (those of tf.io), and hand each batch to `take`.

    Returns where each record is, int64 [n]. Raises DataError as `scan` does.
    """
    tf = load_tensorflow()
    batches = _array_records(shard) if file_format == ARRAY_RECORD else _tfrecords(tf, shard)
    lengths = [np.zeros(0, np.int64)]
    with _explained(shard):
        for records in batches:
            try:
                found = tf.io.parse_example(records, wanted)
            except tf.errors.InvalidArgumentError as error:
                raise DataError(
                    f"The shard {shard.path} has a record without {' and '.join(map(repr, wanted))}: it is damaged, or "
                    "of another data set than dataset_info.json beside it says. Prepare the data set again."
                ) from error
            take(found)
            lengths.append(tf.strings.length(records).numpy().astype(np.int64))
    sizes = np.concatenate(lengths)
    if len(sizes) != shard.records:
        raise DataError(
            f"The shard {shard.path} has {len(sizes)} records, but dataset_info.json says {shard.records}: it is "
            "truncated. Fetch it or prepare the data set again."
        )
    if file_format == ARRAY_RECORD:
        return np.arange(len(sizes), dtype=np.int64)
    ends: npt.NDArray[np.int64] = np.cumsum(sizes + TFRECORD_FRAME)
    return ends - sizes - TFRECORD_FRAME


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
            self._open.pop(next(iter(self._open))).close()

    def read(self, places: Iterable[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
        """The shard's number and the record of each of these places (shard, place in it), in their order.

        Raises DataError for a damaged record, naming the shard.
        """
        if self.file_format == ARRAY_RECORD:
            return self._from_array_records(places)
        return self._from_tfrecords(places)

    def _from_array_records(self, places: Iterable[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
        """Many at a time: a call takes time in proportion to the records of the shard, not to those it reads."""
        for number, group in groupby(places, key=itemgetter(0)):
            shard = self.shards[number]
            while at := [place for _, place in islice(group, _batch(shard))]:
                with _explained(shard):
                    records = self._reader(number).read(at)
                yield from ((number, record) for record in records)

    def _from_tfrecords(self, places: Iterable[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
        """Framed records are copied one after the other into a file without a name, and read from that.

        So tensorflow compares the checksums, in its own reader; that cannot be sent to an offset.
        """
        tf = load_tensorflow()
        waiting = iter(places)
        while True:
            numbers: list[int] = []
            frames = bytearray()
            for number, place in waiting:
                frames += self._frame(number, place)
                numbers.append(number)
                if len(frames) > COPY_BYTES:
                    break
            if not numbers:
                return
            with _copied(frames) as path:
                records = tf.compat.v1.io.tf_record_iterator(path)
                for number in numbers:
                    with _explained(self.shards[number]):
                        record = next(records)
                    yield number, record

    def _frame(self, number: int, place: int) -> bytes:
        """The bytes of a record, with its length and the checksums around it."""
        shard = self.shards[number]
        with _explained(shard):
            handle = self._reader(number).fileno()
            length = int.from_bytes(os.pread(handle, 8, place), "little")
            if length > os.fstat(handle).st_size:
                raise OSError(f"a record has the length {length}")
            return os.pread(handle, length + TFRECORD_FRAME, place)

    def _reader(self, number: int) -> Any:
        """The open shard, now the last of those open; the first of them is closed where there are too many."""
        reader = self._open.pop(number, None) or self._opened(self.shards[number])
        self._open[number] = reader
        if len(self._open) > OPEN_SHARDS:
            self._open.pop(next(iter(self._open))).close()
        return reader

    def _opened(self, shard: Shard) -> Any:
        if self.file_format == ARRAY_RECORD:
            return _open_array_record(shard, readahead=False)
        return shard.path.open("rb", buffering=0)


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


@contextmanager
def _copied(content: bytearray) -> Iterator[str]:
    """A path that tensorflow can open, of a file with this content that has no name and goes when it is closed.

    Raises WorkspaceError where there is no room for it.
    """
    with tempfile.TemporaryFile() as copy:
        try:
            copy.write(content)
            copy.flush()
        except OSError as error:
            raise WorkspaceError(
                f"{len(content)} bytes cannot be copied for reading into {tempfile.gettempdir()}: "
                f"{error.strerror or error}. Make room there, or name another folder with TMPDIR."
            ) from error
        yield f"/dev/fd/{copy.fileno()}"


def _batch(shard: Shard) -> int:
    size = shard.path.stat().st_size
    return max(1, min(MOST_RECORDS, BATCH_BYTES * max(1, shard.records) // max(1, size)))


@contextmanager
def _explained(shard: Shard) -> Iterator[None]:
    """Turn what the readers raise for a damaged shard into one sentence that names it."""
    try:
        yield
    except (OSError, RuntimeError, IndexError, StopIteration) as error:
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
