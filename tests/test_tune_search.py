"""Trials that follow from what earlier ones scored, proposed by Optuna through Ray Tune."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from command_line import refused
from experiments import write_tiny
from harness import cli, worker
from harness.errors import ConfigError
from harness.search import tune_search
from harness.search.settings import RandomSearch
from harness.search.tune_search import TuneSearch
from harness.store import RunFolder, run_folders

RANGES = {
    "x": ("log_uniform", 0.001, 1.0),
    "y": ("uniform", -1.0, 1.0),
    "n": ("whole", 1, 3),
    "c": ("choice", ["a", "b"]),
}
LINES = (
    "Experiment.methods = [@ANIL()]",
    "Experiment.search = @TuneSearch()",
    "TuneSearch.trials = 6",
    "TuneSearch.at_once = 2",
    "TuneSearch.ranges = {'ANIL.inner_lr': ('log_uniform', 0.01, 1.0), 'Regime.meta_batch': ('choice', [2, 3])}",
)
COMMAND = ["run", "tiny.gin", "--backend", "serial"]
FOLDER = Path("reports/tiny")

Accuracy = Callable[[Mapping[str, str]], float | None]


def tried(search: TuneSearch | RandomSearch, seed: int, accuracy: Accuracy) -> list[Mapping[str, str]]:
    """All trials of a search whose trials score as `accuracy` says."""
    rounds = search.rounds(seed)
    trials = round_ = next(rounds)
    while True:
        try:
            round_ = rounds.send([accuracy(trial) for trial in round_])
        except StopIteration:
            return trials
        trials = [*trials, *round_]


def near(trial: Mapping[str, str]) -> float:
    """Highest, 0, at x = 0.03."""
    return -abs(math.log10(float(trial["x"]) / 0.03))


def test_proposals_are_within_ranges_and_follow_from_seed_and_scores() -> None:
    pytest.importorskip("optuna")
    search = TuneSearch(trials=23, at_once=5, ranges=RANGES)
    trials = tried(search, 3, near)
    assert len(trials) == search.n_trials == 23
    for trial in trials:
        assert list(trial) == list(RANGES)
        assert 0.001 <= float(trial["x"]) <= 1.0
        assert -1.0 <= float(trial["y"]) <= 1.0
        assert trial["n"] in ("1", "2", "3")
        assert trial["c"] in ("'a'", "'b'")
    assert tried(search, 3, near) == trials
    assert tried(search, 4, near) != trials
    otherwise = tried(search, 3, lambda trial: -near(trial))
    assert otherwise[:5] == trials[:5], "the first round knows nothing yet"
    assert otherwise != trials
    assert tried(search, 3, lambda _: None)[:5] == trials[:5], "failed trials do not end it"


def test_proposals_come_nearer_to_what_scores_well_than_draws_do() -> None:
    pytest.importorskip("optuna")
    ranges = {"x": RANGES["x"]}
    distances = {
        kind: [
            -near(trial)
            for seed in range(3)
            for trial in tried(kind(trials=30, ranges=ranges), seed, near)[20:]
        ]
        for kind in (TuneSearch, RandomSearch)
    }
    mean = {kind: sum(found) / len(found) for kind, found in distances.items()}
    assert mean[TuneSearch] < 0.6 * mean[RandomSearch]


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune_search, "find_spec", lambda name: None if name == "optuna" else object())
    with pytest.raises(
        ConfigError, match=r"TuneSearch needs optuna, .*`pip install -c constraints\.txt -e '\.\[tune\]'"
    ):
        TuneSearch(ranges=RANGES).check()


def test_mistakes_name_the_search(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(
        home, "Experiment.search = @TuneSearch()", "TuneSearch.ranges = {'MAML.inner_lr': ('uniform', 2, 1)}"
    )
    assert "tiny.gin:26: TuneSearch.ranges: 'MAML.inner_lr' is upside down" in refused(
        capsys, "plan", "tiny.gin"
    )


def check_that_a_trial_tried_again_loses_no_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, record: dict[str, Any]
) -> None:
    """A trial of the first round is made again, and that is interrupted: no later one is taken for unused."""

    def interrupted(*_: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    first = RunFolder(FOLDER / "runs" / record["search"]["slots"][0]["runs"][0])
    first.episodes.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(worker, "execute", interrupted)
        assert cli.main(COMMAND) == 130
    capsys.readouterr()
    assert cli.main(["clean", str(FOLDER)]) == 0
    assert "--unused: 0 " in capsys.readouterr().out
    assert cli.main(COMMAND) == 0
    after = json.loads((FOLDER / "runs" / "experiment.json").read_text())
    assert (after["search"], after["runs"]) == (record["search"], record["runs"])
    assert "earlier_runs" not in after


@pytest.mark.slow
def test_rounds_are_run_resumed_planned_and_reported(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    write_tiny(home, *LINES)
    assert cli.main(["plan", "tiny.gin"]) == 0
    shown = capsys.readouterr().out
    assert "2 trials of a search by Ray Tune and Optuna: 2 runs on seed 0, none tested; very roughly" in shown
    assert "4 more trials follow from what these score, each at about the same cost." in shown
    real, left = worker.execute, [3]

    def interrupted(*arguments: Any, **named: Any) -> None:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        real(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(worker, "execute", interrupted)
        assert cli.main(COMMAND) == 130
    begun = json.loads((FOLDER / "runs" / "experiment.json").read_text())["search"]
    assert len(begun["values"]) == 4
    assert cli.main(COMMAND) == 0
    assert "6 trials of a search by Ray Tune and Optuna, 6 runs" in capsys.readouterr().out
    record = json.loads((FOLDER / "runs" / "experiment.json").read_text())
    assert record["search"]["values"][:4] == begun["values"]
    assert len(record["search"]["values"]) == 6
    assert record["seconds"] > 0
    assert "time_missing" not in record
    assert "A search by Ray Tune and Optuna of 6 trials" in (FOLDER / "report.md").read_text()
    assert cli.main(["plan", "tiny.gin"]) == 0
    assert "6 trials of a search by Ray Tune and Optuna: 6 runs on seed 0, none tested; all done." in (
        capsys.readouterr().out
    )
    check_that_a_trial_tried_again_loses_no_other(capsys, monkeypatch, record)
    made = {path.path.name for path in run_folders(FOLDER / "runs")}
    for name in made:
        (FOLDER / "runs" / name / "mark").touch()
    assert cli.main([*COMMAND, "--fresh"]) == 0
    assert {path.path.name for path in run_folders(FOLDER / "runs")} == made, "the same trials again"
    assert not list((FOLDER / "runs").glob("*/mark")), "every one of them anew"
