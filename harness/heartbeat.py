"""How far a run in flight is, where and since when it last said so: runs/<run_id>/progress.json.

A hint for `harness status`, on any machine that sees the folder. Nothing that is measured depends on it, so where it
cannot be written, the run goes on without.
"""

import contextlib
import json
import os
import socket
import time
from dataclasses import asdict, dataclass

from harness.progress import Progress, Report
from harness.store import RunFolder

FILE = "progress.json"

BEAT_SECONDS = 5.0
"""Between two writes of a run."""

STALE_SECONDS = 120.0
"""A run that has said nothing for so long is not running any more: it was killed, or its machine was lost."""


@dataclass(frozen=True, kw_only=True)
class Beat:
    """The last progress of a run, the host and process it came from, and when, in seconds since 1970."""

    progress: Progress
    host: str
    process: int
    at: float

    @property
    def is_fresh(self) -> bool:
        """Whether the run has said something lately."""
        return time.time() - self.at < STALE_SECONDS


def beating(folder: RunFolder, report: Report) -> Report:
    """`report`, which also leaves what it is told in the run's folder now and then."""
    last = [float("-inf")]

    def beat(progress: Progress) -> None:
        report(progress)
        if time.monotonic() - last[0] >= BEAT_SECONDS:
            last[0] = time.monotonic()
            _write(folder, progress)
            if folder.mirror is not None:
                folder.mirror.push_progress()

    return beat


def read_beat(folder: RunFolder) -> Beat | None:
    """The last beat; None where there is none, or it cannot be read."""
    try:
        value = json.loads((folder.path / FILE).read_text(encoding="utf-8"))
        beat = Beat(progress=Progress(**value.pop("progress")), **{**value, "at": float(value["at"])})
        return beat if isinstance(beat.progress.done, int) and isinstance(beat.progress.total, int) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def stop_beating(folder: RunFolder) -> None:
    """The run has ended: whatever its status says now is all there is to say."""
    with contextlib.suppress(OSError):
        (folder.path / FILE).unlink(missing_ok=True)


def _write(folder: RunFolder, progress: Progress) -> None:
    value = {
        "progress": asdict(progress),
        "host": socket.gethostname(),
        "process": os.getpid(),
        "at": time.time(),
    }
    aside = folder.path / f".{FILE}.{os.getpid()}.partial"
    with contextlib.suppress(OSError):
        # Renamed, as everything else, but not flushed to the disk: a lost beat costs nothing, a flush costs time.
        aside.write_text(json.dumps(value), encoding="utf-8")
        aside.replace(folder.path / FILE)
