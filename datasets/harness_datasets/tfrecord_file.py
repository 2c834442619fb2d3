"""One file of TFRecords with a tf.Example in each: read with every checksum compared, and images decoded."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from harness.errors import DataError, WorkspaceError
from harness_datasets.image_files import Pixels
from harness_datasets.raw_archives import CHUNK, DAMAGED, Opener
from harness_datasets.raw_files import FOLDER, RawFolder, damaged
from harness_datasets.tensorflow_loading import load_tensorflow

AGAIN = "Convert or fetch this source again."


@contextmanager
def on_disk(raw: RawFolder, opened: Opener, path: str) -> Iterator[str]:
    """A path that tensorflow can open: of the file itself, or of a copy of one that is in an archive.

    The copy has no name, so that the system removes it even when the process is killed. `opened` is that of
    `raw`. Raises DataError for a damaged archive, WorkspaceError where there is no room for the copy.
    """
    if raw.form == FOLDER:
        yield str(raw.location.parent / path)
        return
    with tempfile.TemporaryFile() as copy:
        _copy(raw, opened, path, copy)
        yield f"/dev/fd/{copy.fileno()}"


def _copy(raw: RawFolder, opened: Opener, path: str, copy: IO[bytes]) -> None:
    for chunk in _chunks(raw, opened, path):
        try:
            copy.write(chunk)
            copy.flush()
        except OSError as error:
            raise WorkspaceError(
                f"{path} in {raw.location} cannot be copied for reading into {tempfile.gettempdir()}: "
                f"{error.strerror or error}. Make room there, name another folder with TMPDIR, or unpack the "
                "archive yourself and name its folder."
            ) from error


def _chunks(raw: RawFolder, opened: Opener, path: str) -> Iterator[bytes]:
    """The content of a member. Raises DataError where it is damaged."""
    try:
        with opened(path) as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
    except DAMAGED as error:
        raise damaged(path, raw.location, error) from error


def examples(path: str, where: str) -> Iterator[tuple[bytes, int]]:
    """The encoded image and the label of each record, in the file's order; `where` names file and class.

    Raises DataError for a record whose length or content does not fit its checksum (CRC-32C), or that lacks
    one of the two, naming the record.
    """
    tf = load_tensorflow()
    for number, record in enumerate(_records(tf, path, where)):
        try:
            features = tf.train.Example.FromString(record).features.feature
            (image,), (label,) = features["image"].bytes_list.value, features["label"].int64_list.value
        except Exception as error:  # protobuf's own errors differ from version to version
            raise DataError(f"Record {number} of {where} holds no `image` with a `label`. {AGAIN}") from error
        yield image, int(label)


def _records(tf: Any, path: str, where: str) -> Iterator[bytes]:
    """The records, by tensorflow's older reader.

    It takes 2 µs a record and nothing a file, where tf.data takes 80 µs and 16 ms: a minute for 1623 characters.
    """
    done = 0
    try:
        for record in tf.compat.v1.io.tf_record_iterator(path):
            yield record
            done += 1
    except (tf.errors.DataLossError, tf.errors.OutOfRangeError) as error:
        raise DataError(
            f"Record {done} of {where} is truncated or damaged: it does not fit its checksum. {AGAIN}"
        ) from error
    except tf.errors.OpError as error:
        raise DataError(
            f"{where} cannot be read: {error.message}. Mend its permissions, or fetch it again."
        ) from error


def decoded(image: bytes, channels: int, where: str) -> Pixels:
    """An encoded image as uint8 [H, W, channels], with the decoder and settings of Meta-Dataset's reader.

    JPEG, PNG and GIF, told apart by their content. Raises DataError for what is none of them or cut off.
    """
    tf = load_tensorflow()
    try:
        pixels: Pixels = tf.io.decode_jpeg(image, channels=channels).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise DataError(f"The image in {where} is damaged or no JPEG, PNG or GIF. {AGAIN}") from error
    return pixels
