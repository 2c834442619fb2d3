"""Whether the tables of a finished run are as it wrote them: its status.json has their digests.

A table that is torn ends otherwise than Parquet does, which `RunFolder.is_done` sees at once. One that a disk or a hand
has changed within may still be read, to other numbers, so it is compared with its digest where runs are launched and
where results are read.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.files import explained, sha256_of

if TYPE_CHECKING:
    from harness.store import RunFolder

KEY = "tables"
"""In status.json: name -> SHA-256."""

NAMES = ("episodes.parquet", "probes.parquet")


def digests(folder: Path) -> dict[str, dict[str, str]]:
    """What the status of a run that has just finished says of its tables."""
    return {KEY: {name: sha256_of(folder / name) for name in NAMES if (folder / name).exists()}}


def is_as_written(path: Path, status: Mapping[str, Any]) -> bool:
    """Whether a table is what its run's status says; True where that says nothing of it. Raises OSError."""
    said = status.get(KEY)
    known = said.get(path.name) if isinstance(said, Mapping) else None
    return known is None or known == sha256_of(path)


def discard_damaged(runs: Iterable["RunFolder"]) -> list[Path]:
    """Remove the tables of finished runs that are not as they were written, so that they are made again.

    Where a status has no digests, as of runs that earlier versions made, a table counts as damaged that cannot be
    read. Returns what was removed. Raises WorkspaceError where that cannot be.
    """
    damaged = []
    for run in runs:
        status = run.status() if run.is_done else {}
        for path in (run.path / name for name in NAMES if status and (run.path / name).exists()):
            with explained(path):
                if not (is_as_written(path, status) and (KEY in status or _can_be_read(path))):
                    path.unlink()
                    damaged.append(path)
    return damaged


def _can_be_read(path: Path) -> bool:
    import pyarrow.parquet

    try:
        pyarrow.parquet.read_table(path)
    except Exception:  # many kinds for a damaged file
        return False
    return True
