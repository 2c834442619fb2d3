"""Writing a pool: a source is read class by class into `images.npy` and described in `pool.json`.

`harness.pools` decides where and when; this module does it, in bounded memory, with every class checked
against what the source announced. Beside the images stand `begun.json`, which says what is being written, and
a journal with one line a finished class, so that a pool that was interrupted is carried on from its last whole
class; a finished pool has neither.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from harness.dataset import ClassImages, Dataset, class_groups
from harness.errors import DataError
from harness.files import explained, write_json
from harness.pool_journal import (
    IMAGES,
    JOURNAL,
    ClassEntry,
    Tally,
    digest_of_digests,
    finished_classes,
    go_on,
    journal_line,
    write_all,
)
from harness.resizing import resize_pixels
from harness.spec import ImageSpec, SourceSpec, canonical

FACTS, BEGUN = "pool.json", "begun.json"

Progress = Callable[[str, int, int], None]
"""Called as (`source/split`, classes done, classes in all) while a pool is prepared."""


@dataclass(frozen=True, kw_only=True)
class PoolFacts:
    """What pool.json says.

    sha256: of the digests of the classes (`class_sha256`, of each class's pixels), one after another. mean,
    std: of the pixels of each channel, 0..255. groups: None, or {"kind", "members": group -> class numbers}.
    file_bytes: the size of images.npy. prepared: an ISO time in UTC.
    """

    name: str
    split: str
    image_size: int
    resize: str | None
    channels: int
    class_names: list[str]
    class_sizes: list[int]
    class_sha256: list[str]
    groups: dict[str, Any] | None
    mean: list[float]
    std: list[float]
    component: Mapping[str, Any]
    fingerprint: str
    sha256: str
    file_bytes: int
    prepared: str


@dataclass(frozen=True, kw_only=True)
class PoolReading:
    """What to read: one split of one source, for images of one kind."""

    dataset: Dataset
    spec: SourceSpec
    split: str
    images: ImageSpec
    data_dir: Path | None

    def write(self, folder: Path, progress: Progress | None = None) -> None:
        """Fill `folder` with the pool, carrying on what an interrupted call has left there.

        Raises DataError when the raw data is missing, damaged, or is not what the spec or
        `dataset.class_sizes` says; WorkspaceError when the folder cannot be written.
        """
        sizes = self._class_sizes()
        groups = self._groups(list(sizes))
        write_json(folder / BEGUN, self._begun(sizes))
        entries = self._write_images(folder, sizes, progress)
        write_json(folder / FACTS, asdict(self._facts(folder / IMAGES, entries, groups)))
        with explained(folder):
            (folder / JOURNAL).unlink()
            (folder / BEGUN).unlink()

    def _begun(self, sizes: dict[str, int]) -> dict[str, Any]:
        """What an interrupted pool is, for whoever finds it: see `pool_status.interrupted`."""
        return {
            "name": self.spec.name,
            "split": self.split,
            "image_size": self._image_shape[0],
            "resize": self.spec.pool_resize(self.images),
            "component": canonical(self.spec.component),
            "classes": len(sizes),
        }

    def _class_sizes(self) -> dict[str, int]:
        found = self.dataset.fingerprint(self.data_dir)
        if found != self.spec.fingerprint:
            raise DataError(
                f"The raw data of source {self.spec.name!r} is not what was planned: fingerprint {found!r}, "
                f"not {self.spec.fingerprint!r}. Run the same command again to plan with the data as it is."
            )
        sizes = dict(self.dataset.class_sizes(self.split, self.data_dir))
        if not sum(sizes.values()):
            raise DataError(
                f"Source {self.spec.name!r} has no images in split {self.split!r}: use another split."
            )
        empty = [name for name, size in sizes.items() if not size]
        if empty:
            raise DataError(
                f"Class {empty[0]!r} of source {self._where} has no images ({len(empty)} such classes). "
                "Fetch them, or take the class out of the raw data."
            )
        return sizes

    def _groups(self, names: list[str]) -> dict[str, Any] | None:
        """The source's groups with class numbers for names."""
        groups = class_groups(self.dataset, self.split, self.data_dir)
        if groups is None:
            return None
        number = {name: c for c, name in enumerate(names)}
        unknown = sorted({name for members in groups.members.values() for name in members} - set(number))
        if unknown:
            raise DataError(f"Source {self._where} groups class {unknown[0]!r}, which it does not have.")
        members = {group: [number[name] for name in names] for group, names in groups.members.items()}
        return {"kind": groups.kind, "members": members}

    def _write_images(
        self, folder: Path, sizes: dict[str, int], progress: Progress | None
    ) -> list[ClassEntry]:
        path = folder / IMAGES
        with ExitStack() as stack:
            entries = finished_classes(folder, sizes, self._image_shape)
            with explained(path):
                handle = stack.enter_context(path.open("r+b" if entries else "wb", buffering=0))
                journal = stack.enter_context(
                    (folder / JOURNAL).open("r+b" if entries else "wb", buffering=0)
                )
                go_on(handle, journal, entries, self._header(sizes), self._image_shape)
            for entry in self._classes(handle, path, sizes, list(sizes)[len(entries) :]):
                entries.append(entry)
                with explained(path):
                    write_all(journal, journal_line(entry))
                if progress is not None:
                    progress(self._where, len(entries), len(sizes))
            with explained(path):
                os.fsync(handle.fileno())
        return entries

    def _classes(
        self, handle: BinaryIO, path: Path, sizes: dict[str, int], wanted: Sequence[str]
    ) -> Iterator[ClassEntry]:
        """Write the `wanted` classes one after another, checked against what `class_sizes` promised."""
        waiting = list(wanted)
        tally: Tally | None = None
        for name, images in self._read(wanted):
            if tally is None or name != tally.name:
                if tally is not None:
                    yield tally.entry(sizes, self._where)
                if not waiting or waiting.pop(0) != name:
                    raise DataError(
                        f"Source {self._where} yields class {name!r}, which is not the next it announced. "
                        "Is the raw data being changed?"
                    )
                tally = Tally(name, self.dataset.channels)
            pixels = resize_pixels(self._checked(name, images), self._image_shape[0], self.images.resize)
            tally.add(pixels)
            with explained(path):
                write_all(handle, np.ascontiguousarray(pixels).tobytes())
        if tally is not None:
            yield tally.entry(sizes, self._where)
        if waiting:
            raise DataError(
                f"Source {self._where} yields no class {waiting[0]!r}, which it announced; "
                f"{len(waiting)} classes are missing. Is the raw data being changed?"
            )

    def _checked(self, name: str, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        native = self.spec.native_size
        height_width = (native, native) if native else images.shape[1:3]
        if images.dtype != np.uint8 or images.shape[1:] != (*height_width, self.dataset.channels):
            size = f"{native} x {native}" if native else "height x width"
            raise DataError(
                f"Source {self._where} yields {images.dtype} images {images.shape[1:]} for class {name!r}; "
                f"uint8 {size} x {self.dataset.channels} is needed. Mend the plugin's `read`."
            )
        return images

    def _facts(self, path: Path, entries: list[ClassEntry], groups: dict[str, Any] | None) -> PoolFacts:
        pixels = sum(entry.images for entry in entries) * self._image_shape[0] ** 2
        mean = np.array([e.sums for e in entries], dtype=object).sum(0) / pixels
        square = np.array([e.squares for e in entries], dtype=object).sum(0) / pixels
        variance = np.maximum((square - mean**2).astype(np.float64), 0.0)
        digests = [entry.sha256 for entry in entries]
        with explained(path):
            file_bytes = path.stat().st_size
        return PoolFacts(
            name=self.spec.name,
            split=self.split,
            image_size=self._image_shape[0],
            resize=self.spec.pool_resize(self.images),
            channels=self.dataset.channels,
            class_names=[entry.name for entry in entries],
            class_sizes=[entry.images for entry in entries],
            class_sha256=digests,
            groups=groups,
            mean=mean.astype(np.float64).tolist(),
            std=np.sqrt(variance).tolist(),
            component=canonical(self.spec.component),
            fingerprint=self.spec.fingerprint,
            sha256=digest_of_digests(digests),
            file_bytes=file_bytes,
            prepared=datetime.now(UTC).isoformat(timespec="microseconds"),
        )

    def _header(self, sizes: dict[str, int]) -> dict[str, Any]:
        shape = (sum(sizes.values()), *self._image_shape)
        return {"descr": "|u1", "fortran_order": False, "shape": shape}

    @property
    def _where(self) -> str:
        return f"{self.spec.name}/{self.split}"

    @property
    def _image_shape(self) -> tuple[int, int, int]:
        size = self.spec.pool_size(self.images)
        return (size, size, self.dataset.channels)

    def _read(self, classes: Sequence[str]) -> Iterator[ClassImages]:
        try:
            yield from self.dataset.read(self.split, classes, self.data_dir)
        except OSError as error:
            raise DataError(
                f"The raw data of {self._where} cannot be read: {error}. Check the disk it is on."
            ) from error
