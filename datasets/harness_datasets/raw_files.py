"""Raw files as people have them: still in the zip or tar they came in, or unpacked beside it."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness_datasets.raw_archives import DAMAGED, Listing, Opener, crc_of, list_zip, make_listing, zip_opener
from harness_datasets.raw_tar import list_tar, read_tar_members, tar_opener

FOLDER, ZIP, TAR = "folder", "zip", "tar"
SUFFIXES = {".zip": ZIP, ".tar": TAR, ".tar.gz": TAR, ".tgz": TAR}

Rows = npt.NDArray[np.intp]

Checksum = tuple[str, int, int]
"""Path, CRC-32 and size in bytes of one file."""


@dataclass(frozen=True, kw_only=True)
class RawFolder:
    """A folder of raw files, packed (`location` is a zip or tar) or unpacked (`location` is the folder itself).

    Paths are relative, with `/`. Those of an unpacked folder begin with its name, as those of an archive do that
    was made from it. Nothing is ever unpacked to a path on disk, and a member of an archive whose path leads out
    of it, that is a link or that comes twice is refused. In a folder links are followed, as whoever made the
    folder made them, but never in a circle.

    Hidden files, and what macOS adds to a zip (`__MACOSX`), are no raw files and not listed.
    only: of an unpacked folder, the entries at its top that belong to the source; empty for all of them.
    """

    location: Path
    form: str
    only: tuple[str, ...] = ()

    @property
    def packed(self) -> bool:
        """Whether it is an archive."""
        return self.form != FOLDER

    def listing(self) -> Listing:
        """All files, sorted by path.

        Raises DataError when the archive is truncated, damaged or not to be trusted, or the folder unreadable.
        """
        if not self.packed:
            return _list_folder(self.location, self.only)
        return _list_archive(self.location, self.form, _stamp(self.location), False)

    def paths(self) -> list[str]:
        """All files, sorted. Raises as `listing` does."""
        return [path.decode() for path in self.listing().paths.tolist()]

    def crcs(self, listing: Listing, rows: Rows) -> npt.NDArray[np.uint32]:
        """CRC-32 of the files in these rows of `listing`: an archive may list them, else they are read in full."""
        if listing.crcs is not None:
            return listing.crcs[rows]
        if self.form == TAR:
            full = _list_archive(self.location, TAR, _stamp(self.location), True)
            if full.crcs is not None and np.array_equal(full.paths, listing.paths):
                return full.crcs[rows]
            raise DataError(f"{self.location} changed while it was read. Run the command again.")
        return np.array([self._crc(listing.path(row), int(listing.sizes[row])) for row in rows], np.uint32)

    def _crc(self, path: str, size: int) -> int:
        file = self.location.parent / path
        try:
            with file.open("rb") as stream:
                return crc_of(stream, size)
        except (OSError, EOFError) as error:
            raise damaged(path, self.location, error) from error

    def checksums(self, wanted: Callable[[str], bool]) -> list[Checksum]:
        """Checksums of the wanted files, sorted by path; equal for an archive and its unpacked tree.

        Raises DataError as `listing` does.
        """
        listing = self.listing()
        rows = np.array([row for row in range(len(listing)) if wanted(listing.path(row))], np.intp)
        crcs = self.crcs(listing, rows)
        return [
            (listing.path(row), int(crc), int(listing.sizes[row]))
            for row, crc in zip(rows, crcs, strict=True)
        ]

    @contextmanager
    def opener(self) -> Iterator[Opener]:
        """A function that opens a file by its path; it raises any of `DAMAGED`, there or while it is read."""
        if self.form == ZIP:
            with zip_opener(self.location) as opened:
                yield opened
        elif self.form == TAR:
            with tar_opener(self.location, self.listing()) as opened:
                yield opened
        else:
            yield lambda path: (self.location.parent / path).open("rb")

    @contextmanager
    def reader(self) -> Iterator[Callable[[str], bytes]]:
        """A function from a path to the file's bytes; it raises DataError for a damaged or missing file."""
        with self.opener() as opened:

            def read(path: str) -> bytes:
                try:
                    with opened(path) as stream:
                        return stream.read()
                except DAMAGED as error:
                    raise damaged(path, self.location, error) from error

            yield read

    def read(self, path: str) -> bytes:
        """The bytes of one small file. Raises as `read_few` does."""
        return self.read_few([path])[path]

    def read_few(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Path -> content of a few small files, such as lists of images; remembered for a tar.

        Raises DataError as `reader` does.
        """
        if self.form != TAR:
            with self.reader() as read:
                return {path: read(path) for path in paths}
        return dict(_read_from_tar(self.location, _stamp(self.location), tuple(paths)))


def damaged(path: str, location: Path, error: Exception) -> DataError:
    """What is said of a file that cannot be read to its end."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else error
    return DataError(f"{path} in {location} is damaged or cannot be read ({said}). Fetch it again.")


def raw_folder_at(path: Path) -> RawFolder | None:
    """The folder or archive that is `path` itself; None where it is neither."""
    if path.is_dir():
        return RawFolder(location=path if path.name not in ("", "..") else path.resolve(), form=FOLDER)
    suffix = archive_suffix(path.name)
    return RawFolder(location=path, form=SUFFIXES[suffix]) if suffix and path.is_file() else None


def find_raw_folder(name: str, places: Sequence[Path]) -> RawFolder | None:
    """The archive or folder `name` in the first of `places` that has one; None when none has.

    A zip first, as it lists its checksums; then the folder; a tar last, as it must be read to be listed.
    """
    for place in places:
        for suffix in (".zip", "", ".tar", ".tar.gz", ".tgz"):
            found = raw_folder_at(place / f"{name}{suffix}")
            if found is not None and found.packed == bool(suffix):
                return found
    return None


def look_for(
    source: str,
    data_dir: Path,
    names: Sequence[str],
    *,
    inside: Sequence[str] = (),
    also: Sequence[str] = (),
) -> RawFolder | None:
    """The raw data of `source`: `data_dir` itself where it is an archive, else what is in `<data_dir>/<source>`
    or `data_dir`.

    names: what the archive (without suffix) or folder is called, in small letters; `*` stands for any text.
    inside: paths that are all there in the unpacked folder, by which it is known under another name; `also`: what
    else there belongs to it.
    Raises DataError where several archives or folders fit one of `names`.
    """
    if not data_dir.is_dir():
        return raw_folder_at(data_dir)
    for place in (data_dir / source, data_dir):
        for name in names if place.is_dir() else ():
            if (found := _named(name, place)) is not None:
                return found
        if inside and all((place / path).exists() for path in inside):
            tops = tuple(dict.fromkeys(path.partition("/")[0] for path in (*inside, *also)))
            return RawFolder(location=place, form=FOLDER, only=tops)
    return None


def _named(name: str, place: Path) -> RawFolder | None:
    """What is called `name` in `place`, in the preferred form."""
    with explained(place):
        stems = {entry.name[: len(entry.name) - len(archive_suffix(entry.name))] for entry in place.iterdir()}
    fitting = sorted(stem for stem in stems if fnmatchcase(stem.lower(), name))
    found = [raw for stem in fitting if (raw := find_raw_folder(stem, [place])) is not None]
    if len(found) > 1:
        raise DataError(
            f"{place} has {' and '.join(raw.location.name for raw in found)}, and which one is meant cannot be "
            "told: name its path instead of the folder, or move the others away."
        )
    return found[0] if found else None


def archive_suffix(name: str) -> str:
    """`.zip`, `.tar`, `.tar.gz` or `.tgz`; empty for the name of anything else."""
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")


# Listing an archive can mean to decompress gigabytes, and a source is asked for its fingerprint, its classes and
# its images one after the other. These remember pure functions of a file that did not change.
@lru_cache(maxsize=16)
def _list_archive(location: Path, form: str, stamp: tuple[int, int], checksums: bool) -> Listing:  # noqa: ARG001
    return list_zip(location) if form == ZIP else list_tar(location, checksums=checksums)


@lru_cache(maxsize=16)
def _read_from_tar(location: Path, stamp: tuple[int, int], paths: tuple[str, ...]) -> dict[str, bytes]:
    listing = _list_archive(location, TAR, stamp, False)
    try:
        return read_tar_members(location, listing, paths)
    except DAMAGED as error:
        raise damaged(" or ".join(paths), location, error) from error


def _stamp(location: Path) -> tuple[int, int]:
    """What changes when the file does: its size and time of writing."""
    with explained(location):
        now = location.stat()
    return now.st_size, now.st_mtime_ns


def _list_folder(location: Path, only: tuple[str, ...]) -> Listing:
    """Every file below a folder. Raises DataError for what cannot be read, and for links in a circle."""
    paths: list[bytes] = []
    sizes: list[int] = []
    folders: set[bytes] = set()
    waiting: list[tuple[Path, str, tuple[Path, ...]]] = [(location, location.name, (location.resolve(),))]
    while waiting:
        folder, inside, above = waiting.pop()
        folders.add(_encoded(inside, location))
        here = only if folder == location else ()
        with explained(folder), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                if here and entry.name not in here:
                    continue
                name = f"{inside}/{entry.name}"
                if entry.is_dir():
                    path = Path(entry.path)
                    waiting.append((path, name, _step(path, entry.is_symlink(), above)))
                    continue
                found = entry.stat()
                if not stat.S_ISREG(found.st_mode):
                    raise DataError(f"{entry.path} is no plain file: remove it from the raw data.")
                sizes.append(found.st_size)
                paths.append(_encoded(name, location))
    return make_listing(location, paths, sizes, folders=folders)


def _step(folder: Path, is_link: bool, above: tuple[Path, ...]) -> tuple[Path, ...]:
    """The real folders on the way to `folder`, of which only links make new ones worth keeping."""
    if not is_link:
        return above
    real = folder.resolve()
    if any(real == known or real in known.parents for known in (*above, folder.parent.resolve())):
        raise DataError(f"{folder} is a link to {real}, a folder above it: remove the link.")
    return (*above, real)


def _encoded(name: str, location: Path) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{location} has the file {name!r}, whose name is no UTF-8: rename it.") from error


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError, raised while `path` is read, into a DataError that says what cannot be read and why."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename or path} cannot be read: {error.strerror or error}. "
            "Mend its permissions or fetch it again."
        ) from error
