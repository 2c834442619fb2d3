"""Pools: all images of one source and split, on disk.

`<cache>/pools/<pool_key>/` holds `images.npy` (uint8 [N, H, W, C], class after class) and `pool.json` (what
is in it, and the digest of its pixels). A folder of that name is complete or not there: it is written aside
and renamed. The driver prepares pools before the runs start; a node that has none of them prepares or fetches them
once (`harness.node_pools`); workers open them.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.dataset import Dataset
from harness.errors import DataError, WorkspaceError
from harness.files import explained, make_folder
from harness.pool_images import PoolImages
from harness.pool_journal import IMAGES, digest_of_digests
from harness.pool_lock import FOLDER, lock_of, one_at_a_time
from harness.pool_writing import FACTS, PoolFacts, PoolReading, Progress
from harness.spec import ImageSpec, SourceSpec

PARTIAL = ".partial"


@dataclass(frozen=True, kw_only=True, eq=False)
class PoolGroups:
    """`dataset.ClassGroups` of a pool, with class numbers for names: `names[i]` has the classes `members[i]`."""

    kind: str
    names: tuple[str, ...]
    members: tuple[npt.NDArray[np.int64], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """One source and split, open.

    Attributes:
        key: the name of its folder.
        source, split: what it holds.
        images: uint8 [N, H, W, C] on disk, read row by row; class c owns the rows after those of 0..c-1.
        class_names: in row order.
        class_sizes: int64 [n_classes], images of each class; they add up to N.
        fingerprint: of the raw content it was read from.
        sha256: of its pixels, as recorded when it was prepared (see `pool_writing.PoolFacts`).
        mean, std: of each channel's pixels, 0..255.
        groups: numbers of the classes that belong together, and their kind; None where the source has none.
    """

    key: str
    source: str
    split: str
    images: PoolImages | npt.NDArray[np.uint8]
    class_names: tuple[str, ...]
    class_sizes: npt.NDArray[np.int64]
    fingerprint: str
    sha256: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    groups: PoolGroups | None

    @property
    def image_size(self) -> int:
        """Pixels a side."""
        return int(self.images.shape[1])

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (RGB)."""
        return int(self.images.shape[3])


def open_pool(cache: Path, key: str) -> Pool:
    """The pool called `key`; only its description is read, pixels come as they are used.

    Raises DataError when it is not there, is truncated, or disagrees with its pool.json.
    """
    return _opened(cache / FOLDER / key)


def _opened(folder: Path) -> Pool:
    facts = read_facts(folder)
    path, shape = folder / IMAGES, _shape(facts)
    size = path.stat().st_size if path.is_file() else 0
    if size != facts.file_bytes:
        raise _damaged(folder, f"{IMAGES} has {size} bytes where {FACTS} says {facts.file_bytes}")
    try:
        images = _open_images(path, shape)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(folder, f"{IMAGES} cannot be opened ({error})") from error
    sizes = np.array(facts.class_sizes, dtype=np.int64)
    sizes.setflags(write=False)
    return Pool(
        key=folder.name,
        source=facts.name,
        split=facts.split,
        images=images,
        class_names=tuple(facts.class_names),
        class_sizes=sizes,
        fingerprint=facts.fingerprint,
        sha256=facts.sha256,
        mean=tuple(facts.mean),
        std=tuple(facts.std),
        groups=_groups(facts),
    )


def _open_images(path: Path, shape: tuple[int, int, int, int]) -> PoolImages:
    """Raises ValueError when the file does not hold uint8 images of `shape`."""
    with path.open("rb") as handle:
        np.lib.format.read_magic(handle)
        found, fortran, dtype = np.lib.format.read_array_header_1_0(handle)
        offset = handle.tell()
    if dtype != np.uint8 or found != shape or fortran:
        raise ValueError(f"it holds {dtype} {found} where {FACTS} says uint8 {shape}")
    return PoolImages(path, shape, offset)


def _groups(facts: PoolFacts) -> PoolGroups | None:
    if facts.groups is None:
        return None
    members = facts.groups["members"]
    return PoolGroups(
        kind=facts.groups["kind"],
        names=tuple(members),
        members=tuple(np.array(numbers, dtype=np.int64) for numbers in members.values()),
    )


def ensure_pool(
    dataset: Dataset,
    source_spec: SourceSpec,
    split: str,
    images: ImageSpec,
    *,
    data_dir: Path | None,
    cache: Path,
    progress: Progress | None = None,
    on_wait: Callable[[str], object] | None = None,
) -> Pool:
    """The pool of `split` for images of that kind, prepared first when it is not there or is damaged.

    A part of a class at a time is in memory. Of several processes that want the same pool, one prepares it and
    the others wait, after calling `on_wait` with its key. An interrupted preparation is carried on from the last
    whole class by the next call, and so is one that the disk had no room for; an error of the data leaves nothing.

    Raises DataError when the raw data is missing, damaged, or is not what `source_spec` or
    `dataset.class_sizes` says; WorkspaceError when the cache cannot be written or the disk is full.
    """
    reading = PoolReading(dataset=dataset, spec=source_spec, split=split, images=images, data_dir=data_dir)
    key = source_spec.pool_key(split, images)
    return make_once(cache, key, lambda aside: reading.write(aside, progress), on_wait=on_wait)


