"""Sources that tensorflow-datasets (TFDS) has prepared, read class by class.

Records are found by label in one pass (`tfds_index`) and images are decoded with tensorflow, as TFDS itself and
Meta-Dataset do. The builder's code is not needed, nor does anything here fetch data: see `tfds_preparing`.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from harness.dataset import ClassGroups, ClassImages
from harness.errors import DataError
from harness_datasets.image_files import Pixels, in_parts
from harness_datasets.source import Rows
from harness_datasets.tensorflow_loading import load_tensorflow
from harness_datasets.tfds_index import Asked, LabelIndex, Leave, label_index
from harness_datasets.tfds_prepared import Prepared, find_prepared
from harness_datasets.tfds_shards import RecordReader
from harness_datasets.tfrecord_file import decoded

VERSION = "tfds-1"

ClassNames = Callable[[Sequence[str]], Sequence[str]]
"""The names of the labels, by number -> the names that the classes have here, as many and in that order."""

SplitClasses = Callable[[Sequence[str]], Mapping[str, Sequence[str]]]
"""The classes, by label number -> split -> its classes, in class order."""


@dataclass(frozen=True, kw_only=True)
class TfdsData:
    """A prepared TFDS data set as a source's raw data (`source.RawData`).

    parts: the TFDS splits that are merged, in this order. classes: class -> label number. splits: split -> its
    classes, in order. channels: 1 or 3, what images are decoded to. invert: 255 - value, for dark ink on white.
    leave: records that are no part of the source. images: how many there must be in all, each class having one
    at least; None for any number, where a label without images is no class. groups: split -> its groups.
    """

    prepared: Prepared
    parts: tuple[str, ...]
    image: str
    label: str
    classes: Mapping[str, int]
    splits: Mapping[str, Sequence[str]]
    channels: int
    invert: bool = False
    leave: Leave | None = None
    images: int | None = None
    groups: Mapping[str, ClassGroups | None] | None = None

    @property
    def location(self) -> Path:
        """The folder of the prepared version."""
        return self.prepared.folder

    def fingerprint(self) -> str:
        """Of the prepared data (`Prepared.fingerprint`), of which classes are in which split, and of the groups."""
        about = (
            self.prepared.fingerprint(self.parts),
            (self.image, self.label, self.channels, self.invert),
            [(name, number) for name, number in self.classes.items()],
            [(split, list(names)) for split, names in self.splits.items()],
            None if self.leave is None else (self.leave.key, sorted(self.leave.values)),
            [] if self.groups is None else [(split, _listed(found)) for split, found in self.groups.items()],
        )
        return f"{VERSION}-{hashlib.sha256(repr(about).encode()).hexdigest()[:16]}"

    def class_sizes(self, split: str) -> Mapping[str, int]:
        """Class -> number of images, in class order. The first time, the shards are passed through.

        Raises DataError for a damaged shard, and where images of a published source are missing.
        """
        sizes = self._sizes
        return {name: sizes[name] for name in self.splits.get(split, ()) if sizes[name]}

    def class_groups(self, split: str) -> ClassGroups | None:
        """The groups of the split's classes, None where there are none."""
        return None if self.groups is None else self.groups.get(split)

    def read(self, split: str, wanted: Mapping[str, Rows]) -> Iterator[ClassImages]:  # noqa: ARG002
        """Yield the images in parts of one size. Raises DataError for a damaged shard or image, naming the shard."""
        tf = load_tensorflow()
        with RecordReader(self.prepared.shards_of(self.parts), self.prepared.file_format) as reader:
            for name, rows in wanted.items():
                yield from in_parts(name, self._images(tf, reader, name, rows))

    def _images(self, tf: Any, reader: RecordReader, name: str, rows: Rows) -> Iterator[Pixels]:
        shards, places = self._index.of(self.classes[name], rows)
        for number, record in reader.read(zip(shards.tolist(), places.tolist(), strict=True)):
            pixels = self._decoded(tf, record, name, reader.shards[number].path)
            yield np.asarray(255 - pixels, np.uint8) if self.invert else pixels

    def _decoded(self, tf: Any, record: bytes, name: str, shard: Path) -> Pixels:
        """The image of a record, uint8 [H, W, channels]."""
        where = f"of class {name!r} in the shard {shard}"
        try:
            features = tf.train.Example.FromString(record).features.feature
            (content,), (label,) = (
                features[self.image].bytes_list.value,
                features[self.label].int64_list.value,
            )
        except Exception as error:  # protobuf's own errors differ from version to version
            raise DataError(
                f"A record {where} holds no single {self.image!r} with a {self.label!r}. Prepare the data set again."
            ) from error
        if label != self.classes[name]:
            raise DataError(
                f"A record {where} has the label {label} and not {self.classes[name]}: the shard changed while it was "
                "read. Run the command again."
            )
        return decoded(content, self.channels, f"a record {where}")

    @property
    def _index(self) -> LabelIndex:
        return label_index(
            Asked(
                prepared=self.prepared,
                splits=self.parts,
                label=self.label,
                labels=len(self.classes),
                leave=self.leave,
                fingerprint=self.prepared.fingerprint(self.parts),
            )
        )

    @cached_property
    def _sizes(self) -> Mapping[str, int]:
        """Class -> number of images, of all classes."""
        counts = self._index.sizes()
        sizes = {name: int(counts[number]) for name, number in self.classes.items()}
        total, empty = sum(sizes.values()), [name for name, size in sizes.items() if not size]
        if self.images is not None and (total != self.images or empty):
            lacking = f", and none of class {empty[0]!r}" if empty else ""
            raise DataError(
                f"The TFDS data set {self.prepared.builder!r} in {self.location} is not as published: it has {total} "
                f"images{lacking}, not {self.images}. Prepare all of its splits again, or read it as a source of "
                "your own with TFDS."
            )
        return sizes


