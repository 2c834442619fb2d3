"""Weights & Biases, offline: one folder a run, <out>/wandb/offline-run-<time>-<id>, which `wandb sync` uploads."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.files import explained, make_folder
from harness.parameters import check_fields
from harness.tracking.tracker import DONE, TrackedRun, Tracker, require

FOLDER = "wandb"
WHOLE = ".whole"
"""A file in a run's folder that says that all of the run is logged."""


@dataclass(frozen=True, kw_only=True)
class WeightsAndBiases(Tracker):
    """Log every run that has finished, for `wandb sync`: its curve, its tests, its settings.

    A run is logged at its end, whole, since an offline run of W&B cannot be carried on. Nothing leaves the machine.
    project: the name of W&B's project; None for `Experiment.name`.
    """

    project: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def check(self) -> None:
        """Raises ConfigError where wandb is not installed."""
        require(self, ("wandb",), "wandb")

    def open(self, folder: Path, experiment: str) -> "OfflineRuns":
        """Its log."""
        return OfflineRuns(folder, self.project or experiment)

    def how_to_look(self, folder: Path) -> str:
        """The command that uploads the log."""
        return f"wandb sync {folder / FOLDER}/offline-run-*"


class OfflineRuns:
    """A `tracker.Log`."""

    def __init__(self, folder: Path, project: str) -> None:
        self._folder, self._project = folder, project
        self._logged: set[str] = set()
        self._wandb: Any = None

    def update(self, run: TrackedRun) -> None:
        """See `tracker.Log`. Raises what wandb raises, and WorkspaceError where the files cannot be written."""
        if run.run_id in self._logged or not run.is_done:
            return
        name = run.run_id.rpartition("-")[2]
        there = list((self._folder / FOLDER).glob(f"offline-run-*-{name}"))
        if not (run.before == DONE and any((place / WHOLE).exists() for place in there)):
            with explained(self._folder / FOLDER):
                for place in there:
                    shutil.rmtree(place)
            self._log(run, name)
        self._logged.add(run.run_id)

    def close(self) -> None:
        """See `tracker.Log`."""
        if self._wandb is not None:
            self._wandb.teardown()

    def _log(self, run: TrackedRun, name: str) -> None:
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # it would report over the network, offline or not
        import wandb

        self._wandb = wandb
        make_folder(self._folder)  # wandb would quietly take another place
        # What follows tells nothing of the run, and costs time or looks around on the machine.
        quiet = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
        )
        logged = wandb.init(
            mode="offline",
            dir=self._folder,
            project=self._project,
            id=name,
            name=run.run_id,
            config=dict(run.settings),
            settings=quiet,
            reinit="create_new",
        )
        place = Path(logged.settings.sync_dir)
        for iteration, _, numbers in run.points:
            logged.log(numbers, step=iteration)
        logged.summary.update(dict(run.results))
        logged.finish()
        (place / WHOLE).touch()