def make_once(
    cache: Path,
    key: str,
    make: Callable[[Path], object],
    *,
    on_wait: Callable[[str], object] | None = None,
) -> Pool:
    """The pool called `key`; where it is not there or is damaged, `make` fills a folder aside that becomes it.

    One whose pixels were touched after it was prepared is damaged where they are not those prepared. One process at a
    time, as `ensure_pool` says. Raises as `make` does, and WorkspaceError.
    """
    pool = _sound_pool(cache, key)
    if pool is None:
        parent = make_folder(cache / FOLDER)
        with one_at_a_time(lock_of(cache, key), lambda: on_wait and on_wait(key)) as alone:
            pool = _sound_pool(cache, key)  # another process may have prepared it meanwhile
            if pool is None:
                _prepare(make, parent / key, alone)
                pool = open_pool(cache, key)
    return pool


def verify_pool(cache: Path, key: str, progress: Progress | None = None) -> Pool:
    """Open the pool and read every pixel; `progress` is called as when it is prepared.

    Raises DataError as `open_pool` does, and when a class's digest differs, naming the class.
    """
    return verify_folder(cache / FOLDER / key, progress)


def verify_folder(folder: Path, progress: Progress | None = None) -> Pool:
    """As `verify_pool`, of a pool that may still lie aside."""
    pool, facts = _opened(folder), read_facts(folder)
    images = _open_images(folder / IMAGES, _shape(facts))
    if len(facts.class_sha256) != len(facts.class_names):
        raise _damaged(folder, f"{FACTS} has digests of {len(facts.class_sha256)} classes")
    classes = zip(facts.class_names, facts.class_sha256, class_rows(pool), strict=True)
    for done, (name, expected, rows) in enumerate(classes, start=1):
        digest = hashlib.sha256()
        for part in images.parts(rows):
            digest.update(part.data)
        if digest.hexdigest() != expected:
            raise _damaged(folder, f"the pixels of class {name!r} are not those prepared")
        if progress is not None:
            progress(f"{facts.name}/{facts.split}", done, len(facts.class_names))
    if digest_of_digests(facts.class_sha256) != facts.sha256:
        raise _damaged(folder, f"the digests in {FACTS} do not fit together")
    return pool


def class_rows(pool: Pool) -> list[range]:
    """The rows of each class."""
    ends = np.cumsum(pool.class_sizes).tolist()
    return [range(end - int(size), end) for end, size in zip(ends, pool.class_sizes, strict=True)]


def _damaged(folder: Path, reason: str) -> DataError:
    return DataError(
        f"The pool {folder} is damaged: {reason}. Delete the folder and run the same command again; "
        "the pool is then prepared anew from the raw data."
    )


def read_facts(folder: Path) -> PoolFacts:
    """What the pool's pool.json says. Raises DataError when it is not there or damaged."""
    path = folder / FACTS
    try:
        facts = PoolFacts(**json.loads(path.read_text(encoding="utf-8")))
        _shape(facts)
    except (FileNotFoundError, NotADirectoryError) as error:
        if (folder / IMAGES).exists():
            raise _damaged(folder, f"{FACTS} is missing") from error
        raise DataError(
            f"The pool {folder} is not there. Prepare it with `harness data prepare` and the same words, where the "
            "raw data is; or name another cache with --cache."
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(folder, f"{FACTS} cannot be read ({error})") from error
    return facts


def _shape(facts: PoolFacts) -> tuple[int, int, int, int]:
    if len(facts.class_names) != len(facts.class_sizes):
        raise ValueError(f"{len(facts.class_names)} class names and {len(facts.class_sizes)} class sizes")
    return (sum(facts.class_sizes), facts.image_size, facts.image_size, facts.channels)


def usable_pool(cache: Path, key: str) -> Pool | None:
    """The pool, open; None where `open_pool` would raise."""
    try:
        return open_pool(cache, key)
    except DataError:
        return None


def _sound_pool(cache: Path, key: str) -> Pool | None:
    """As `usable_pool`; None, too, where the pixels are not those prepared.

    They are read for that only where their file is newer than pool.json, which is written after it: reading all of
    them before each command would take minutes. What a disk changes by itself, `harness data verify` finds.
    """
    pool, folder = usable_pool(cache, key), cache / FOLDER / key
    try:
        if pool is None or (folder / IMAGES).stat().st_mtime_ns <= (folder / FACTS).stat().st_mtime_ns:
            return pool
        pool = verify_folder(folder)
    except (DataError, FileNotFoundError):
        return None
    with suppress(OSError):  # a cache that is only read is looked at again next time
        os.utime(folder / FACTS)
    return pool


def _prepare(make: Callable[[Path], object], folder: Path, alone: bool) -> None:
    """Write the pool aside, then rename it to `folder`.

    What an interruption or a full disk leaves aside is taken up again by the next call, where no other process can
    work in the same folder; what an error of the data leaves is removed.
    """
    aside = folder.with_name(
        f".{folder.name}{PARTIAL}" if alone else f".{folder.name}.{os.getpid()}{PARTIAL}"
    )
    try:
        make(make_folder(aside))
        with explained(folder):
            _install(aside, folder)
    except Exception as error:
        if not (alone and isinstance(error, WorkspaceError)):
            shutil.rmtree(aside, ignore_errors=True)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _install(aside: Path, folder: Path) -> None:
    """Rename `aside` to `folder`; a usable folder already there stays, a damaged one is replaced."""
    if folder.exists():
        if _sound_pool(folder.parent.parent, folder.name) is not None:
            return
        damaged = aside.with_name(f"{aside.name}.damaged.partial")
        folder.rename(damaged)
        shutil.rmtree(damaged, ignore_errors=True)
    aside.rename(folder)
