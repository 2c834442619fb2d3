"""Meta-Dataset's own disk format: `<source>/dataset_spec.json` and one `<class id>.tfrecords` a class.

Each record is a tf.Example with `image`, an encoded image, and `label`, the class id (Triantafillou and others
2020; google-research/meta-dataset). Images are decoded with tensorflow, as Meta-Dataset does: Pillow's JPEG
decoder gives values that differ by up to 7 of 255.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from harness.dataset import ClassGroups, ClassImages
from harness.errors import DataError
from harness_datasets.image_files import Pixels, in_parts
from harness_datasets.meta_dataset_spec import MetaDatasetSpec, read_spec
from harness_datasets.raw_files import FOLDER, RawFolder, find_raw_folder, raw_folder_at
from harness_datasets.source import Rows
from harness_datasets.tensorflow_loading import load_tensorflow

SPEC = "dataset_spec.json"
STAND_IN = "stand_in"
"""Key of a specification whose images are drawn stand-ins."""

PLACES = ("", "records", "meta_dataset_records")
"""Folders below that of the raw data where the folders of the sources may be."""

EDGE = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Records:
    """The records of one source, found on disk (`source.RawData`).

    `inside` is the path of the folder with the specification, in `raw`.
    """

    raw: RawFolder
    inside: str
    spec: MetaDatasetSpec
    stand_in: bool
    channels: int

    @property
    def location(self) -> Path:
        """The folder or archive."""
        return self.raw.location

    def fingerprint(self) -> str:
        """Of the specification and, for each class file, of its name, size, and first and last 64 KiB.

        A change in the middle of a file that leaves its size alone is missed here; the checksum of each record
        finds it when the pool is prepared. Raises DataError where class files are missing or there are more.
        """
        digest = hashlib.sha256()
        sizes = self._files()
        with self.raw.opener() as opened:
            for name in (SPEC, *sizes):
                path = f"{self.inside}/{name}"
                size = sizes.get(name)
                with opened(path) as stream:
                    head = stream.read(EDGE) if size is not None else stream.read()
                    tail = _tail(stream, size, len(head)) if size is not None else b""
                digest.update(f"{name} {size} ".encode() + hashlib.sha256(head + tail).digest())
        return f"{'stand-in-' * self.stand_in}records-{digest.hexdigest()[:16]}"

    def class_sizes(self, split: str) -> Mapping[str, int]:
        """As the specification says."""
        self._files()
        return self.spec.class_sizes(split)

    def class_groups(self, split: str) -> ClassGroups | None:
        """Omniglot's alphabets, the nodes of ImageNet's graph; None for the flat sources."""
        return self.spec.class_groups(split)

    def read(self, split: str, wanted: Mapping[str, Rows]) -> Iterator[ClassImages]:
        """Yield the wanted images of each class."""
        ids = dict(zip(self.spec.class_names(split), self.spec.class_ids(split), strict=True))
        sizes = self.spec.class_sizes(split)
        for name, rows in wanted.items():
            file = self.spec.file_name(ids[name])
            with self._on_disk(file) as path:
                yield from in_parts(name, self._images(path, file, name, ids[name], sizes[name], rows))

    def _images(
        self, path: Path, file: str, name: str, class_id: int, size: int, rows: Rows
    ) -> Iterator[Pixels]:
        """Decode the images at `rows`, and check the label and checksum of every record."""
        tf = load_tensorflow()
        where, keep, found = f"{file} of class {name!r} in {self.location}", set(rows.tolist()), 0
        for found, record in enumerate(_records(tf, path, where), start=1):
            image, label = _parse(tf, record, f"record {found - 1} of {where}")
            if label != class_id:
                raise DataError(
                    f"Record {found - 1} of {where} has the label {label}, and that class has the number "
                    f"{class_id} in {SPEC}. Convert or fetch this source again."
                )
            if found - 1 in keep:
                yield self._decode(tf, image, f"record {found - 1} of {where}")
        if found != size:
            raise DataError(
                f"{file} in {self.location} has {found} images of class {name!r}, and {SPEC} says {size}. "
                "Convert or fetch this source again."
            )

    def _decode(self, tf: Any, image: bytes, where: str) -> Pixels:
        try:
            pixels: Pixels = tf.io.decode_jpeg(image, channels=self.channels).numpy()
        except tf.errors.InvalidArgumentError as error:
            raise DataError(
                f"The image in {where} cannot be decoded. Convert or fetch this source again."
            ) from error
        return pixels

    def _files(self) -> dict[str, int]:
        """Name of each class file -> bytes. Raises DataError unless they are those of the specification."""
        start, listing = f"{self.inside}/", self.raw.listing()
        paths = [listing.path(row) for row in range(len(listing))]
        there = {
            path.removeprefix(start): int(size)
            for path, size in zip(paths, listing.sizes, strict=True)
            if path.startswith(start) and path.endswith(PurePosixPath(self.spec.file_pattern).suffix)
        }
        expected = [self.spec.file_name(class_id) for ids in self.spec.ids.values() for class_id in ids]
        missing = [name for name in expected if name not in there]
        more = sorted(set(there) - set(expected))
        if missing or more:
            what, names = ("lacks", missing) if missing else ("has, beyond its classes,", more)
            raise DataError(
                f"{self.location} {what} {', '.join(names[:3])}{' and others' * (len(names) > 3)} "
                f"({len(names)} files) by its {SPEC}. Convert or fetch this source again."
            )
        return {name: there[name] for name in expected}

    @contextmanager
    def _on_disk(self, file: str) -> Iterator[Path]:
        """A path that tensorflow can open: of the file itself, or of a copy where it is in an archive."""
        if self.raw.form == FOLDER:
            yield self.raw.location.parent / self.inside / file
            return
        with tempfile.NamedTemporaryFile(suffix=".tfrecords") as copy:
            with self.raw.opener() as opened, opened(f"{self.inside}/{file}") as stream:
                shutil.copyfileobj(stream, copy)
            copy.flush()
            yield Path(copy.name)


def find_records(data_dir: Path, source: str, *, channels: int = 3) -> Records | None:
    """The records of `source`: at `data_dir` itself, or in the folder or archive `source` below it.

    Raises DataError for a damaged specification.
    """
    itself = raw_folder_at(data_dir)
    found = None if itself is None else _opened(itself, source, channels)
    if found is None and data_dir.is_dir():
        raw = find_raw_folder(source, [data_dir / place for place in PLACES])
        found = None if raw is None else _opened(raw, source, channels)
    return found


def _opened(raw: RawFolder, source: str, channels: int) -> Records | None:
    """The records in a folder or archive; None where there is no specification of that source."""
    if raw.form == FOLDER:
        if not (raw.location / SPEC).is_file():
            return None
        inside = raw.location.name
    else:
        specs = [path for path in raw.paths() if PurePosixPath(path).name == SPEC]
        if len(specs) != 1:
            return None
        inside = str(PurePosixPath(specs[0]).parent)
    with raw.reader() as read:
        text = read(f"{inside}/{SPEC}")
    spec = read_spec(text, f"{SPEC} in {raw.location}")
    if spec.name != source:
        return None
    return Records(
        raw=raw, inside=inside, spec=spec, stand_in=bool(json.loads(text).get(STAND_IN)), channels=channels
    )


def _records(tf: Any, path: Path, where: str) -> Iterator[bytes]:
    """The records of a file, each with its checksums compared."""
    done = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield record
            done += 1
    except (tf.errors.DataLossError, tf.errors.OutOfRangeError) as error:
        raise DataError(
            f"{where} is truncated or damaged behind its first {done} records. Fetch or convert it again."
        ) from error


def _parse(tf: Any, record: bytes, where: str) -> tuple[bytes, int]:
    """The encoded image and the label."""
    try:
        features = tf.train.Example.FromString(record).features.feature
        (image,), (label,) = features["image"].bytes_list.value, features["label"].int64_list.value
    except Exception as error:  # protobuf's own errors differ from version to version
        raise DataError(
            f"{where.capitalize()} holds no `image` with a `label`. Convert or fetch this source again."
        ) from error
    return image, int(label)


def _tail(stream: Any, size: int, read: int) -> bytes:
    """The last bytes of a file of `size` bytes whose first `read` bytes have been read."""
    start = max(size - EDGE, read)
    if start > read:
        stream.seek(start)
    tail: bytes = stream.read()
    return tail
