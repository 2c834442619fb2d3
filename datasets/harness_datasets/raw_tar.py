"""Inside tar archives, plain or gzip: what they hold, and how one member is read. None is unpacked to a path."""

import gzip
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from harness.errors import WorkspaceError
from harness_datasets.raw_archives import (
    CHUNK,
    DAMAGED,
    Listing,
    Opener,
    clean_member,
    crc_of,
    is_gzip,
    is_visible,
    make_listing,
    refuse_special,
    unopenable,
)

BLOCK = 512


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
                    refuse_special(
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
