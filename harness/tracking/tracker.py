"""What a tracker is: a line of gin that opens a log, which is brought up to what a run's files say."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from harness.errors import ConfigError
from harness.extras import install_command
from harness.tracking.settings import Setting

NEW, BEGUN, DONE = "new", "begun", "done"
"""What there is of a run when a launch begins: nothing, a part, all of it."""

TRAINING_KEYS = ("loss", "valid_accuracy", "return_before", "return_after", "seconds")
"""Keys of a line of the curve that are tracked where it has them, as `training/<key>`, at the line's iteration."""


Point = tuple[int, float, dict[str, float]]
"""(iteration, seconds of training, name -> number)."""


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A run as its files say it is at one moment.

    settings: its spec, flat. before: NEW, BEGUN or DONE. state: one of results.STATES, or None. curve: lines of
    results.CURVE_KEYS, or those of control, so far. results: `test_accuracy/<source>` and `test_ci95/<source>` of its
    tests, both 0..1, or `test_return_before/<source>`, `test_return_after/<source>` and `test_ci95/<source>`; empty
    until it is done. tested_step: the number of updates of the tested learner.
    """

    run_id: str
    settings: Mapping[str, Setting]
    before: str
    state: str | None
    curve: Sequence[Mapping[str, Any]]
    results: Mapping[str, float]
    tested_step: int = 0

    @property
    def is_done(self) -> bool:
        """Whether it is finished, so that nothing will be added to it."""
        return bool(self.results)

    @property
    def seconds(self) -> float:
        """Of training, so far."""
        return float(self.curve[-1]["seconds"]) if self.curve else 0.0

    @property
    def points(self) -> list[Point]:
        """One a line of the curve, without what was not measured."""
        return [
            (
                int(line["iteration"]),
                float(line["seconds"]),
                {f"training/{key}": float(line[key]) for key in TRAINING_KEYS if line.get(key) is not None},
            )
            for line in self.curve
        ]


class Log(Protocol):
    """What a tracker writes of the runs in one folder. Called from one thread only."""

    def update(self, run: TrackedRun) -> None:
        """Bring what is logged of `run` up to it: nothing twice, whatever was logged by whichever process.

        What was logged of a run that was NEW is of an earlier run of that id, and is replaced.
        """

    def close(self) -> None:
        """The launch has ended; runs that are not done may be carried on later."""


class Tracker(ABC):
    """A frozen dataclass of settings, made by a line of gin: `Experiment.trackers = [@TensorBoard()]`.

    A ControlExperiment has the same list.
    """

    @abstractmethod
    def check(self) -> None:
        """Raises ConfigError where what it needs is not installed. Imports nothing."""

    @abstractmethod
    def open(self, folder: Path, experiment: str) -> Log:
        """Its log of the experiment of that name, whose results lie in `folder`."""

    @abstractmethod
    def how_to_look(self, folder: Path) -> str:
        """The command that shows the log."""

    @property
    def name(self) -> str:
        """What messages call it."""
        return type(self).__name__


def require(tracker: Tracker, packages: Sequence[str], extra: str) -> None:
    """Raises ConfigError, naming the command that installs them, unless all `packages` can be imported."""
    for package in packages:
        found = find_spec(package)
        if found is None or found.origin is None:  # a mere folder of that name has no origin
            raise ConfigError(
                f"The experiment's trackers have {tracker.name}, which needs the package {package}, and that is not "
                f"installed. Install it with `{install_command(extra)}` in the folder of harness, or leave out "
                f"@{tracker.name}()."
            )
