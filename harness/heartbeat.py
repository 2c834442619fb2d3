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


class Pulse:
    """`report`, which also leaves in the run's folder what it is told: now and then, and last of all the last."""

    def __init__(self, folder: RunFolder, report: Report) -> None:
        self._folder, self._report = folder, report
        self._told: Progress | None = None
        self._written = float("-inf")

    def __call__(self, progress: Progress) -> None:
        """As `Report`."""
        self._report(progress)
        self._told = progress
        if time.monotonic() - self._written >= BEAT_SECONDS:
            self._written = time.monotonic()
            _write(self._folder, progress)
            if self._folder.mirror is not None:
                self._folder.mirror.push_progress()

    def leave_last(self) -> None:
        """The run was interrupted: say how far it came, which is what it resumes from."""
        if self._told is not None:
            _write(self._folder, self._told)
            if self._folder.mirror is not None:
                self._folder.mirror.push_progress(last=True)


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
