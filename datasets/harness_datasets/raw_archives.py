"""What archives have in common, and zip archives: what they hold, and how one member is read."""

import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from harness.errors import DataError

CHUNK = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"

Opener = Callable[[str], IO[bytes]]
"""From the path of a file to its content, to be closed by the caller."""

DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    KeyError,
    RuntimeError,
    NotImplementedError,
    ValueError,
)
"""What the standard library raises on archives that are truncated, damaged, encrypted or of an unknown kind."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Listing:
    """The files of an archive or a folder, sorted by path, in arrays: a million files are no million objects.

    paths: UTF-8, bytes [n]; sizes: in bytes, int64 [n]; crcs: CRC-32 [n], where known without reading;
    offsets: of the content in the (uncompressed) archive, int64 [n], for a tar; empty: folders without files.
    """

    paths: npt.NDArray[np.bytes_]
    sizes: npt.NDArray[np.int64]
    crcs: npt.NDArray[np.uint32] | None = None
    offsets: npt.NDArray[np.int64] | None = None
    empty: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, row: int) -> str:
        """The path of one file."""
        return bytes(self.paths[row]).decode()

    def row(self, path: str) -> int | None:
        """The row of `path`; None where there is no such file."""
        row = int(np.searchsorted(self.paths, path.encode()))
        return row if row < len(self) and self.paths[row] == path.encode() else None


def make_listing(
    location: Path,
    paths: list[bytes],
    sizes: list[int],
    *,
    folders: set[bytes],
    crcs: list[int] | None = None,
    offsets: list[int] | None = None,
) -> Listing:
    """Sort the files of `location`, of which `folders` may be empty. Raises DataError where a path comes twice."""
    kept = np.array(paths, dtype=np.bytes_) if paths else np.empty(0, "S1")
    order = np.argsort(kept, kind="stable")
    kept = kept[order]
    twice = np.flatnonzero(kept[1:] == kept[:-1])
    if len(twice):
        raise DataError(
            f"{location} has {bytes(kept[twice[0]]).decode()!r} twice ({len(twice)} such files): which one is "
            "meant cannot be told. Fetch it again, or unpack it and name the folder."
        )
    used = {path[:end] for path in set(_parents(paths)) for end in _ends(path)}
    return Listing(
        paths=kept,
        sizes=np.array(sizes, np.int64)[order],
        crcs=None if crcs is None else np.array(crcs, np.uint32)[order],
        offsets=None if offsets is None else np.array(offsets, np.int64)[order],
        empty=tuple(sorted(folder.decode() for folder in folders - used)),
    )


def _parents(paths: list[bytes]) -> Iterator[bytes]:
    return (path.rpartition(b"/")[0] for path in paths)


def _ends(folder: bytes) -> list[int]:
    """Where the name of `folder` and of each folder above it ends."""
    return [at for at in range(len(folder)) if folder[at : at + 1] == b"/"] + [len(folder)]


def is_visible(path: bytes) -> bool:
    """Whether it is a raw file: not hidden (`.DS_Store`), nor what macOS adds to a zip."""
    return not (path.startswith((b".", b"__MACOSX/")) or b"/." in path or b"/__MACOSX/" in path)


def clean_member(name: str, location: Path) -> bytes:
    """The path of a member without `./` and doubled slashes.

    Raises DataError for a path that leads out of the archive, or that is no text.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    slashed = name.replace("\\", "/")
    if ".." in slashed.split("/") or slashed.startswith("/") or re.match("[A-Za-z]:/", slashed) or not parts:
        raise DataError(
            f"{location} has the member {name!r}, which leads out of the archive: it is not read. "
            "Fetch the archive from its original place."
        )
    try:
        return "/".join(parts).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{location} has the member {name!r}, whose name is no UTF-8: rename it.") from error


def refuse_special(name: str, location: Path, kind: str) -> None:
    """Raise DataError for a member that is no plain file."""
    raise DataError(
        f"{location} has the member {name!r}, which is {kind} and no plain file: it is not followed. "
        "Unpack the archive and name the folder instead."
    )


@contextmanager
def open_zip(location: Path) -> Iterator[zipfile.ZipFile]:
    """The zip at `location`. Raises DataError where it is none."""
    try:
        archive = zipfile.ZipFile(location)
    except DAMAGED as error:
        raise unopenable(location, "zip", error) from error
    with archive:
        yield archive


def unopenable(location: Path, kind: str, error: Exception) -> DataError:
    """What is said of an archive that is truncated or none."""
    size = location.stat().st_size if location.exists() else 0
    return DataError(
        f"{location} ({size} bytes) cannot be opened: {error}. It is truncated or no {kind} archive: fetch it again."
    )


def list_zip(location: Path) -> Listing:
    """The members of a zip, with the checksums it holds. Raises DataError as `open_zip` and `clean_member` do."""
    paths, sizes, crcs, folders = [], [], [], set()
    with open_zip(location) as archive:
        for info in archive.infolist():
            path = clean_member(info.filename, location)
            if stat.S_ISLNK(info.external_attr >> 16):
                refuse_special(info.filename, location, "a link")
            if info.is_dir():
                folders.add(path)
            elif is_visible(path):
                paths.append(path)
                sizes.append(info.file_size)
                crcs.append(info.CRC)
    return make_listing(
        location, paths, sizes, crcs=crcs, folders={f for f in folders if is_visible(f + b"/")}
    )


@contextmanager
def zip_opener(location: Path) -> Iterator[Opener]:
    """Opens members of a zip by their clean path."""
    with open_zip(location) as archive:
        unclean = [
            name for name in archive.namelist() if name.startswith("./") or "//" in name or "/./" in name
        ]
        renamed = {clean_member(name, location).decode(): name for name in unclean}
        yield lambda path: archive.open(renamed.get(path, path))


def is_gzip(location: Path) -> bool:
    """Whether the file is compressed, by its first bytes: browsers unpack a .tar.gz and keep its name."""
    with location.open("rb") as file:
        return file.read(2) == GZIP_MAGIC


def crc_of(stream: IO[bytes], size: int) -> int:
    """CRC-32 of the next `size` bytes. Raises EOFError where there are fewer."""
    crc, left = 0, size
    while left:
        chunk = stream.read(min(CHUNK, left))
        if not chunk:
            raise EOFError(f"{left} of {size} bytes are missing")
        crc, left = zlib.crc32(chunk, crc), left - len(chunk)
    return crc
