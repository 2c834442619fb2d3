"""Inside zip and tar archives: what they hold, and how one member is read. Nothing is ever unpacked to a path."""

import gzip
import re
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt

from harness.errors import DataError, WorkspaceError

CHUNK = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
BLOCK = 512

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


def _refuse_special(name: str, location: Path, kind: str) -> None:
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
                _refuse_special(info.filename, location, "a link")
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


def list_tar(location: Path, *, checksums: bool) -> Listing:
    """The members of a tar, plain or gzip, by one pass; with `checksums` every byte is read.

    A gzip must be read in full to be listed, so its checksums always come along.
    Raises DataError for a truncated or damaged archive, and for members that are links or lead out of it.
    """
    paths: list[bytes] = []
    sizes: list[int] = []
    offsets: list[int] = []
    crcs: list[int] = []
    folders: set[bytes] = set()
    try:
        compressed = is_gzip(location)
        with _tar_stream(location) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            while (info := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep an object per member
                if info.isdir() and info.name.rstrip("/") == ".":
                    continue
                path = clean_member(info.name, location)
                if info.isdir():
                    folders.add(path)
                    continue
                if not info.isreg() or info.issparse():
                    _refuse_special(
                        info.name, location, "a link" if info.issym() or info.islnk() else "special"
                    )
                if not is_visible(path):
                    continue
                paths.append(path)
                sizes.append(info.size)
                offsets.append(info.offset_data)
                if checksums or compressed:
                    stream.seek(info.offset_data)
                    crcs.append(crc_of(stream, info.size))
            _check_end(stream, archive.offset)
    except DAMAGED as error:
        raise unopenable(location, "tar", error) from error
    known = crcs if len(crcs) == len(paths) else None
    folders = {folder for folder in folders if is_visible(folder + b"/")}
    return make_listing(location, paths, sizes, crcs=known, offsets=offsets, folders=folders)


def _check_end(stream: IO[bytes], offset: int) -> None:
    """A tar ends in a block of zeros; tarfile takes a file cut off between two members for a shorter archive."""
    stream.seek(offset)
    if stream.read(BLOCK) != b"\0" * BLOCK:
        raise EOFError(f"there is no end mark at byte {offset}")
    while stream.read(CHUNK):  # to the checksum at the end of a gzip
        pass


def crc_of(stream: IO[bytes], size: int) -> int:
    """CRC-32 of the next `size` bytes. Raises EOFError where there are fewer."""
    crc, left = 0, size
    while left:
        chunk = stream.read(min(CHUNK, left))
        if not chunk:
            raise EOFError(f"{left} of {size} bytes are missing")
        crc, left = zlib.crc32(chunk, crc), left - len(chunk)
    return crc


def _tar_stream(location: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(location)) if is_gzip(location) else location.open("rb")


def read_tar_members(location: Path, listing: Listing, paths: Sequence[str]) -> dict[str, bytes]:
    """Path -> content of a few small members, by one pass through the archive. Raises one of `DAMAGED`."""
    if listing.offsets is None:
        raise ValueError(f"{location} was not listed as a tar")
    rows = {path: listing.row(path) for path in paths}
    missing = [path for path, row in rows.items() if row is None]
    if missing:
        raise KeyError(f"there is no {missing[0]}")
    contents = {}
    with _tar_stream(location) as stream:
        # Forwards only: to step back in a gzip is to begin again.
        for path, row in sorted(rows.items(), key=lambda item: int(listing.offsets[item[1]])):  # type: ignore[index]
            stream.seek(int(listing.offsets[row]))
            contents[path] = stream.read(int(listing.sizes[row]))
    return {path: contents[path] for path in paths}


@contextmanager
def tar_opener(location: Path, listing: Listing) -> Iterator[Opener]:
    """Opens members of a tar by their path.

    Classes are read in the order of a split, not of the archive, and a gzip cannot be read from the middle:
    it is unpacked once into a temporary file without a name, which the system removes even when the process
    is killed. Raises WorkspaceError where there is no room for it.
    """
    try:
        compressed = is_gzip(location)
    except OSError as error:
        raise unopenable(location, "tar", error) from error
    with tempfile.TemporaryFile() if compressed else location.open("rb") as stream:
        if compressed:
            _unpack(location, stream)
        with tarfile.open(fileobj=stream, mode="r:") as archive:

            def open_member(path: str) -> IO[bytes]:
                row = listing.row(path)
                if row is None or listing.offsets is None:
                    raise KeyError(f"there is no {path}")
                info = tarfile.TarInfo(path)
                info.size, info.offset_data = int(listing.sizes[row]), int(listing.offsets[row])
                return cast(IO[bytes], archive.extractfile(info))

            yield open_member


def _unpack(location: Path, stream: IO[bytes]) -> None:
    with gzip.open(location) as content:
        while True:
            try:
                chunk = content.read(CHUNK)
            except DAMAGED as error:
                raise unopenable(location, "tar", error) from error
            if not chunk:
                break
            try:
                stream.write(chunk)
            except OSError as error:
                raise WorkspaceError(
                    f"{location} cannot be unpacked for reading into {tempfile.gettempdir()}: "
                    f"{error.strerror or error}. Make room there, name another folder with TMPDIR, or unpack the "
                    "archive yourself and name its folder."
                ) from error
    stream.seek(0)
