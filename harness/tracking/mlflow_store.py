"""MLflow: one MLflow run a run, in a database of its own, <out>/mlflow/mlflow.db."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.files import make_folder
from harness.parameters import check_fields
from harness.tracking.tracker import DONE, NEW, Point, TrackedRun, Tracker, require

FOLDER, DATABASE = "mlflow", "mlflow.db"

TAG = "harness.run_id"

AT_ONCE = 100
"""Parameters or metrics of one call, at most; MLflow takes no more parameters."""

ENDINGS = {"failed": "FAILED", "interrupted": "KILLED"}
"""A run's state -> MLflow's status."""


@dataclass(frozen=True, kw_only=True)
class MLflow(Tracker):
    """Log to a local database of MLflow's: curves while the runs train, tests at their ends, settings as parameters.

    experiment: the name of MLflow's experiment; None for `Experiment.name`.
    """

    experiment: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def check(self) -> None:
        """Raises ConfigError where MLflow, or what its databases need, is not installed."""
        require(self, ("mlflow", "sqlalchemy", "alembic"), "mlflow")

    def open(self, folder: Path, experiment: str) -> "MLflowStore":
        """Its log. Raises what MLflow raises where its database cannot be used."""
        return MLflowStore(folder / FOLDER, self.experiment or experiment)

    def how_to_look(self, folder: Path) -> str:
        """The command that shows the log."""
        return f"mlflow ui --backend-store-uri {_uri(folder / FOLDER)}"


def _uri(folder: Path) -> str:
    return f"sqlite:///{folder / DATABASE}"


@dataclass(kw_only=True)
class _Known:
    """An MLflow run: its id, when it began in ms, the last step of each metric, MLflow's status."""

    id: str
    began: int
    status: str
    last: dict[str, int] = field(default_factory=dict)


class MLflowStore:
    """A `tracker.Log`. What is logged of a run is looked up in the database."""

    def __init__(self, folder: Path, experiment: str) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # it would report its use over the network
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of each table that it creates
        uri = _uri(make_folder(folder))
        self._client: Any = MlflowClient(tracking_uri=uri, registry_uri=uri)
        known = self._client.get_experiment_by_name(experiment)
        self._experiment: str = (
            known.experiment_id
            if known
            else self._client.create_experiment(experiment, artifact_location=(folder / "artifacts").as_uri())
        )
        self._known: dict[str, _Known] = {}

    def update(self, run: TrackedRun) -> None:
        """See `tracker.Log`. Raises what MLflow raises."""
        if run.run_id not in self._known:
            self._known[run.run_id] = self._found(run) or self._created(run)
        known = self._known[run.run_id]
        if known.status == "FINISHED":
            return
        points, status = run.points, ENDINGS.get(run.state or "", "RUNNING")
        if run.is_done:
            points, status = [*points, (run.tested_step, run.seconds, dict(run.results))], "FINISHED"
        self._log(known, points)
        if status != known.status:
            self._set(known, status)

    def close(self) -> None:
        """See `tracker.Log`."""

    def _found(self, run: TrackedRun) -> _Known | None:
        """What an earlier launch has logged of the run; what it has logged of an earlier run of that id is deleted."""
        earlier = self._client.search_runs([self._experiment], f"tags.`{TAG}` = '{run.run_id}'")
        if run.before == NEW or not earlier:
            for old in earlier:
                self._client.delete_run(old.info.run_id)
            return None
        info, data = earlier[0].info, earlier[0].data
        known = _Known(id=info.run_id, began=info.start_time, status=info.status)
        if info.status == "FINISHED" and run.before != DONE:  # its results were lost, and are made again
            known.status = "SCHEDULED"
        for name in data.metrics if known.status != "FINISHED" else ():
            history = self._client.get_metric_history(info.run_id, name)
            known.last[name] = max(metric.step for metric in history)
        return known

    def _created(self, run: TrackedRun) -> _Known:
        from mlflow.entities import Param

        began = int((time.time() - run.seconds) * 1000)
        tags = {TAG: run.run_id}
        made = self._client.create_run(self._experiment, start_time=began, tags=tags, run_name=run.run_id)
        parameters = [Param(_allowed(name), str(value)) for name, value in run.settings.items()]
        for part in _parts(parameters):
            self._client.log_batch(made.info.run_id, params=part)
        return _Known(id=made.info.run_id, began=began, status=made.info.status)

    def _log(self, known: _Known, points: Sequence[Point]) -> None:
        """Log the numbers that are not there yet at their step, or at a later one."""
        from mlflow.entities import Metric

        metrics = [
            Metric(_allowed(name), number, known.began + int(seconds * 1000), step)
            for step, seconds, numbers in points
            for name, number in numbers.items()
            if step > known.last.get(_allowed(name), -1)
        ]
        for part in _parts(metrics):
            self._client.log_batch(known.id, metrics=part)
        known.last |= {metric.key: metric.step for metric in metrics}

    def _set(self, known: _Known, status: str) -> None:
        if status == "RUNNING":
            self._client.update_run(known.id, status=status)
        else:
            self._client.set_terminated(known.id, status)
        known.status = status


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[k : k + AT_ONCE] for k in range(0, len(items), AT_ONCE))


def _allowed(name: str) -> str:
    """`name` with the characters that MLflow takes in names."""
    return "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in name)
