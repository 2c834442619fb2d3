"""Control runs on disk as a worker would leave them, with made-up returns."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from control_experiments import write_control
from harness.config import load_experiment
from harness.control.experiment import ControlExperiment
from harness.control.paths import Paths, save_paths
from harness.control.planning import plan_control
from harness.control.policy_probe import POLICY_PROBE_COLUMNS
from harness.control.run_spec import CONTROL, ControlEvaluationSpec, ControlRunSpec
from harness.control.task_rows import TASK_COLUMNS, source_fingerprint
from harness.files import write_json, write_text
from harness.store import RunFolder

ENVIRONMENT = {"cpu": "Imaginary CPU, 2 cores", "torch": "2.13.0"}
LEVELS = {"navigation2d": (-40.0, -20.0), "far": (-90.0, -60.0)}
"""Source -> mean return before and after."""


def planned_runs(folder: Path, *lines: str) -> tuple[ControlRunSpec, ...]:
    """The runs of the smallest control experiment with these lines added."""
    experiment, _ = load_experiment(write_control(folder, *lines))
    assert isinstance(experiment, ControlExperiment)
    return plan_control(experiment)


def write_control_run(
    runs: Path,
    spec: ControlRunSpec,
    *,
    ahead: float = 0.0,
    gains: bool = True,
    adapted: Sequence[str] = ("head", "hidden1"),
    frozen: Mapping[str, float] | None = None,
) -> RunFolder:
    """A finished run: returns of LEVELS, those after adaptation higher by `ahead`; tasks as hard for every method.

    gains: whether adaptation changes anything. frozen: condition -> what adapting only this costs, as a freezing probe.
    """
    folder = RunFolder(runs / spec.run_id)
    folder.begin(spec)
    for iteration in (2, 4):
        folder.append_curve(
            {"iteration": iteration, "return_before": -50.0, "return_after": -50.0 + 5 * iteration + ahead,
             "kl": 0.01, "share": 0.8, "dropped": 0.0, "seconds": float(iteration)}
        )  # fmt: skip
    frames = [_tasks(spec, evaluation, ahead, gains) for evaluation in spec.evaluations]
    tasks = pd.concat(frames, ignore_index=True)
    folder.write_table(folder.episodes, tasks, TASK_COLUMNS)
    if frozen is not None:
        folder.write_table(folder.probes, _frozen(spec, tasks, frozen), POLICY_PROBE_COLUMNS)
    walks = np.cumsum(np.full((4, 2, 6, 2), 0.05), axis=2)
    save_paths(Paths(goals=np.full((4, 2), 0.3), before=walks * 0, after=walks), folder.path)
    folder.write_status(
        "done", iterations=4, training_seconds=4.0, evaluation_seconds=1.0, simulated_steps=500, peak_memory_mb=100,
        dropped_trajectories=0, environment=ENVIRONMENT, adapted_layers=list(adapted),
    )  # fmt: skip
    return folder


def _tasks(
    spec: ControlRunSpec, evaluation: ControlEvaluationSpec, ahead: float, gains: bool
) -> pd.DataFrame:
    n, source = evaluation.n_tasks, evaluation.source
    hardness = 5 * np.random.default_rng(spec.seed).normal(size=n)
    noise = 0.2 * np.random.default_rng([spec.seed, *map(ord, spec.method_name)]).normal(size=n)
    before, after = LEVELS[source.name]
    row: dict[str, Any] = {
        "run_id": spec.run_id, "method": spec.method_name, "trained_on": spec.trained_on, "network": "mlp",
        "source": source.name, "split": evaluation.split, "seed": spec.seed, "adaptation_steps": 1,
        "horizon": source.horizon, "trajectories": evaluation.sampling.trajectories, "dropped": 0, "steps": 10,
        "protocol_version": spec.protocol_version, "seconds": 0.1,
        "fingerprint": source_fingerprint(source.component.plugin, source.component.params, source.fingerprint),
    }  # fmt: skip
    frame = pd.DataFrame({**{key: [value] * n for key, value in row.items()}, "episode": range(n)})
    own = before + hardness + noise
    return frame.assign(
        task=[f"goal_x {x:.3g}" for x in hardness],
        return_before=own,
        return_after=after + ahead + hardness + noise if gains else own,
    )


def _frozen(spec: ControlRunSpec, tasks: pd.DataFrame, frozen: Mapping[str, float]) -> pd.DataFrame:
    shared = ["run_id", "method", "trained_on", "network", "source", "split", "seed", "episode"]
    frames = []
    for condition, cost in {**frozen, "everything": 0.0}.items():
        wobble = 2 * np.sin(np.arange(len(tasks)) + len(condition)) * (condition != "everything")
        frames.append(
            tasks[shared].assign(
                probe="freeze", condition=condition, layer="", step=pd.NA, quantity="return", n=3, reason="",
                value=tasks["return_after"] - cost + wobble, protocol_version=spec.protocol_version,
            )
        )  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def write_experiment(folder: Path, specs: Sequence[ControlRunSpec], **record: Any) -> Path:
    """The record of an experiment of these runs, beside them: what `harness report` needs."""
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    write_json(
        folder / "runs" / "experiment.json",
        {"kind": CONTROL, "name": "tiny", "title": "Tiny", "claim": "", "command": "harness run tiny.gin",
         "margin_return": 2.0, "runs": [spec.run_id for spec in specs], **record},
    )  # fmt: skip
    write_text(folder / "runs" / "config.gin", "ControlExperiment.name = 'tiny' # <b>\n")
    return folder
