import os
import sys
from pathlib import Path
from typing import Any

import pytest

import fake_execute
from experiments import tiny_runs
from harness.attempt import Outcome
from harness.errors import ConfigError, WorkspaceError
from harness.launch import launch
from harness.local_resources import cores_here
from harness.progress import Progress, Report
from harness.schedule import Schedule
from harness.spec import RunSpec
from harness.store import Workspace
from harness.training import TrainingDivergedError


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(runs=tmp_path / "runs", cache=tmp_path / "cache")


def test_serial_keeps_the_order_and_goes_on_after_a_failure(tmp_path: Path, workspace: Workspace) -> None:
    runs = tiny_runs(tmp_path, [1, 0])
    seen: list[Progress] = []
    ended: list[Outcome] = []
    outcomes = launch(
        runs,
        workspace,
        backend="serial",
        on_progress=seen.append,
        on_outcome=ended.append,
        execute=fake_execute.execute,
    )
    assert [outcome.run_id for outcome in outcomes] == [run.run_id for run in runs]
    assert [outcome.state for outcome in outcomes] == ["failed", "done"] * 3
    assert ended == outcomes
    assert {progress.run_id for progress in seen} == {run.run_id for run in runs if run.seed == 0}
    status = workspace.folder(runs[0].run_id).status()
    assert status["state"] == "failed"
    assert status["error"] == "ValueError: made to fail"


def test_finished_runs_are_not_run_again(tmp_path: Path, workspace: Workspace) -> None:
    runs = tiny_runs(tmp_path)
    launch(runs, workspace, backend="serial", execute=fake_execute.execute)

    def never(run: RunSpec, workspace: Workspace, report: Report) -> None:
        raise AssertionError("a finished run was executed")

    before = "ray" in sys.modules
    for backend in ("serial", "ray"):
        outcomes = launch(runs, workspace, backend=backend, execute=never)
        assert [(outcome.state, outcome.seconds) for outcome in outcomes] == [("done", 0.0)] * 3
    assert ("ray" in sys.modules) == before, "nothing to do needs no Ray"


def test_serial_lets_ctrl_c_through(tmp_path: Path, workspace: Workspace) -> None:
    def interrupted(run: RunSpec, workspace: Workspace, report: Report) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(tiny_runs(tmp_path), workspace, backend="serial", execute=interrupted)


def test_an_unknown_backend_and_a_file_in_the_way_are_refused(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'serial'"):
        launch((), workspace, backend="seriel")
    workspace.runs.write_text("a file")
    with pytest.raises(WorkspaceError, match="a file stands where a folder is needed"):
        launch(tiny_runs(tmp_path), workspace, backend="serial")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backend": "serial", "workers": 2}, "--workers 2 means nothing to --backend serial"),
        ({"backend": "serial", "address": "a:1"}, "--address a:1 means nothing to --backend serial"),
        ({"workers": 2, "address": "a:1"}, "--workers 2 is for Ray on this machine"),
    ],
)
def test_options_without_effect_are_refused(
    tmp_path: Path, workspace: Workspace, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        launch(tiny_runs(tmp_path), workspace, execute=fake_execute.execute, **options)
    assert not workspace.runs.exists()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system knows no affinity")
def test_there_is_one_worker_for_each_core_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 5, 6})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert cores_here() == 3


def test_a_training_that_diverged_is_not_tried_again(tmp_path: Path, workspace: Workspace) -> None:
    tried: list[str] = []

    def diverging(run: RunSpec, workspace: Workspace, report: Report) -> None:
        tried.append(run.method_name)
        if run.method_name == "anil":
            raise TrainingDivergedError("the loss is nan")
        fake_execute.execute(run, workspace, report)

    maml, anil, nil = tiny_runs(tmp_path)
    outcomes = launch((anil, maml, nil), workspace, backend="serial", execute=diverging)
    assert tried == ["anil", "maml"]
    assert [outcome.state for outcome in outcomes] == ["failed", "done", "failed"]
    status = workspace.folder(nil.run_id).status()
    assert status["state"] == "failed"
    assert status["error"] == (
        f"Its training, shared with {anil.run_id}, failed: TrainingDivergedError: the loss is nan"
    )


def test_a_training_that_failed_otherwise_is_tried_by_the_next_run(
    tmp_path: Path, workspace: Workspace
) -> None:
    tried: list[str] = []

    def failing(run: RunSpec, workspace: Workspace, report: Report) -> None:
        tried.append(run.method_name)
        raise MemoryError

    launch(tiny_runs(tmp_path)[1:], workspace, backend="serial", execute=failing)
    assert tried == ["anil", "nil"]


def test_the_schedule_drops_the_runs_of_a_training(tmp_path: Path) -> None:
    maml, anil, nil = tiny_runs(tmp_path)
    schedule = Schedule([maml, anil, nil])
    schedule.first()
    assert schedule.drop(anil) == [nil]
    assert schedule.after(anil, trained=False) == []
    assert schedule.drop(maml) == []


def test_the_schedule_starts_one_run_of_a_training_and_the_longest_first(tmp_path: Path) -> None:
    maml, anil, nil = tiny_runs(tmp_path)
    schedule = Schedule([anil, nil, maml])
    assert schedule.first() == [maml, anil]
    assert schedule.after(maml, trained=True) == []
    assert schedule.after(anil, trained=True) == [nil]


def test_the_schedule_tries_the_next_run_when_a_training_failed(tmp_path: Path) -> None:
    _, anil, nil = tiny_runs(tmp_path)
    schedule = Schedule([nil, anil])
    assert schedule.first() == [nil]
    assert schedule.after(nil, trained=False) == [anil]
    assert schedule.after(anil, trained=False) == []
