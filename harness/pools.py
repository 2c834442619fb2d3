"""Pools: all images of one source and split, on disk, memory-mapped.

`<cache>/pools/<pool_key>/` holds `images.npy` (uint8 [N, H, W, C], class after class) and `pool.json` (what
is in it, and the digest of its pixels). A folder of that name is complete or not there: it is written aside
and renamed. Only the driver prepares pools; workers open them.
"""

import glob
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.dataset import Dataset
from harness.errors import DataError
from harness.files import explained, make_folder
from harness.plugins import Component
from harness.pool_writing import FACTS, IMAGES, PoolFacts, PoolReading, Progress
from harness.spec import SourceSpec, canonical

if sys.platform != "win32":
    import fcntl

FOLDER = "pools"


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """One source and split, open.

    Attributes:
        key: the name of its folder.
        source, split: what it holds.
        images: uint8 [N, H, W, C], memory-mapped and read-only; class c owns the rows after those of 0..c-1.
        class_names: in row order.
        class_sizes: int64 [n_classes], images of each class; they add up to N.
        fingerprint: of the raw content it was read from.
        sha256: of the bytes of `images` in C order, as recorded when it was prepared.
    """

    key: str
    source: str
    split: str
    images: npt.NDArray[np.uint8]
    class_names: tuple[str, ...]
    class_sizes: npt.NDArray[np.int64]
    fingerprint: str
    sha256: str

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
    folder = cache / FOLDER / key
    facts = _facts(folder)
    path, shape = folder / IMAGES, _shape(facts)
    size = path.stat().st_size if path.is_file() else 0
    if size != facts.file_bytes:
        raise _damaged(folder, f"{IMAGES} has {size} bytes where {FACTS} says {facts.file_bytes}")
    try:
        images = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(folder, f"{IMAGES} cannot be opened ({error})") from error
    if images.dtype != np.uint8 or images.shape != shape:
        raise _damaged(
            folder, f"{IMAGES} holds {images.dtype} {images.shape} where {FACTS} says uint8 {shape}"
        )
    sizes = np.array(facts.class_sizes, dtype=np.int64)
    sizes.setflags(write=False)
    return Pool(
        key=key,
        source=facts.name,
        split=facts.split,
        images=images,
        class_names=tuple(facts.class_names),
        class_sizes=sizes,
        fingerprint=facts.fingerprint,
        sha256=facts.sha256,
    )


def ensure_pool(
    dataset: Dataset,
    source_spec: SourceSpec,
    split: str,
    image_size: int,
    *,
    data_dir: Path | None,
    cache: Path,
    progress: Progress | None = None,
) -> Pool:
    """The pool of `split` at `image_size` pixels, prepared first when it is not there or is damaged.

    One class at a time is in memory. Of several processes that want the same pool, one prepares it and the
    others wait. Whatever stops the work (an error, Ctrl-C), nothing half-made is left.

    Raises DataError when the raw data is missing, damaged, or is not what `source_spec` or
    `dataset.class_sizes` says; WorkspaceError when the cache cannot be written or the disk is full.
    """
    key = source_spec.pool_key(split, image_size)
    pool = _usable(cache, key)
    if pool is None:
        parent = make_folder(cache / FOLDER)
        with _one_at_a_time(parent / f".{key}.lock") as alone:
            pool = _usable(cache, key)  # another process may have prepared it meanwhile
            if pool is None:
                reading = PoolReading(
                    dataset=dataset, spec=source_spec, split=split, image_size=image_size, data_dir=data_dir
                )
                _prepare(reading, parent / key, progress, alone)
                pool = open_pool(cache, key)
    return pool


def find_prepared(cache: Path, component: Component) -> str | None:
    """The fingerprint of the newest usable pool of this source with these parameters, or None.

    With it, a source whose raw data is gone can still be used from its pools.
    """
    wanted = canonical(component)
    known = [
        (f.prepared, f.fingerprint)
        for key, f in _all_facts(cache)
        if f.component == wanted and _usable(cache, key)
    ]
    return max(known)[1] if known else None


