"""`Resources.checkpoint_seconds`: how often a training leaves a checkpoint, without any change in what it gives."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import harness
from control_experiments import needs_entry_points, planned_control, write_control
from experiments import prepared
from harness import checkpoint, cli
from harness.attempt import attempt
from harness.control.run_worker import execute_control
from harness.errors import ConfigError
from harness.launch import launch
from harness.ray_worker import Driver, _sharing
from harness.resources import Resources
from harness.store import Workspace
from real_runs import numbers, silent, weights

ASKED = ("Experiment.resources = @Resources()", "Resources.checkpoint_seconds = 1e-9")
METHOD = ("Experiment.methods = [@ANIL()]", "Regime.iterations = 6", "Regime.validate_every = 3")


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The iterations after which checkpoints are written from now on."""
    found: list[int] = []
    write = checkpoint.write

    def watched(folder: Any, content: dict[str, Any]) -> None:
        found.append(int(content["state"]["iteration"]))
        write(folder, content)

    monkeypatch.setattr(checkpoint, "write", watched)
    return found


def test_a_training_is_saved_as_often_as_asked_and_gives_the_same_numbers(
    tmp_path: Path, saved: list[int]
) -> None:
    plain, workspace = prepared(tmp_path, *METHOD)
    asking, _ = prepared(tmp_path, *METHOD, *ASKED)
    (run,) = plain.runs
    assert [one.run_id for one in asking.runs] == [run.run_id]
    often = Workspace(runs=tmp_path / "often", cache=workspace.cache)
    launch([run], workspace, backend="serial", resources=plain.experiment.resources)
    assert saved == [3, 6], "where it validates"
    saved.clear()
    launch([run], often, backend="serial", resources=asking.experiment.resources)
    assert saved == [1, 2, 3, 4, 5, 6]
    pd.testing.assert_frame_equal(numbers(run, workspace), numbers(run, often), check_exact=True)
    for name, tensor in weights(run, workspace).items():
        assert torch.equal(tensor, weights(run, often)[name]), name


def test_a_ray_worker_is_told(tmp_path: Path, saved: list[int]) -> None:
    planned, workspace = prepared(tmp_path, *METHOD)
    (run,) = planned.runs
    resources = Resources(checkpoint_seconds=1e-9)
    driver = Driver(origin=None, version=harness.__version__, execute=None, resources=resources, here=True)
    assert attempt(run, workspace, silent, _sharing(run, workspace, None, driver)).state == "done"
    assert saved == [1, 2, 3, 4, 5, 6]


@needs_entry_points
def test_a_control_run_is_saved_as_often_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: list[int]
) -> None:
    monkeypatch.chdir(tmp_path)
    one = "ControlExperiment.methods = [@ANIL()]"
    lines = (one, *(line.replace("Experiment", "ControlExperiment") for line in ASKED))
    (run,) = planned_control(tmp_path, one)
    assert [asking.run_id for asking in planned_control(tmp_path, *lines)] == [run.run_id]
    execute_control(run, Workspace(runs=tmp_path / "plain", cache=tmp_path), silent)
    assert saved == [4], "at its end"
    saved.clear()
    config = write_control(tmp_path, *lines)
    assert cli.main(["run", str(config), "--backend", "serial", "--out", "often"]) == 0
    assert saved == [1, 2, 3, 4, 4]
    plain, often = (
        pd.read_parquet(tmp_path / place / run.run_id / "episodes.parquet").drop(columns="seconds")
        for place in ("plain", "often/runs")
    )
    pd.testing.assert_frame_equal(plain, often, check_exact=True)


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Resources\.checkpoint_seconds must be"):
        Resources(checkpoint_seconds=0)
