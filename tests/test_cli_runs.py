"""`harness run` from the command line: reports, time, failures, interruptions."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from command_line import finish_all, refused
from experiments import write_tiny
from harness import cli
from harness.config import load_experiment
from harness.display import Display
from harness.files import write_json
from harness.plan import plan
from harness.pool_lock import lock_of, one_at_a_time
from harness.record import timed, took
from harness.spec import RunSpec
from harness.store import RunFolder, Workspace, run_folders


@pytest.mark.slow
def test_run_then_run_again_then_report(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home)
    assert cli.main(["run", "tiny.gin", "--backend", "serial", "--set", "Evaluation.n_episodes=4"]) == 0
    shown = capsys.readouterr().out
    folder = Path("reports/tiny")
    assert "Accuracy" in shown
    assert "Trained on glyphs, anil against maml: " in shown
    assert f"Report: {folder / 'report.md'}, and to open in a browser {folder / 'report.html'}" in shown
    record = json.loads((folder / "experiment.json").read_text())
    assert record["command"] == "harness run tiny.gin --set Evaluation.n_episodes=4"
    assert len(record["runs"]) == 3
    assert record["verdicts"] == {"margin_points": 1.0, "full_adaptation": None}
    assert "## Reuse" in (folder / "report.md").read_text()
    assert "Evaluation.n_episodes = 4" in (folder / "config.gin").read_text()
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").glob("*/*.*") if path.is_file()}

    assert cli.main(["run", "tiny.gin", "--backend", "ray", "--set", "Evaluation.n_episodes=4"]) == 0
    assert "3 of them done already" in capsys.readouterr().out
    assert before.items() <= {path: path.stat().st_mtime_ns for path in before}.items()
    assert json.loads((folder / "experiment.json").read_text()) == record

    shutil.copytree(folder, "elsewhere")
    text = (folder / "report.md").read_bytes()
    (folder / "report.md").unlink()
    assert cli.main(["report", str(folder)]) == 0
    assert (folder / "report.md").read_bytes() == text
    assert cli.main(["report", "elsewhere"]) == 0
    (folder / "runs" / "experiment.json").write_text("{")
    assert "cannot be read" in refused(capsys, "report", str(folder))


@pytest.mark.slow
def test_an_interrupted_new_experiment_leaves_the_report_and_its_config(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness import worker

    def interrupted(*_: object, **named: object) -> None:
        raise KeyboardInterrupt

    write_tiny(home, "Experiment.methods = [@ANIL()]")
    command = ["run", "tiny.gin", "--backend", "serial"]
    assert cli.main(command) == 0
    folder = home / "reports" / "tiny"
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with monkeypatch.context() as patch:
        patch.setattr(worker, "execute", interrupted)
        assert cli.main([*command, "--set", "Regime.iterations=5"]) == 130
    assert {path: path.read_bytes() for path in before} == before
    assert "Regime.iterations = 5" in (folder / "runs" / "config.gin").read_text()
    assert cli.main([*command, "--set", "Regime.iterations=5"]) == 0
    assert "Regime.iterations = 5" in (folder / "config.gin").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_a_command_says_that_another_prepares_its_pool(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness import worker

    experiment, _ = load_experiment(write_tiny(home, "Experiment.methods = [@ANIL()]"))
    key = plan(experiment, data_dir=None, cache=home / "cache").pools[0].key
    lock, held, told, said = lock_of(home / "cache", key), threading.Event(), threading.Event(), []

    def prepare_elsewhere() -> None:
        lock.parent.mkdir(parents=True)
        with one_at_a_time(lock, lambda: None):
            held.set()
            told.wait(timeout=60)

    def say(_: Display, sentence: str) -> None:
        said.append(sentence)
        told.set()

    def interrupted(*_: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Display, "say", say)
    monkeypatch.setattr(worker, "execute", interrupted)
    other = threading.Thread(target=prepare_elsewhere)
    other.start()
    assert held.wait(timeout=60)
    assert cli.main(["run", "tiny.gin", "--backend", "serial", "--cache", "cache"]) == 130
    other.join()
    assert said[0] == f"Another command prepares the images of {key} in this cache folder: waiting for it."


def seconds_of(folder: Path) -> float:
    return float(json.loads((folder / "runs" / "experiment.json").read_text())["seconds"])


@pytest.mark.slow
def test_the_time_is_that_of_all_commands(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness import worker

    def interrupted(run: RunSpec, workspace: Workspace, report: object, **named: object) -> None:
        workspace.folder(run.run_id).begin(run)
        time.sleep(1)
        raise KeyboardInterrupt

    write_tiny(home, "Experiment.methods = [@ANIL()]")
    command = ["run", "tiny.gin", "--backend", "serial"]
    folder = home / "reports" / "tiny"
    with monkeypatch.context() as patch:
        patch.setattr(worker, "execute", interrupted)
        assert cli.main(command) == 130
        once = seconds_of(folder)
        assert once >= 1
        assert cli.main(command) == 130
        twice = seconds_of(folder)
        assert twice >= once + 1
    assert cli.main([*command, "--fresh"]) == 0
    record = json.loads((folder / "experiment.json").read_text())
    assert "time_missing" not in record
    assert "at least" not in (folder / "report.md").read_text()
    assert 0 < record["seconds"] != twice
    assert cli.main([*command, "--set", "Experiment.seeds=2"]) == 0
    assert "took at least" in (folder / "report.md").read_text(), "the first seed was made before"


def test_the_time_of_a_killed_command_is_said_to_be_missing(home: Path) -> None:
    write_tiny(home)
    runs = home / "there" / "runs"
    finish_all(runs)
    folders = run_folders(runs)
    folders[1].write_status("done", training_seconds=200.0, evaluation_seconds=40.0)
    assert took({}, folders) == ""
    assert took({"seconds": 7200}, folders) == "2 h 00 min of wall clock"
    assert took({"seconds": 7200, "time_missing": True}, folders) == "at least 2 h 00 min of wall clock"
    assert took({"seconds": 5, "time_missing": True}, folders) == "at least 4 min of wall clock"
    write_json(runs / "experiment.json", {"seconds": 5})
    with timed(runs, time.perf_counter(), True):
        assert json.loads((runs / "experiment.json").read_text()) == {"seconds": 5, "time_missing": True}
    assert json.loads((runs / "experiment.json").read_text()) == {"seconds": 5.0}


@pytest.mark.slow
def test_fresh_removes_the_own_runs_only(home: Path) -> None:
    write_tiny(home, "Experiment.methods = [@ANIL()]")
    command = ["run", "tiny.gin", "--backend", "serial"]
    assert cli.main(command) == 0
    runs = home / "reports" / "tiny" / "runs"
    (own,) = (path for path in runs.iterdir() if path.is_dir())
    other = runs / "another-run"
    other.mkdir()
    twin = runs / "same-training"
    shutil.copytree(own, twin)
    (own / "mark").touch()
    assert cli.main([*command, "--fresh"]) == 0
    assert other.exists()
    assert not twin.exists(), "its checkpoint would have been taken over"
    assert not (own / "mark").exists()
    assert RunFolder(own).state == "done"


@pytest.mark.slow
def test_a_failed_run_is_named_and_the_others_are_reported(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness import worker

    real = worker.execute

    def sometimes(run: object, workspace: Workspace, report: object, **named: object) -> None:
        if run.method_name == "maml":  # type: ignore[attr-defined]
            raise ValueError("made to fail")
        real(run, workspace, report, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(worker, "execute", sometimes)
    write_tiny(home)
    assert cli.main(["run", "tiny.gin", "--backend", "serial"]) == 1
    shown = capsys.readouterr()
    assert "1 of 3 runs failed" in shown.err
    assert "ValueError: made to fail" in shown.err
    assert "status.json" in shown.err
    assert "anil" in shown.out
    monkeypatch.undo()
    monkeypatch.chdir(home)
    assert cli.main(["run", "tiny.gin", "--backend", "serial", "--cache", str(home / "cache")]) == 0


def test_ctrl_c_says_how_to_go_on(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness import worker

    def interrupted(*_: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(worker, "execute", interrupted)
    write_tiny(home)
    assert cli.main(["run", "tiny.gin", "--backend", "serial"]) == 130
    shown = capsys.readouterr().err
    assert "state kept, run the same command to resume" in shown
    assert (home / "reports" / "tiny" / "runs" / "experiment.json").exists()
    assert (home / "reports" / "tiny" / "runs" / "config.gin").exists()


@pytest.mark.slow
def test_a_batch_system_may_end_it_and_the_same_command_carries_on(home: Path) -> None:
    write_tiny(home, "Experiment.methods = [@ANIL()]", "Regime.iterations = 100_000")
    command = [
        sys.executable,
        "-c",
        "import sys, harness.cli; sys.exit(harness.cli.main())",
        "run",
        "tiny.gin",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    runs = home / "reports" / "tiny" / "runs"
    deadline = time.monotonic() + 300
    while not list(runs.glob("*/curve.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert "run the same command to resume" in said
    (folder,) = (RunFolder(path) for path in runs.iterdir() if path.is_dir())
    assert folder.state == "interrupted"
    assert folder.checkpoint.exists()


@pytest.mark.slow
def test_a_folder_that_gets_another_report_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home)
    plain = ("run", "tiny.gin", "--backend", "serial", "--set", "Experiment.methods = [@ANIL()]")
    assert cli.main([*plain]) == 0
    assert "Note:" not in capsys.readouterr().out
    assert cli.main([*plain, "--set", "ANIL.inner_lr = 0.5"]) == 0
    assert "1 run of other settings leaves it and stays in runs/" in capsys.readouterr().out


def test_a_batch_system_may_end_what_a_shell_runs_in_the_background() -> None:
    """There Ctrl-C is ignored, so that SIGTERM must not rely on it."""
    from harness.interruption import terminable

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt), terminable():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_report_of_somebody_else_s_is_not_replaced(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home)
    (home / "mine").mkdir()
    (home / "mine" / "report.md").write_text("hello")
    said = refused(capsys, "run", "tiny.gin", "--backend", "serial", "--out", "mine")
    assert "mine/report.md is there and no experiment's" in said
    assert [path.name for path in (home / "mine").iterdir()] == ["report.md"]
