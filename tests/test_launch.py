import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

import fake_execute
from experiments import write_tiny
from harness.config import load_experiment
from harness.errors import ConfigError, WorkspaceError
from harness.launch import Outcome, launch
from harness.plan import plan
from harness.progress import Progress, Report
from harness.schedule import Schedule
from harness.spec import RunSpec
from harness.store import Workspace


def runs_of(tmp_path: Path, seeds: object = 1) -> tuple[RunSpec, ...]:
    experiment, _ = load_experiment(write_tiny(tmp_path), [f"Experiment.seeds={seeds}"])
    return plan(experiment, data_dir=None, cache=tmp_path / "cache").runs


@pytest.fixture
def shared_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ray's workers import what lies beside this file."""
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(runs=tmp_path / "runs", cache=tmp_path / "cache")


def test_serial_keeps_the_order_and_goes_on_after_a_failure(tmp_path: Path, workspace: Workspace) -> None:
    runs = runs_of(tmp_path, [1, 0])
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
    runs = runs_of(tmp_path)
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
        launch(runs_of(tmp_path), workspace, backend="serial", execute=interrupted)


def test_an_unknown_backend_and_a_file_in_the_way_are_refused(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'serial'"):
        launch((), workspace, backend="seriel")
    workspace.runs.write_text("a file")
    with pytest.raises(WorkspaceError, match="a file stands where a folder is needed"):
        launch(runs_of(tmp_path), workspace, backend="serial")


def test_the_schedule_starts_one_run_of_a_training_and_the_longest_first(tmp_path: Path) -> None:
    maml, anil, nil = runs_of(tmp_path)
    schedule = Schedule([anil, nil, maml])
    assert schedule.first() == [maml, anil]
    assert schedule.after(maml, trained=True) == []
    assert schedule.after(anil, trained=True) == [nil]


def test_the_schedule_tries_the_next_run_when_a_training_failed(tmp_path: Path) -> None:
    _, anil, nil = runs_of(tmp_path)
    schedule = Schedule([nil, anil])
    assert schedule.first() == [nil]
    assert schedule.after(nil, trained=False) == [anil]
    assert schedule.after(anil, trained=False) == []


@pytest.mark.slow
@pytest.mark.usefixtures("shared_modules")
def test_ray_records_failed_and_killed_runs_and_goes_on(tmp_path: Path, workspace: Workspace) -> None:
    runs = runs_of(tmp_path, [0, 1, 2])
    seen: list[Progress] = []
    outcomes = launch(runs, workspace, workers=2, on_progress=seen.append, execute=fake_execute.execute)
    for run, outcome in zip(runs, outcomes, strict=True):
        assert outcome.run_id == run.run_id
        assert outcome.state == ("done" if run.seed == 0 else "failed")
        assert workspace.folder(run.run_id).state == outcome.state
        if run.seed == 2:
            assert "was killed" in workspace.folder(run.run_id).status()["error"]
    assert seen
    began = {run.method_name: _began(workspace, run) for run in runs if run.seed == 0}
    assert began["nil"] > began["anil"], "the run that shares a training waits for it"
    again = launch(runs[:1], workspace, execute=fake_execute.execute)
    assert again[0].seconds == 0.0


def _began(workspace: Workspace, run: RunSpec) -> float:
    return float((workspace.folder(run.run_id).path / "began").read_text())


@pytest.mark.slow
@pytest.mark.usefixtures("shared_modules")
def test_ctrl_c_lets_ray_workers_save_their_state(tmp_path: Path, workspace: Workspace) -> None:
    runs = runs_of(tmp_path, [3])
    reached = threading.Event()

    def press() -> None:
        if reached.wait(60):
            time.sleep(0.5)
            signal.raise_signal(signal.SIGINT)

    def seen(progress: Progress) -> None:
        reached.set()

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        launch(runs, workspace, workers=1, on_progress=seen, execute=fake_execute.execute)
    states = [workspace.folder(run.run_id).state for run in runs]
    assert states.count("interrupted") == 1, states
    assert set(states) == {"interrupted", None}