def find_tfds(
    data_dir: Path,
    builder: str,
    *,
    parts: Sequence[str] | Callable[[Prepared], Sequence[str]],
    split_classes: SplitClasses,
    class_names: ClassNames = tuple,
    image: str = "image",
    label: str = "label",
    channels: int = 3,
    invert: bool = False,
    leave: Leave | None = None,
    images: int | None = None,
) -> TfdsData | None:
    """The prepared data set of a builder (as `find_prepared` finds it) as a source; None where it is not there.

    parts: the TFDS splits to merge, or what chooses them. Other arguments as in `TfdsData`.
    Raises DataError for a data set that has not these splits and features, or is not as published.
    """
    prepared = find_prepared(data_dir, builder)
    if prepared is None:
        return None
    merged = tuple(parts(prepared) if callable(parts) else parts)
    prepared.shards_of(merged)
    prepared.check_image(image)
    names = list(class_names(prepared.label_names(label)))
    return TfdsData(
        prepared=prepared,
        parts=merged,
        image=image,
        label=label,
        classes={name: number for number, name in enumerate(names)},
        splits=split_classes(names),
        channels=channels,
        invert=invert,
        leave=leave,
        images=images,
    )


def published_labels(builder: str, names: Sequence[str]) -> ClassNames:
    """The labels are called as the published classes `names` are, in any order. Raises DataError for others."""

    def check(labels: Sequence[str]) -> Sequence[str]:
        odd = sorted(set(labels) ^ set(names))
        if odd:
            raise DataError(
                f"The labels of the TFDS data set {builder!r} are not the {len(names)} published: {odd[0]!r} is in "
                "one of the two lists only. Prepare it again with the catalogue's own builder."
            )
        return labels

    return check


def _listed(groups: ClassGroups | None) -> object:
    return None if groups is None else (groups.kind, [(key, list(m)) for key, m in groups.members.items()])
