"""Pools on a node whose cache does not have them: prepared there once, from raw data or from the launching machine."""

import os
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import plugins
from harness.dataset import Dataset
from harness.errors import DataError, MissingDataError
from harness.files import explained
from harness.pool_journal import IMAGES
from harness.pool_lock import FOLDER
from harness.pool_writing import FACTS, PoolReading
from harness.pools import make_once, usable_pool, verify_folder
from harness.spec import Launchable, RunSpec, SourceSpec

PART_BYTES = 8 * 2**20
"""Of a pool, sent at once."""

Part = Callable[[str, str, int], bytes | None]
"""(key, file, offset) -> the next PART_BYTES of a file of the launching machine's pool; None where it is not there."""


@dataclass(frozen=True, kw_only=True)
class PoolOffer:
    """What the launching machine has: the digest of each pool by its key, and where its raw data lies."""

    digests: Mapping[str, str]
    data_dir: Path | None


def offer_of(runs: Iterable[Launchable], cache: Path, data_dir: Path | None) -> PoolOffer:
    """Of the pools that `runs` read and this machine has."""
    of_images = [run for run in runs if isinstance(run, RunSpec)]
    keys = {source.pool_key(split, run.images) for run in of_images for source, split in pools_of(run)}
    pools = {key: usable_pool(cache, key) for key in sorted(keys)}
    return PoolOffer(
        digests={key: pool.sha256 for key, pool in pools.items() if pool is not None}, data_dir=data_dir
    )


def pools_of(run: RunSpec) -> Iterator[tuple[SourceSpec, str]]:
    """(source, split) of each pool that a run reads, some of them twice."""
    yield from ((source, "train") for source in run.train.sources)
    yield from ((source, "valid") for source in run.train.validation_sources)
    yield from ((evaluation.source, evaluation.split) for evaluation in run.evaluations)


def ensure_pools(run: RunSpec, cache: Path, offer: PoolOffer, part: Part) -> None:
    """Have all pools that the run reads in this node's cache, of several runs by one while the others wait.

    Raw data on this node ($HARNESS_DATA, or where the launching machine has it) is read; where it is not there, the
    pool is fetched. Raises DataError where neither is possible, and where a pool's pixels are not those of the
    launching machine's, WorkspaceError where the cache cannot be written.
    """
    data_dir = _data_here(offer.data_dir)
    wanted = {source.pool_key(split, run.images): (source, split) for source, split in pools_of(run)}
    for key, (source, split) in wanted.items():
        dataset: Dataset = plugins.build(plugins.DATASETS, source.component)
        reading = PoolReading(dataset=dataset, spec=source, split=split, images=run.images, data_dir=data_dir)
        pool = make_once(cache, key, lambda aside, key=key, reading=reading: _fill(aside, key, reading, part))  # type: ignore[misc]
        if pool.sha256 != offer.digests.get(key, pool.sha256):
            raise DataError(
                f"The pool {cache / FOLDER / key} on {socket.gethostname()} has other pixels than that of the machine "
                "which launches the runs: install the same versions of the packages that read images on both, delete "
                "the folder, and run the same command again."
            )


def _data_here(data_dir: Path | None) -> Path | None:
    """The folder of raw data on this node, if it has one."""
    named = os.environ.get("HARNESS_DATA")
    found = Path(named) if named else data_dir
    return found if found is not None and found.is_dir() else None


def _fill(aside: Path, key: str, reading: PoolReading, part: Part) -> None:
    """Make the pool in the folder `aside`, which may hold what an interrupted call has left."""
    try:
        reading.write(aside)
    except MissingDataError as missing:
        with explained(aside):
            shutil.rmtree(aside)
            aside.mkdir()
        for name in (IMAGES, FACTS):
            if not _fetch(key, name, aside / name, part):
                raise DataError(
                    f"The pool {key} is neither on {socket.gethostname()} nor where the runs are launched from: "
                    f"prepare it there with `harness data prepare`. {missing}"
                ) from missing
        verify_folder(aside)


def _fetch(key: str, name: str, path: Path, part: Part) -> bool:
    """Write a file of the launching machine's pool to `path`; False where it does not have it."""
    with explained(path), path.open("wb") as handle:
        while True:
            content = part(key, name, handle.tell())
            if content is None:
                return False
            handle.write(content)
            if len(content) < PART_BYTES:
                return True


class PoolServer:
    """Hands out the pools in the cache of the launching machine. Lives as a Ray actor there."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def part(self, key: str, name: str, offset: int) -> bytes | None:
        """As `Part` says. Of a pool in the cache only, whatever is asked for."""
        path = self._cache / FOLDER / key / name
        if name not in (IMAGES, FACTS) or Path(key).name != key or key in (".", ".."):
            return None
        try:
            with path.open("rb") as handle:
                handle.seek(offset)
                return handle.read(PART_BYTES)
        except OSError:
            return None
