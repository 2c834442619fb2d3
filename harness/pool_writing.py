"""Writing a pool: a source is read class by class into `images.npy` and described in `pool.json`.

`harness.pools` decides where and when; this module does it, in bounded memory and with every class checked
against what the source announced.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from harness.dataset import ClassImages, Dataset
from harness.errors import DataError
from harness.files import explained, write_json
from harness.spec import SourceSpec, canonical

IMAGES, FACTS = "images.npy", "pool.json"

Progress = Callable[[str, int, int], None]
"""Called as (`source/split`, classes done, classes in all) while a pool is prepared."""


@dataclass(frozen=True, kw_only=True)
class PoolFacts:
    """What pool.json says. `file_bytes` is the size of images.npy, `prepared` an ISO time in UTC."""

    name: str
    split: str
    image_size: int
    channels: int
    class_names: list[str]
    class_sizes: list[int]
    component: Mapping[str, Any]
    fingerprint: str
    sha256: str
    file_bytes: int
    prepared: str


@dataclass(frozen=True, kw_only=True)
class PoolReading:
    """What to read: one split of one source at one size."""

    dataset: Dataset
    spec: SourceSpec
    split: str
    image_size: int
    data_dir: Path | None

    def write(self, folder: Path, progress: Progress | None = None) -> None:
        """Fill the empty `folder` with the pool. On an error what it holds is worthless.

        Raises DataError when the raw data is missing, damaged, or is not what the spec or
        `dataset.class_sizes` says; WorkspaceError when the folder cannot be written.
        """
        facts = self._write_images(folder / IMAGES, self._class_sizes(), progress)
        write_json(folder / FACTS, asdict(facts))

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
        return sizes

    def _write_images(self, path: Path, sizes: dict[str, int], progress: Progress | None) -> PoolFacts:
        shape = (sum(sizes.values()), self.image_size, self.image_size, self.dataset.channels)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        digest = hashlib.sha256()
        with ExitStack() as stack:
            with explained(path):
                handle: BinaryIO = stack.enter_context(path.open("wb", buffering=0))
                np.lib.format.write_array_header_1_0(handle, header)
            for done, images in enumerate(self._classes(sizes), start=1):
                pixels = np.ascontiguousarray(images).tobytes()
                digest.update(pixels)
                with explained(path):
                    _write_all(handle, pixels)
                if progress is not None:
                    progress(self._where, done, len(sizes))
            with explained(path):
                os.fsync(handle.fileno())
                file_bytes = path.stat().st_size
        return PoolFacts(
            name=self.spec.name,
            split=self.split,
            image_size=self.image_size,
            channels=self.dataset.channels,
            class_names=list(sizes),
            class_sizes=list(sizes.values()),
            component=canonical(self.spec.component),
            fingerprint=self.spec.fingerprint,
            sha256=digest.hexdigest(),
            file_bytes=file_bytes,
            prepared=datetime.now(UTC).isoformat(timespec="microseconds"),
        )

    def _classes(self, sizes: dict[str, int]) -> Iterator[npt.NDArray[np.uint8]]:
        """The images of each class, checked against what `class_sizes` promised."""
        where, expected = self._where, list(sizes.items())
        done = 0
        for name, images in self._read():
            if done == len(expected):
                raise DataError(f"Source {where} yields class {name!r} after the {done} it announced.")
            if (name, len(images)) != expected[done]:
                raise DataError(
                    f"Source {where} yields class {name!r} with {len(images)} images where it announced "
                    f"{expected[done][0]!r} with {expected[done][1]}. Is the raw data being changed?"
                )
            if images.dtype != np.uint8 or images.shape[1:] != self._image_shape:
                raise DataError(
                    f"Source {where} yields {images.dtype} images {images.shape[1:]} for class {name!r}; "
                    f"uint8 {self._image_shape} is needed. Mend the plugin's `read`."
                )
            yield images
            done += 1
        if done < len(expected):
            raise DataError(f"Source {where} yields {done} classes; it announced {len(expected)}.")

    @property
    def _where(self) -> str:
        return f"{self.spec.name}/{self.split}"

    @property
    def _image_shape(self) -> tuple[int, int, int]:
        return (self.image_size, self.image_size, self.dataset.channels)

    def _read(self) -> Iterator[ClassImages]:
        try:
            yield from self.dataset.read(self.split, self.image_size, self.data_dir)
        except OSError as error:
            raise DataError(
                f"The raw data of {self._where} cannot be read: {error}. Check the disk it is on."
            ) from error


def _write_all(handle: BinaryIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[handle.write(rest) :]
