"""The record of a search whose first trials are run again: what it knows of the others, and what `clean` may take."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from command_line import refused
from experiments import prepared
from fake_runs import run_spec, write_run
from harness import cli
from harness.plan import Plan
from harness.record import read_record, recorded_search, write_record
from harness.search.recorded import RecordedSearch, RecordedSlot
from harness.store import Workspace


def search(runs: list[str], chosen: int | None = None) -> RecordedSearch:
    slot = RecordedSlot(method="m", trained_on="g", concerns=(), runs=tuple(runs), chosen=chosen)
    values = tuple({"MAML.inner_lr": str(k)} for k in range(len(runs)))
    return RecordedSearch(kind="search", seed=0, values=values, slots=(slot,))


@pytest.fixture
def done(tmp_path: Path) -> tuple[Plan, Workspace, list[str]]:
    """A plan with one result, and a finished search of four trials that led to it, recorded."""
    planned, workspace = prepared(tmp_path, "Experiment.methods = [@ANIL()]")
    trials = [run_spec(f"trial{k}") for k in range(4)]
    for run in (*trials, *planned.runs):
        write_run(workspace.runs, run, 0.5)
    ids = [run.run_id for run in trials]
    write_record({}, planned, "harness run", "", workspace, search(ids, chosen=2))
    return planned, workspace, ids


def again(planned: Plan, workspace: Workspace, trials: RecordedSearch) -> dict[str, Any]:
    folder = workspace.runs.parent
    write_record(read_record(folder), replace(planned, runs=()), "harness run", "", workspace, trials)
    return read_record(folder)


def said_unused(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["clean", str(folder)]) == 0
    return capsys.readouterr().out.partition("--unused: ")[2].split()[0]


def test_while_first_trials_run_again_the_later_ones_and_the_results_stay_known(
    done: tuple[Plan, Workspace, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planned, workspace, ids = done
    for _ in range(2):
        record = again(planned, workspace, search(ids[:2]))
        found = recorded_search(tmp_path)
        assert found is not None
        assert found.trial_runs == tuple(ids)
        assert [slot.chosen for slot in found.slots] == [None], "it is not over"
        assert record["runs"] == []
        assert said_unused(tmp_path, capsys) == "0"
    assert "The search is not over" in refused(capsys, "report", str(tmp_path))
    write_record(record, planned, "harness run", "", workspace, search(ids[:3], chosen=1))
    assert said_unused(tmp_path, capsys) == "1", "the fourth, once the search is over without it"


def test_trials_of_another_search_and_their_results_are_unused(
    done: tuple[Plan, Workspace, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planned, workspace, ids = done
    other = run_spec("other")
    write_run(workspace.runs, other, 0.5)
    record = again(planned, workspace, search([ids[0], other.run_id]))
    assert len(record["search"]["values"]) == 2
    assert said_unused(tmp_path, capsys) == "4", "three trials and a result"