def status(cache: Path) -> list[dict[str, Any]]:
    """One row per pool folder, sorted by key.

    Keys: key, source, split, image_size, channels, classes, images, bytes (on disk), fingerprint, sha256,
    prepared, and problem (None, or why it cannot be used; the others are then None where unknown).
    """
    rows = []
    for folder in _folders(cache):
        row: dict[str, Any] = dict.fromkeys(
            (
                "source",
                "split",
                "image_size",
                "channels",
                "classes",
                "images",
                "fingerprint",
                "sha256",
                "prepared",
            )
        )
        row |= {"key": folder.name, "bytes": sum(f.stat().st_size for f in folder.iterdir()), "problem": None}
        try:
            facts = _facts(folder)
            row |= {name: getattr(facts, name) for name in row.keys() & asdict(facts).keys()}
            row |= {"source": facts.name, "classes": len(facts.class_names), "images": sum(facts.class_sizes)}
            open_pool(cache, folder.name)
        except DataError as error:
            row["problem"] = str(error)
        rows.append(row)
    return rows


def pool_digest(images: npt.NDArray[np.uint8], rows_at_once: int = 4096) -> str:
    """sha256 of the bytes of `images` in C order, read `rows_at_once` rows at a time."""
    digest = hashlib.sha256()
    for start in range(0, len(images), rows_at_once):
        digest.update(np.ascontiguousarray(images[start : start + rows_at_once]).data)
    return digest.hexdigest()


def verify_pool(cache: Path, key: str) -> Pool:
    """Open the pool and read every pixel.

    Raises DataError as `open_pool` does, and when the digest differs.
    """
    pool = open_pool(cache, key)
    found = pool_digest(pool.images)
    if found != pool.sha256:
        raise _damaged(
            cache / FOLDER / key, f"its pixels have sha256 {found[:12]}..., not {pool.sha256[:12]}..."
        )
    return pool


def _damaged(folder: Path, reason: str) -> DataError:
    return DataError(
        f"The pool {folder} is damaged: {reason}. Delete the folder and run the same command again; "
        "the pool is then prepared anew from the raw data."
    )


def _facts(folder: Path) -> PoolFacts:
    path = folder / FACTS
    try:
        facts = PoolFacts(**json.loads(path.read_text(encoding="utf-8")))
        _shape(facts)
    except (FileNotFoundError, NotADirectoryError) as error:
        if (folder / IMAGES).exists():
            raise _damaged(folder, f"{FACTS} is missing") from error
        raise DataError(
            f"The pool {folder} is not there. Prepare it with `harness data prepare`, followed by "
            "the experiment file, where the raw data is; or name another cache with --cache."
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(folder, f"{FACTS} cannot be read ({error})") from error
    return facts


def _shape(facts: PoolFacts) -> tuple[int, int, int, int]:
    if len(facts.class_names) != len(facts.class_sizes):
        raise ValueError(f"{len(facts.class_names)} class names and {len(facts.class_sizes)} class sizes")
    return (sum(facts.class_sizes), facts.image_size, facts.image_size, facts.channels)


def _folders(cache: Path) -> list[Path]:
    parent = cache / FOLDER
    found = parent.iterdir() if parent.is_dir() else iter(())
    return sorted(p for p in found if p.is_dir() and not p.name.startswith("."))


def _all_facts(cache: Path) -> Iterator[tuple[str, PoolFacts]]:
    for folder in _folders(cache):
        with suppress(DataError):
            yield folder.name, _facts(folder)


def _usable(cache: Path, key: str) -> Pool | None:
    try:
        return open_pool(cache, key)
    except DataError:
        return None


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[bool]:
    """Hold the lock file `path`, after waiting for whoever holds it; yields whether it is really held.

    Where files cannot be locked (Windows, some network file systems) everybody works in a folder of their own
    and the first to finish wins: the same result, for more work.
    """
    with ExitStack() as stack:
        with explained(path):
            handle = stack.enter_context(path.open("a"))
        held = False
        if sys.platform != "win32":
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
                held = True
        yield held


def _prepare(reading: PoolReading, folder: Path, progress: Progress | None, alone: bool) -> None:
    """Write the pool aside, then rename it to `folder`; whatever happens, nothing half-made stays."""
    if alone:
        for left_by_a_killed_process in folder.parent.glob(f".{glob.escape(folder.name)}.*.partial"):
            shutil.rmtree(left_by_a_killed_process, ignore_errors=True)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        reading.write(make_folder(aside), progress)
        with explained(folder):
            _install(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _install(aside: Path, folder: Path) -> None:
    """Rename `aside` to `folder`; a usable folder already there stays, a damaged one is replaced."""
    if folder.exists():
        if _usable(folder.parent.parent, folder.name) is not None:
            return
        damaged = aside.with_name(f"{aside.name}.damaged.partial")
        folder.rename(damaged)
        shutil.rmtree(damaged, ignore_errors=True)
    aside.rename(folder)
