"""Raw files as people have them: still in the zip they came in, or unpacked beside it."""

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DataError

Checksum = tuple[str, int, int]
"""Path, CRC-32 and size in bytes of one file."""


@dataclass(frozen=True, kw_only=True)
class RawFolder:
    """A folder of raw files, packed (`location` is a zip) or unpacked (`location` is the folder itself).

    Paths are relative, with `/`, and begin with the folder's name in both cases. Nothing is ever extracted
    to disk, so a path in an archive cannot lead anywhere.
    """

    location: Path
    packed: bool

    def paths(self) -> list[str]:
        """All files, sorted. Raises DataError when the archive is truncated or the folder unreadable."""
        if self.packed:
            with _open_zip(self.location) as archive:
                return sorted({info.filename for info in archive.infolist() if not info.is_dir()})
        with _explained(self.location):
            walk = os.walk(self.location, onerror=_raise)
            return sorted(_inside(self.location, Path(at) / name) for at, _, files in walk for name in files)

    def checksums(self, wanted: Callable[[str], bool]) -> list[Checksum]:
        """Checksums of the wanted files, sorted by path; equal for an archive and its unpacked tree.

        An archive lists them, so nothing is decompressed; a tree is read in full.
        Raises DataError as `paths` does.
        """
        if self.packed:
            with _open_zip(self.location) as archive:
                members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
            return sorted((path, m.CRC, m.file_size) for path, m in members.items() if wanted(path))
        with self.reader() as read:
            contents = ((path, read(path)) for path in self.paths() if wanted(path))
            return [(path, zlib.crc32(content), len(content)) for path, content in contents]

    @contextmanager
    def reader(self) -> Iterator[Callable[[str], bytes]]:
        """A function from a path to the file's bytes; it raises DataError for a damaged or missing file."""
        if not self.packed:
            yield self._read_unpacked
            return
        with _open_zip(self.location) as archive:

            def read(path: str) -> bytes:
                try:
                    return archive.read(path)
                except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, RuntimeError) as error:
                    raise DataError(
                        f"{path} in {self.location} is damaged ({error}). Fetch the archive again."
                    ) from error

            yield read

    def _read_unpacked(self, path: str) -> bytes:
        with _explained(self.location.parent / path):
            return (self.location.parent / path).read_bytes()


def find_raw_folder(name: str, places: Sequence[Path]) -> RawFolder | None:
    """`name`.zip, or else the folder `name`, in the first of `places` that has one; None when none has."""
    for place in places:
        if (place / f"{name}.zip").is_file():
            return RawFolder(location=place / f"{name}.zip", packed=True)
        if (place / name).is_dir():
            return RawFolder(location=place / name, packed=False)
    return None


def _inside(location: Path, path: Path) -> str:
    return path.relative_to(location.parent).as_posix()


def _raise(error: OSError) -> None:
    raise error


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename or path} cannot be read: {error.strerror or error}. "
            "Mend its permissions or fetch it again."
        ) from error


@contextmanager
def _open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise DataError(
            f"{path} ({path.stat().st_size if path.exists() else 0} bytes) cannot be opened: {error}. "
            "It is truncated or no zip archive: fetch it again."
        ) from error
    with archive:
        yield archive
