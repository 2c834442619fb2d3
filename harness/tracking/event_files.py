"""TensorBoard: one folder of event files a run, <out>/tensorboard/<run_id>/."""

import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.files import explained, make_folder
from harness.tracking.tracker import DONE, TrackedRun, Tracker, require

FOLDER = "tensorboard"
WHOLE = ".whole"
"""A file in a run's folder that says that all of the run is logged."""

PREFIX = "events.out.tfevents"


@dataclass(frozen=True, kw_only=True)
class TensorBoard(Tracker):
    """Write event files, one a run: its curve while it trains, its tests at its end, its settings as hyperparameters.

    The time of an event is that of the training, without interruptions.
    """

    def check(self) -> None:
        """Raises ConfigError where tensorboard is not installed."""
        require(self, ("tensorboard",), "tensorboard")

    def open(self, folder: Path, experiment: str) -> "EventFiles":  # noqa: ARG002  one folder, one experiment
        """Its log."""
        return EventFiles(folder / FOLDER)

    def how_to_look(self, folder: Path) -> str:
        """The command that shows the log."""
        return f"tensorboard --logdir {folder / FOLDER}"


class EventFiles:
    """A `tracker.Log`. A launch writes a run's file from its beginning, whatever another has logged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _EventFile] = {}

    def update(self, run: TrackedRun) -> None:
        """See `tracker.Log`. Raises WorkspaceError where the files cannot be written."""
        place = make_folder(self._folder / run.run_id)
        known = run.run_id in self._files
        if (known or run.before == DONE) and (place / WHOLE).exists():
            return
        with explained(place):
            if not known:
                self._files[run.run_id] = _EventFile(place, run)
            self._files[run.run_id].update(run)
            if run.is_done:
                (place / WHOLE).touch()

    def close(self) -> None:
        """See `tracker.Log`."""


class _EventFile:
    """A new event file in the place of those that are in the folder `place`."""

    def __init__(self, place: Path, run: TrackedRun) -> None:
        # Neither tensorboard's own EventFileWriter nor torch's: they import tensorflow where there is one, for 4 s.
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self._began = time.time() - run.seconds
        self._last = -1
        for old in (place / WHOLE, *place.glob(f"{PREFIX}.*")):
            old.unlink(missing_ok=True)
        self._path = place / f"{PREFIX}.{time.time_ns()}.{socket.gethostname()}"
        start = hparams_pb(dict(run.settings), trial_id=run.run_id, start_time_secs=self._began)
        self._add(
            [
                self._event(wall_time=self._began, file_version="brain.Event:2"),
                self._event(wall_time=self._began, summary=start),
            ]
        )

    def update(self, run: TrackedRun) -> None:
        """Add the lines of the curve that are not there yet, and the results when the run is done."""
        new = [point for point in run.points if point[0] > self._last]
        events = [self._numbers(*point) for point in new]
        if run.is_done:
            events.append(self._numbers(run.tested_step, run.seconds, run.results))
        self._add(events)
        self._last = new[-1][0] if new else self._last

    def _numbers(self, step: int, seconds: float, numbers: Mapping[str, float]) -> Any:
        values = [self._summary.Value(tag=tag, simple_value=number) for tag, number in numbers.items()]
        return self._event(wall_time=self._began + seconds, step=step, summary=self._summary(value=values))

    def _add(self, events: Sequence[Any]) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        with self._path.open("ab") as handle:
            for event in events:
                RecordWriter(handle).write(event.SerializeToString())
