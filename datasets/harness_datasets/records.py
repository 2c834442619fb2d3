"""Meta-Dataset's own disk format: `<source>/dataset_spec.json` and one `<class id>.tfrecords` a class.

Each record is a tf.Example with `image`, an encoded image, and `label`, the class id (Triantafillou and others
2020; google-research/meta-dataset). Images are decoded with tensorflow, as Meta-Dataset does: Pillow's JPEG
decoder gives values that differ by up to 7 of 255.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.dataset import ClassGroups, ClassImages
from harness.errors import DataError
from harness_datasets.file_edges import edge_reader
from harness_datasets.image_files import Pixels, in_parts
from harness_datasets.meta_dataset_spec import MetaDatasetSpec, read_spec
from harness_datasets.raw_archives import Opener
from harness_datasets.raw_files import FOLDER, SUFFIXES, RawFolder, raw_folder_at
from harness_datasets.source import Rows
from harness_datasets.tfrecord_file import decoded, examples, on_disk

SPEC = "dataset_spec.json"
STAND_IN = "stand_in"
"""Key of a specification whose images are drawn stand-ins."""

PLACES = ("", "records", "meta_dataset_records")
"""Folders below that of the raw data where the folders of the sources may be."""

AGAIN = "Convert or fetch this source again."


@dataclass(frozen=True, kw_only=True)
class Records:
    """The records of one source, found on disk (`source.RawData`).

    `inside` is the path of the folder with the specification, in `raw`; empty or with a slash at its end.
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
        finds it when the pool is prepared. Raises DataError where class files are missing, damaged or too many.
        """
        digest, sizes = hashlib.sha256(), self._files()
        spec = self.raw.read(self.inside + SPEC)
        digest.update(f"{SPEC} None ".encode() + hashlib.sha256(spec).digest())
        with edge_reader(self.raw) as edges:
            for name, size in sizes.items():
                ends = edges(self.inside + name, size)
                digest.update(f"{name} {size} ".encode() + hashlib.sha256(ends).digest())
        return f"{'stand-in-' * self.stand_in}records-{digest.hexdigest()[:16]}"

    def class_sizes(self, split: str) -> Mapping[str, int]:
        """As the specification says. Raises DataError where class files are missing or too many."""
        self._files()
        return self.spec.class_sizes(split)

    def class_groups(self, split: str) -> ClassGroups | None:
        """Omniglot's alphabets, the nodes of ImageNet's graph; None for the flat sources."""
        return self.spec.class_groups(split)

    def read(self, split: str, wanted: Mapping[str, Rows]) -> Iterator[ClassImages]:  # noqa: ARG002
        """Yield the wanted images of each class; every record of its file is checked, wanted or not.

        Raises DataError for a record that is damaged, has another label or holds no image, naming file, class
        and record, and for a file with another number of records than the specification says.
        """
        yield from self.read_classes(wanted)

    def read_classes(self, wanted: Mapping[str, Rows]) -> Iterator[ClassImages]:
        """As `read`, with classes of any splits, whose names all differ; an archive is opened once for them all."""
        ids = {name: class_id for class_id, name in self.spec.names.items()}
        with self.raw.opener() as opened:
            for name, rows in wanted.items():
                yield from in_parts(name, self._images(opened, name, ids[name], rows))

    def _images(self, opened: Opener, name: str, class_id: int, rows: Rows) -> Iterator[Pixels]:
        """Decode the images at `rows` (sorted); count all records."""
        file, size = self.spec.file_name(class_id), self.spec.sizes[class_id]
        where, number, done = f"{file} of class {name!r} in {self.location}", 0, 0
        with on_disk(self.raw, opened, self.inside + file) as path:
            for number, (image, label) in enumerate(examples(path, where), start=1):
                if label != class_id:
                    raise DataError(
                        f"Record {number - 1} of {where} has the label {label}, and {SPEC} gives that class the "
                        f"number {class_id}. {AGAIN}"
                    )
                if done < len(rows) and rows[done] == number - 1:
                    done += 1
                    yield decoded(image, self.channels, f"record {number - 1} of {where}")
        if number != size:
            raise DataError(f"{where} has {number} records, and {SPEC} says {size}. {AGAIN}")

    def _files(self) -> dict[str, int]:
        """Name of each class file -> bytes. Raises DataError unless they are those of the specification."""
        listing, start = self.raw.listing(), len(self.inside)
        suffix = self.spec.file_pattern.partition("{}")[2]
        there = {
            listing.path(row)[start:]: int(listing.sizes[row])
            for row, path in enumerate(listing.paths.tolist())
            if path.startswith(self.inside.encode()) and path.endswith(suffix.encode())
        }
        there.pop(SPEC, None)
        ids = [class_id for chosen in self.spec.ids.values() for class_id in chosen]
        classes = {self.spec.file_name(class_id): self.spec.names[class_id] for class_id in ids}
        missing = [f"{file} (class {name!r})" for file, name in classes.items() if file not in there]
        more = sorted(set(there) - set(classes))
        if missing or more:
            what, names = ("lacks", missing) if missing else ("has, beyond its classes,", more)
            raise DataError(
                f"{self.location} {what} {', '.join(names[:3])}{' and others' * (len(names) > 3)} "
                f"({len(names)} files) by its {SPEC}. {AGAIN}"
            )
        return {file: there[file] for file in classes}


def find_records(data_dir: Path, source: str, *, channels: int = 3) -> Records | None:
    """The records of `source`: at `data_dir` itself, or in the folder or archive `source` below it.

    Looked for in `data_dir`, `data_dir/records` and `data_dir/meta_dataset_records`; what holds no specification
    of that source is passed over. Raises DataError for a damaged archive or specification.
    """
    for raw in _candidates(data_dir, source):
        found = _opened(raw, source, channels)
        if found is not None:
            return found
    return None


def _candidates(data_dir: Path, source: str) -> Iterator[RawFolder]:
    """Folders and archives where the records may be, those first that are quickest to look into."""
    itself = raw_folder_at(data_dir)
    if itself is not None:
        yield itself
    for place in PLACES if data_dir.is_dir() else ():
        for suffix in ("", *SUFFIXES):
            raw = raw_folder_at(data_dir / place / f"{source}{suffix}")
            if raw is not None and raw.packed == bool(suffix):
                yield raw


def _opened(raw: RawFolder, source: str, channels: int) -> Records | None:
    """The records in a folder or archive; None where there is no specification of that source."""
    if raw.form == FOLDER:
        paths = [f"{raw.location.name}/{SPEC}"] if (raw.location / SPEC).is_file() else []
    else:
        ends = (SPEC.encode(), f"/{SPEC}".encode())
        paths = [
            path.decode()
            for path in raw.listing().paths.tolist()
            if path == ends[0] or path.endswith(ends[1])
        ]
    for path, text in raw.read_few(paths).items():
        spec = read_spec(text, f"{path} in {raw.location}")
        if spec.name == source:
            return Records(
                raw=raw,
                inside=path.removesuffix(SPEC),
                spec=spec,
                stand_in=bool(json.loads(text).get(STAND_IN)),
                channels=channels,
            )
    return None
