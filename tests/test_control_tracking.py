"""Control runs in TensorBoard, MLflow and Weights & Biases, by the same line of gin as runs on images."""

from pathlib import Path

import pandas as pd
import pytest

from control_experiments import needs_entry_points, write_control
from fake_control_runs import planned_runs, write_control_run
from harness import cli
from harness.store import RunFolder
from harness.tracking.run_files import tracked_run
from harness.tracking.settings import settings
from harness.tracking.tracker import BEGUN, DONE
from tracked import event_points, mlflow_runs, offline_run

pytestmark = needs_entry_points

TRACKERS = "ControlExperiment.trackers = [@TensorBoard(), @MLflow(), @WeightsAndBiases()]"


def test_trackers_change_no_run(tmp_path: Path) -> None:
    assert [run.run_id for run in planned_runs(tmp_path)] == [
        run.run_id for run in planned_runs(tmp_path, TRACKERS)
    ]


def test_settings_and_results_are_those_of_the_run(tmp_path: Path) -> None:
    spec = planned_runs(tmp_path)[0]
    flat = settings(spec.to_json())
    assert flat.items() >= {
        "method": "maml", "method.inner_lr": 0.1, "network.hidden": "8", "train.source": "navigation2d",
        "train.outer": "trust_region", "train.iterations": 4, "train.sampling.trajectories": 3,
        "evaluations": "3 tasks of navigation2d (test), 3 tasks of far (test)",
    }.items()  # fmt: skip
    folder = write_control_run(tmp_path / "runs", spec)
    run = tracked_run(folder, flat, BEGUN)
    rows = pd.read_parquet(folder.episodes).groupby("source")
    for name in ("return_before", "return_after"):
        for source, mean in rows[name].mean().items():
            assert run.results[f"test_{name}/{source}"] == pytest.approx(mean)
    assert set(run.results) == {
        f"test_{name}/{source}"
        for name in ("return_before", "return_after", "ci95")
        for source in ("far", "navigation2d")
    }
    assert run.tested_step == 4
    assert [(step, numbers["training/return_after"]) for step, _, numbers in run.points] == [
        (2, -40.0),
        (4, -30.0),
    ]
    assert "training/loss" not in run.points[0][2]


def test_runs_are_logged_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_control(tmp_path, TRACKERS)
    assert cli.main(["run", "tiny.gin", "--backend", "serial", "--out", "out"]) == 0
    runs = {path.name: path for path in Path("out/runs").iterdir() if path.is_dir()}
    assert len(runs) == 2
    logged = {found.info.run_name: metrics for found, metrics in mlflow_runs(Path("out/mlflow"))}
    files = [offline_run(file) for file in Path("out/wandb").glob("offline-run-*/*.wandb")]
    assert len(files) == 2
    for name, path in runs.items():
        whole = tracked_run(RunFolder(path), {}, DONE)
        events = event_points(Path("out/tensorboard") / name)
        (line,) = RunFolder(path).curve()
        for key in ("return_before", "return_after"):
            assert events[f"training/{key}"] == [(4, pytest.approx(line[key], rel=1e-6))]
            assert logged[name][f"training/{key}"] == [(4, pytest.approx(line[key]))]
        for key, number in whole.results.items():
            assert events[key] == [(4, pytest.approx(number, rel=1e-6))]
            assert logged[name][key] == [(4, pytest.approx(number))]
        assert any(summary.items() >= dict(whole.results).items() for _, _, summary in files)
