"""`harness run` with a search, from the command line: choosing, failing, being killed and carrying on."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from command_line import refused
from experiments import write_tiny
from harness import cli, worker
from harness.progress import Report
from harness.report.settings import DASH
from harness.search.choice import Score, score
from harness.spec import RunSpec
from harness.store import RunFolder, Workspace
from harness.training import TrainingDivergedError
from searched import TWO_METHODS, grid

RATES = "{'ANIL.inner_lr': [0.1, 0.5], 'Regime.learning_rate': [0.001, 0.01]}"
COMMAND = ["run", "tiny.gin", "--backend", "serial"]
FOLDER = Path("reports/tiny")

Fails = Callable[[RunSpec], Exception | None]


def record() -> dict[str, Any]:
    return dict(json.loads((FOLDER / "runs" / "experiment.json").read_text()))


def trial_runs(search: dict[str, Any]) -> set[str]:
    return {run for slot in search["slots"] for run in slot["runs"]}


def executed(monkeypatch: pytest.MonkeyPatch, fails: Fails | None = None) -> list[str]:
    """From now on: the runs that are executed; those fail for which `fails` has a reason."""
    ran: list[str] = []
    real = worker.execute

    def execute(run: RunSpec, workspace: Workspace, report: Report, **named: Any) -> None:
        ran.append(run.run_id)
        if fails and (error := fails(run)):
            workspace.folder(run.run_id).begin(run)
            workspace.folder(run.run_id).write_status("failed", error=f"{type(error).__name__}: {error}")
            raise error
        real(run, workspace, report, **named)

    monkeypatch.setattr(worker, "execute", execute)
    return ran


@pytest.mark.slow
def test_each_method_runs_with_what_scored_best_and_the_report_says_so(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(home, TWO_METHODS, *grid(RATES), "Experiment.seeds = 2", "GridSearch.n_episodes = 4")
    ran = executed(monkeypatch)
    assert cli.main(COMMAND) == 0
    shown = capsys.readouterr().out
    search, runs = record()["search"], record()["runs"]
    assert len(trial_runs(search)) == 8
    assert len(runs) == 4
    assert not set(runs) & trial_runs(search)
    assert set(ran) == trial_runs(search) | set(runs)
    assert "tiny: 4 trials of a grid search, 8 runs; very roughly" in shown
    for slot in search["slots"]:
        found = [score(RunFolder(FOLDER / "runs" / run)) for run in slot["runs"]]
        accuracies = [one.accuracy for one in found if isinstance(one, Score)]
        assert slot["chosen"] == accuracies.index(max(accuracies))
        values = search["values"][slot["chosen"]]
        own = [run for run in runs if run.startswith(f"{slot['method']}-")]
        for run in own:
            spec = RunFolder(FOLDER / "runs" / run).spec()
            assert str(spec["trainer"]["params"]["inner_lr"]) == values["ANIL.inner_lr"]
            assert str(spec["train"]["learning_rate"]) == values["Regime.learning_rate"]
        assert (
            f"{slot['method']}, trained on glyphs: chosen trial {slot['chosen'] + 1} of 4 (ANIL.inner_lr"
            in shown
        )
    splits = {
        name: set(pd.read_parquet(FOLDER / "runs" / name / "episodes.parquet")["split"]) for name in ran
    }
    assert {run for run, found in splits.items() if found == {"valid"}} == trial_runs(search)
    assert {run for run, found in splits.items() if found == {"test"}} == set(runs)
    board = pd.read_csv(FOLDER / "leaderboard.csv")
    assert board["n_episodes"].tolist() == [6, 6], "two seeds of three test episodes, and no trial"
    check_everything_else(capsys, ran)


def check_everything_else(capsys: pytest.CaptureFixture[str], ran: list[str]) -> None:
    """Of a finished experiment with a search: the same command, the report, and the commands that read its folder."""
    before = {name: (FOLDER / name).read_bytes() for name in ("report.md", "report.html", "experiment.json")}
    assert b"## Search" in before["report.md"]
    assert cli.main(["report", str(FOLDER)]) == 0
    shutil.copytree(FOLDER, "elsewhere/tiny")
    assert cli.main(["report", "elsewhere/tiny"]) == 0
    for folder in (FOLDER, Path("elsewhere/tiny")):
        assert {name: (folder / name).read_bytes() for name in before} == before
    n_ran = len(ran)
    capsys.readouterr()
    for again in (COMMAND, ["retry", str(FOLDER), "--backend", "serial"]):
        assert cli.main(again) == 0
        shown = capsys.readouterr().out
        assert "8 runs, 8 of them done already." in shown
        assert "4 runs with the chosen values, 4 of them done already." in shown
    assert len(ran) == n_ran
    assert json.loads((FOLDER / "experiment.json").read_text()) == json.loads(before["experiment.json"])
    assert cli.main(["status", str(FOLDER)]) == 0
    assert "12 runs: 12 done. 8 of them are trials of a grid search." in capsys.readouterr().out
    assert cli.main(["clean", str(FOLDER)]) == 0
    assert "--unused: 0 " in capsys.readouterr().out, "trials are in use"
    assert cli.main(["plan", "tiny.gin"]) == 0
    shown = capsys.readouterr().out
    assert "trial 3: ANIL.inner_lr = 0.5, Regime.learning_rate = 0.001" in shown
    assert "4 trials of a grid search: 8 runs on seed 0, none tested; all done." in shown
    assert shown.count("  chosen  ") == 4
    assert cli.main(["leaderboard", str(FOLDER), "--out", "board"]) == 0
    assert set(pd.read_csv("board/leaderboard.csv")["n_episodes"]) == {6}


@pytest.mark.slow
def test_a_killed_search_carries_on_and_chooses_the_same(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(home, TWO_METHODS, *grid(RATES), "Regime.iterations = 60", "Regime.validate_every = 20")
    assert cli.main(COMMAND) == 0
    whole, board = record(), (FOLDER / "leaderboard.csv").read_bytes()
    shutil.rmtree(FOLDER)
    running = subprocess.Popen([sys.executable, "-m", "harness", *COMMAND], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while sum(path.exists() for path in (FOLDER / "runs").glob("*/episodes.parquet")) < 3:
        assert running.poll() is None, "it was to be killed before its end"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = {path.name for path in (FOLDER / "runs").iterdir() if path.is_dir() and RunFolder(path).is_done}
    assert 0 < len(done) < 8
    assert record()["runs"] == []
    assert trial_runs(record()["search"]) == trial_runs(whole["search"])
    message = refused(capsys, "report", str(FOLDER))
    assert f"The search is not over ({len(done)} of 8 runs of trials are done)" in message
    assert not (FOLDER / "report.md").exists()
    cli.main(["status", str(FOLDER)])
    assert "8 of them are trials of a grid search; the runs with the chosen values come after them." in (
        capsys.readouterr().out
    )
    ran = executed(monkeypatch)
    assert cli.main(COMMAND) == 0
    assert not done & set(ran), "what was done is kept"
    assert (record()["search"], record()["runs"]) == (whole["search"], whole["runs"])
    assert (FOLDER / "leaderboard.csv").read_bytes() == board
    assert record()["time_missing"] is True


@pytest.mark.slow
def test_a_trial_that_diverges_is_named_and_out_of_the_choice(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(home, TWO_METHODS, *grid("{'ANIL.inner_lr': [0.1, 0.5]}"))
    diverged = TrainingDivergedError("the loss is nan")
    executed(monkeypatch, lambda run: diverged if run.trainer.params["inner_lr"] == 0.5 else None)
    assert cli.main(COMMAND) == 0, "that a trial diverges is an answer"
    assert (
        "2 of 4 runs of trials failed and were out of the choice; see the report." in capsys.readouterr().out
    )
    assert [slot["chosen"] for slot in record()["search"]["slots"]] == [0, 0]
    text = (FOLDER / "report.md").read_text()
    assert "| 2 | 0.5 | failed: TrainingDivergedError: the loss is nan |" in text
    assert "| 2 | 0.5 | failed: Its training, shared with anil-glyphs-s0-" in text


@pytest.mark.slow
def test_a_trial_that_fails_otherwise_fails_the_command_and_is_tried_again(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(home, "Experiment.methods = [@ANIL()]", *grid("{'ANIL.inner_lr': [0.1, 0.5]}"))
    with monkeypatch.context() as patch:
        executed(patch, lambda run: ValueError("no luck") if run.trainer.params["inner_lr"] == 0.1 else None)
        assert cli.main(COMMAND) == 1
    shown = capsys.readouterr()
    assert "ValueError: no luck" in shown.err
    assert record()["search"]["slots"][0]["chosen"] == 1
    assert "| 1 | 0.1 | failed: ValueError: no luck |" in (FOLDER / "report.md").read_text()
    assert cli.main(COMMAND) == 0
    assert "failed: ValueError" not in (FOLDER / "report.md").read_text()


@pytest.mark.slow
def test_a_method_without_any_finished_trial_has_no_results(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(
        home, "Experiment.methods = [@MAML(), @ANIL()]", *grid("{'Regime.learning_rate': [0.001, 0.01]}")
    )
    diverged = TrainingDivergedError("the loss is nan")
    executed(monkeypatch, lambda run: diverged if run.method_name == "maml" else None)
    assert cli.main(COMMAND) == 1
    assert "No trial of maml, trained on glyphs, has finished: it has no results." in capsys.readouterr().out
    assert [run.partition("-")[0] for run in record()["runs"]] == ["anil"]
    text = (FOLDER / "report.md").read_text()
    assert f"| maml | glyphs | no trial has finished | {DASH} | {DASH} |" in text


@pytest.mark.slow
def test_fresh_removes_the_trials_and_ray_gives_the_same_choice(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(home, "Experiment.methods = [@ANIL()]", *grid("{'ANIL.inner_lr': [0.1, 0.5]}"))
    assert cli.main(COMMAND) == 0
    serial = record()
    other = FOLDER / "runs" / "another-run"
    other.mkdir()
    with monkeypatch.context() as patch:
        ran = executed(patch)
        assert cli.main([*COMMAND, "--fresh"]) == 0
    assert set(ran) == trial_runs(serial["search"]) | set(serial["runs"])
    assert other.exists()
    assert cli.main(["run", "tiny.gin", "--backend", "ray", "--workers", "2", "--fresh"]) == 0
    assert (record()["search"], record()["runs"]) == (serial["search"], serial["runs"])


def test_a_plan_lists_the_trials_and_what_they_cost(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home, TWO_METHODS, *grid(RATES), "Experiment.seeds = 3")
    assert cli.main(["plan", "tiny.gin"]) == 0
    shown = capsys.readouterr().out
    assert "trial 4: ANIL.inner_lr = 0.5, Regime.learning_rate = 0.01" in shown
    assert "4 trials of a grid search: 8 runs on seed 0, none tested; very roughly" in shown
    assert "Then 6 runs with the values that the trials choose; with the trials, very roughly" in shown
    assert "are many" not in shown
    assert not (home / "reports").exists()
    rates = [round(0.1 + k / 1000, 4) for k in range(101)]
    write_tiny(home, TWO_METHODS, *grid(f"{{'ANIL.inner_lr': {rates}}}"))
    assert cli.main(["plan", "tiny.gin"]) == 0
    assert (
        "Note: 202 runs of trials are many. Search fewer values, or use @RandomSearch()"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("command", ["plan", "run"])
def test_mistakes_of_a_search_are_found_before_anything_starts(
    home: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    write_tiny(home, *grid("{'ANIL.innr_lr': [0.1, 0.5]}"))
    message = refused(capsys, command, "tiny.gin")
    assert (
        "trial of tiny.gin:26: 'ANIL.innr_lr = 0.1': ANIL has no parameter 'innr_lr'. Did you mean 'inner_lr'?"
        in message
    )
    write_tiny(home, *grid("{'ANIL.inner_lr': [0.1, -0.5]}"))
    assert "trial of tiny.gin:26: 'ANIL.inner_lr = -0.5': ANIL.inner_lr must be" in refused(
        capsys, command, "tiny.gin"
    )
    assert not (home / "reports").exists()


def test_pools_of_trials_are_prepared_ahead(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home, "Experiment.methods = [@ANIL()]", *grid("{'Images.size': [16, 20]}"))
    assert cli.main(["data", "prepare", "tiny.gin"]) == 0
    capsys.readouterr()
    assert cli.main(["plan", "tiny.gin"]) == 0
    shown = capsys.readouterr().out
    assert shown.count(": ready") == 6
    assert "to be prepared" not in shown
