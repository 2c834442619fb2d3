"""A training that several Ray workers share: the bits of one that a single process makes, whoever dies meanwhile."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

import watched
from experiments import prepared
from harness import plugins
from harness.launch import launch
from harness.progress import Progress
from harness.resources import Resources
from harness.spec import RunSpec
from harness.store import Workspace
from harness.worker import execute
from real_runs import numbers, silent, weights

Undisturbed = tuple[RunSpec, Workspace, Workspace]


@pytest.fixture
def furnished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Undisturbed]]:
    """A run whose training is shared by two, where it is to be run, and where one process has run it."""

    def furnish(trouble: str, iterations: int) -> Undisturbed:
        watched.install(monkeypatch, tmp_path / "site")
        notes = tmp_path / "notes"
        notes.mkdir()
        planned, workspace = prepared(
            tmp_path,
            "Experiment.methods = [@WatchedTraining()]",
            "Experiment.compute = @Compute()",
            "Compute.training_workers = 2",
            f"WatchedTraining.notes = '{notes}'",
            f"WatchedTraining.trouble = '{trouble}'",
            "WatchedTraining.inner_steps = 2",
            "Regime.meta_batch = 3",
            f"Regime.iterations = {iterations}",
            "Regime.validate_every = 10",
        )
        (run,) = planned.runs
        alone = Workspace(runs=tmp_path / "alone", cache=workspace.cache)
        alone.runs.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(watched, "wait_for_helper", lambda _folder, _seconds: None)
            execute(run, alone, silent)
        return run, workspace, alone

    yield furnish
    plugins._entries.cache_clear()


def same(run: RunSpec, one: Workspace, other: Workspace) -> None:
    """The same weights and rows, to the bit."""
    for name, tensor in weights(run, one).items():
        assert torch.equal(tensor, weights(run, other)[name]), name
    pd.testing.assert_frame_equal(numbers(run, one), numbers(run, other), check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["help", "die"])
def test_another_worker_joins_a_training_and_may_die(
    furnished: Callable[..., Undisturbed], tmp_path: Path, trouble: str
) -> None:
    run, workspace, alone = furnished(trouble, 60)
    (outcome,) = launch([run], workspace, workers=2, resources=Resources(retries=0))
    assert outcome.state == "done", outcome.error
    updates = workspace.folder(run.run_id).status()["updates_by_workers"]
    assert sum(updates.values()) == 60
    assert updates["1"] >= 1, "the first worker has waited for nobody"
    assert updates["2"] >= 2, "another has joined"
    assert watched.helpers(tmp_path / "notes")
    assert (tmp_path / "notes" / "over").exists() == (trouble == "die")
    same(run, workspace, alone)
    for process in watched.helpers(tmp_path / "notes"):
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


@pytest.mark.slow
def test_on_a_single_core_a_run_trains_alone(furnished: Callable[..., Undisturbed]) -> None:
    run, workspace, alone = furnished("help", 3)
    (outcome,) = launch([run], workspace, workers=1, resources=Resources(retries=0))
    assert outcome.state == "done", outcome.error
    assert workspace.folder(run.run_id).status()["updates_by_workers"] == {"1": 3}
    same(run, workspace, alone)


@pytest.mark.slow
def test_a_shared_training_that_is_interrupted_or_killed_goes_on_from_its_checkpoint(
    furnished: Callable[..., Undisturbed], tmp_path: Path
) -> None:
    run, workspace, alone = furnished("help", 60)

    def press() -> None:
        watched.wait_for_helper(tmp_path / "notes", watched.PATIENCE)
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=press, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            launch([run], workspace, workers=2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert workspace.folder(run.run_id).state == "interrupted"
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        beat = workspace.folder(run.run_id).path / "progress.json"
        if not killed and beat.exists():
            killed.append(int(beat.read_text().partition('"process": ')[2].partition(",")[0]))
            os.kill(killed[0], signal.SIGKILL)

    (outcome,) = launch([run], workspace, workers=2, resources=Resources(retries=1), on_progress=kill)
    assert killed
    assert outcome.state == "done", outcome.error
    same(run, workspace, alone)
