"""`harness status`: where runs stand, read from the folder alone."""

import io
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from command_line import refused
from experiments import prepared, write_tiny
from fake_runs import run_spec, write_run
from harness import cli, heartbeat, training
from harness.attempt import attempt
from harness.files import write_json
from harness.heartbeat import STALE_SECONDS, Pulse, read_beat
from harness.narrow_terminal import WIDE
from harness.progress import Progress
from harness.standing import DAMAGED, DONE, FAILED, RUNNING, STOPPED, WAITING, show_status, standing
from harness.store import RunFolder, Workspace

SPEC = run_spec("maml")
HALF = Progress(run_id=SPEC.run_id, state="training", done=500, total=1000, per_second=10.0, loss=0.5)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "runs" / SPEC.run_id)
    folder.begin(SPEC)
    folder.write_status("training")
    return folder


def test_a_run_that_beats_is_running_and_one_that_stopped_beating_is_not(folder: RunFolder) -> None:
    told: list[Progress] = []
    Pulse(folder, told.append)(HALF)
    assert told == [HALF]
    found = standing(folder)
    assert found.state == RUNNING
    assert found.beat is not None
    assert (found.beat.progress, found.beat.process) == (HALF, os.getpid())
    path = folder.path / heartbeat.FILE
    old = json.loads(path.read_text()) | {"at": time.time() - STALE_SECONDS - 1}
    path.write_text(json.dumps(old))
    assert standing(folder).state == STOPPED


def test_beats_are_seldom_and_harm_nothing_where_they_cannot_be_written(folder: RunFolder) -> None:
    beat = Pulse(folder, lambda _: None)
    beat(HALF)
    (folder.path / heartbeat.FILE).unlink()
    beat(HALF)
    assert read_beat(folder) is None
    Pulse(RunFolder(folder.path / "nowhere"), lambda _: None)(HALF)
    (folder.path / heartbeat.FILE).write_text('{"progress": 3}')
    assert read_beat(folder) is None
    assert standing(folder).state == STOPPED


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_that_has_ended_beats_no_more(tmp_path: Path, fails: bool) -> None:
    seen: list[bool] = []

    def execute(run, workspace, report):
        folder = workspace.folder(run.run_id)
        folder.begin(run)
        report(HALF)
        seen.append(read_beat(folder) is not None)
        if fails:
            raise ValueError("lost")
        write_run(workspace.runs, run, 0.8)

    attempt(SPEC, Workspace(runs=tmp_path / "runs", cache=tmp_path), lambda _: None, execute)
    folder = RunFolder(tmp_path / "runs" / SPEC.run_id)
    assert seen == [True]
    assert read_beat(folder) is None
    assert standing(folder).state == (FAILED if fails else DONE)


def test_an_interrupted_run_says_how_far_it_came(tmp_path: Path) -> None:
    later = replace(HALF, done=780)

    def execute(run, workspace, report):
        folder = workspace.folder(run.run_id)
        folder.begin(run)
        report(HALF)  # written, and the next only seconds later
        report(later)
        folder.write_status("interrupted")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(SPEC, Workspace(runs=tmp_path / "runs", cache=tmp_path), lambda _: None, execute)
    found = standing(RunFolder(tmp_path / "runs" / SPEC.run_id))
    assert found.state == STOPPED
    assert found.beat is not None
    assert found.beat.progress == later


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C works, also where the tests were started in the background, for which a shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_that_is_where_its_checkpoint_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned, workspace = prepared(tmp_path, "Regime.validate_every = 4")
    monkeypatch.setattr(training, "REPORT_SECONDS", 1e9)
    step = training.take_step

    def third(method, settings, learner, optimiser, iteration, gradient):
        if iteration == 2:
            signal.raise_signal(signal.SIGINT)
        return step(method, settings, learner, optimiser, iteration, gradient)

    monkeypatch.setattr(training, "take_step", third)
    run = planned.runs[0]
    with pytest.raises(KeyboardInterrupt):
        attempt(run, workspace, lambda _: None, None)
    found = standing(workspace.folder(run.run_id))
    assert found.beat is not None
    assert (found.state, found.beat.progress.done) == (STOPPED, 3)


