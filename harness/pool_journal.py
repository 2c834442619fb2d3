"""What an interrupted pool keeps: one line a finished class, and how to carry on behind the last of them."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from harness.errors import DataError

IMAGES, JOURNAL = "images.npy", "journal.jsonl"


@dataclass(frozen=True, kw_only=True)
class ClassEntry:
    """A class that is written: its digest, and per channel the sums of its pixels and of their squares."""

    name: str
    images: int
    sha256: str
    sums: list[int]
    squares: list[int]


class Tally:
    """What is known of the class being written. `name`: its name."""

    def __init__(self, name: str, channels: int) -> None:
        self.name, self._images, self._digest = name, 0, hashlib.sha256()
        self._sums, self._squares = np.zeros(channels, dtype=object), np.zeros(channels, dtype=object)

    def add(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Count in some more of its images, uint8 [n, H, W, C]."""
        self._images += len(pixels)
        self._digest.update(np.ascontiguousarray(pixels).data)
        for start in range(0, len(pixels), 64):  # a few at a time: a small copy
            wide = pixels[start : start + 64].astype(np.uint64)
            self._sums += wide.sum((0, 1, 2)).astype(object)
            self._squares += (wide * wide).sum((0, 1, 2)).astype(object)

    def entry(self, sizes: Mapping[str, int], where: str) -> ClassEntry:
        """The class as written. Raises DataError when it is not what was announced."""
        if self._images != sizes[self.name]:
            raise DataError(
                f"Source {where} yields class {self.name!r} with {self._images} images where it announced "
                f"{sizes[self.name]}. Is the raw data being changed?"
            )
        return ClassEntry(
            name=self.name,
            images=self._images,
            sha256=self._digest.hexdigest(),
            sums=[int(v) for v in self._sums],
            squares=[int(v) for v in self._squares],
        )


def digest_of_digests(digests: Sequence[str]) -> str:
    """The digest of a pool: sha256 of its classes' digests, one after another."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def finished_classes(folder: Path, sizes: dict[str, int], shape: tuple[int, int, int]) -> list[ClassEntry]:
    """The classes that an interrupted call has written whole, as the pixels on disk confirm."""
    entries: list[ClassEntry] = []
    try:
        lines = finished_lines(folder)
        with (folder / IMAGES).open("rb") as handle:
            _skip_header(handle)
            for line, (name, size) in zip(lines, sizes.items(), strict=False):
                entry = ClassEntry(**json.loads(line))
                if (entry.name, entry.images) != (name, size):
                    break
                if _digest_of_next(handle, size * int(np.prod(shape))) != entry.sha256:
                    break
                entries.append(entry)
    except (OSError, ValueError, TypeError):  # nothing there, or a torn last line
        pass
    return entries


def finished_lines(folder: Path) -> list[str]:
    """The journal's lines, without a last one that is torn. Raises OSError or ValueError when it cannot be read."""
    return (folder / JOURNAL).read_text(encoding="utf-8").split("\n")[:-1]


def _digest_of_next(handle: BinaryIO, size: int, at_once: int = 1 << 24) -> str:
    digest = hashlib.sha256()
    while size > 0 and (part := handle.read(min(size, at_once))):
        digest.update(part)
        size -= len(part)
    return digest.hexdigest()


def _skip_header(handle: BinaryIO) -> None:
    np.lib.format.read_magic(handle)
    np.lib.format.read_array_header_1_0(handle)


def go_on(
    handle: BinaryIO,
    journal: BinaryIO,
    entries: list[ClassEntry],
    header: dict[str, Any],
    shape: tuple[int, int, int],
) -> None:
    """Put both files where the next class begins, and cut off what lies behind it."""
    np.lib.format.write_array_header_1_0(handle, header)
    handle.seek(sum(entry.images for entry in entries) * int(np.prod(shape)), os.SEEK_CUR)
    handle.truncate()
    journal.seek(sum(len(journal_line(entry)) for entry in entries))
    journal.truncate()


def journal_line(entry: ClassEntry) -> bytes:
    """The entry as it stands in the journal."""
    return (json.dumps(asdict(entry)) + "\n").encode()


def write_all(handle: BinaryIO, data: bytes) -> None:
    """Write all of `data` to an unbuffered file."""
    rest = memoryview(data)
    while rest:
        rest = rest[handle.write(rest) :]