def test_the_command_counts_them_and_says_why_one_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: RunFolder
) -> None:
    done, failed, waiting = (run_spec(name) for name in ("anil", "nil", "boil"))
    write_run(tmp_path / "runs", done, 0.8)
    broken = RunFolder(tmp_path / "runs" / failed.run_id)
    broken.begin(failed)
    broken.write_status("failed", error="ValueError: the [loss] is nan")
    Pulse(folder, lambda _: None)(HALF)
    runs = [spec.run_id for spec in (SPEC, done, failed, waiting)]
    write_json(tmp_path / "runs" / "experiment.json", {"runs": runs})
    assert standing(RunFolder(tmp_path / "runs" / waiting.run_id)).state == WAITING
    assert cli.main(["status", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "4 runs: 1 done, 1 running, 1 failed, 1 waiting" in said
    assert "need up to 50 s" in said
    assert "training 500/1,000" in said
    assert "ValueError: the [loss] is nan" in said
    assert str(os.getpid()) in said
    assert "anil" not in said.split("runs:")[1]


@pytest.mark.parametrize("width", [80, WIDE])
def test_in_any_terminal_names_are_whole_and_nothing_is_hidden(
    tmp_path: Path, folder: RunFolder, width: int
) -> None:
    """A name as long as those of experiments on several sources, and an error of several lines."""
    long = run_spec("proto_maml_without_second_derivatives", trained_on=("ilsvrc_2012",))
    error = (
        "RuntimeError: the pool of ilsvrc_2012 is on no node that this run may use, and it cannot be fetched"
    )
    broken = RunFolder(tmp_path / "runs" / long.run_id)
    broken.begin(long)
    broken.write_status("failed", error=error)
    Pulse(folder, lambda _: None)(HALF)
    console = Console(file=io.StringIO(), width=width)
    write_json(tmp_path / "runs" / "experiment.json", {"runs": [SPEC.run_id, long.run_id]})
    show_status(lambda: tmp_path, console, name="e")
    lines = console.file.getvalue().splitlines()[1:]  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in lines)
    shown = " ".join(" ".join(lines).split())
    assert SPEC.run_id in shown
    assert "training 500/1,000" in shown
    assert str(os.getpid()) in shown
    if width < WIDE:
        assert {f"{SPEC.run_id}  running", f"{long.run_id}  failed"} <= set(lines)
        assert error in shown, "broken between words alone"
        assert "50 s left" in shown
    else:
        assert any(long.run_id.rpartition("-")[0] in line for line in lines)


def test_runs_of_a_search_have_the_number_of_their_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trials = [run_spec("maml", seed=seed).run_id for seed in range(3)]
    slot = {"method": "maml", "trained_on": "glyphs", "concerns": [], "runs": trials, "chosen": None}
    slots = [slot, {**slot, "method": "nil", "runs": [trials[0], trials[0], trials[2]]}]
    search = {"kind": "grid search", "seed": 0, "values": [{"MAML.inner_lr": "1"}] * 3, "slots": slots}
    (tmp_path / "runs").mkdir()
    write_json(tmp_path / "runs" / "experiment.json", {"runs": [run_spec("anil").run_id], "search": search})
    assert cli.main(["status", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (heading,) = (line.split() for line in lines if "standing" in line)
    assert heading[:3] == ["run", "trial", "standing"]
    numbers = {
        line.split()[0]: line.split("waiting")[0].split(maxsplit=1)[1:]
        for line in lines
        if "waiting " in line
    }
    assert [numbers[run][0].strip() for run in trials] == ["1, 2", "2", "3"]
    assert numbers[run_spec("anil").run_id] == [], "a result, of no trial"


def test_looking_again_ends_when_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "runs", SPEC, 0.8)
    assert cli.main(["status", str(tmp_path), "--every", "0.1"]) == 0
    assert capsys.readouterr().out.count("1 run: 1 done") == 1
    assert "no folder of an experiment" in refused(capsys, "status", str(tmp_path / "nowhere"))


@pytest.mark.slow
def test_a_real_run_leaves_no_beat_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.0)
    write_tiny(tmp_path)
    arguments = ["run", "tiny.gin", "--backend", "serial", "--cache", str(tmp_path / "cache")]
    assert cli.main([*arguments, "--set", "Evaluation.n_episodes=4"]) == 0
    assert not list(tmp_path.rglob(heartbeat.FILE))
    assert not list(tmp_path.rglob("*.partial"))
    assert cli.main(["status", "reports/tiny"]) == 0


@pytest.mark.parametrize("runs", [[1], ["../../etc"], "abc", ["a/b"], [""]])
def test_a_record_that_names_no_runs_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], runs: object
) -> None:
    (tmp_path / "runs").mkdir()
    write_json(tmp_path / "runs" / "experiment.json", {"runs": runs})
    for command in ("status", "report", "clean"):
        assert "is damaged or foreign" in refused(capsys, command, str(tmp_path))


@pytest.mark.parametrize("name", ["spec.json", "episodes.parquet"])
def test_a_finished_run_with_a_damaged_file_is_not_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = write_run(tmp_path / "runs", SPEC, 0.5)
    assert standing(folder).state == DONE
    (folder.path / name).write_bytes(b"{bad")
    assert not folder.is_done
    found = standing(folder)
    assert (found.state, found.error) == (STOPPED, DAMAGED)
    write_json(tmp_path / "runs" / "experiment.json", {"runs": [SPEC.run_id]})
    cli.main(["status", str(tmp_path)])
    said = " ".join(capsys.readouterr().out.split())
    assert "1 stopped" in said
    assert "damaged" in said
