"""A training that several Ray workers share: the bits of one that a single process makes, whoever dies meanwhile."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import Process
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import watched
from experiments import prepared
from harness import plugins
from harness.heartbeat import read_beat
from harness.launch import launch
from harness.learner import Learner
from harness.progress import Progress
from harness.resources import Resources
from harness.spec import RunSpec
from harness.store import Workspace
from harness.training_team import Address, LeadingTeam, take_part
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


class Watching(LeadingTeam):
    """Waits for those who are to come, and kills one."""

    def __init__(self, begin: Callable[[Address], Process], **given: Any) -> None:
        super().__init__(host="127.0.0.1", call=self.called, **given)
        self.begin, self.others, self.sizes = begin, list[Process](), list[int]()

    @contextlib.contextmanager
    def called(self, address: Address) -> Iterator[None]:
        self.address = address
        self.others.append(self.begin(address))
        yield
        for process in self.others:
            process.join(watched.PATIENCE)

    def ready(self, iteration: int) -> None:
        if iteration == 5:
            self.others.append(self.begin(self.address))
        if iteration in (2, 5, 10):
            end = time.monotonic() + watched.PATIENCE
            while self._store.add("arrivals", 0) <= self._seen and time.monotonic() < end:
                time.sleep(0.02)
        if iteration == 9:
            self.others[0].kill()
            self.others[0].join()
        super().ready(iteration)
        self.sizes.append(self.size)


@pytest.mark.slow
def test_two_workers_come_one_after_the_other_and_the_first_of_them_dies(tmp_path: Path) -> None:
    planned, workspace = prepared(
        tmp_path,
        "Experiment.methods = [@ANIL()]",
        *("Experiment.compute = @Compute()", "Compute.training_workers = 3"),
        *("Regime.meta_batch = 4", "Regime.iterations = 12", "Regime.validate_every = 4"),
    )
    (run,) = planned.runs
    alone = Workspace(runs=tmp_path / "alone", cache=workspace.cache)
    alone.runs.mkdir()
    execute(run, alone, silent)
    teams: list[Watching] = []

    def begin(address: Address) -> Process:
        arguments = (run, workspace, address, "127.0.0.1")
        process = multiprocessing.get_context("spawn").Process(target=take_part, args=arguments)
        process.start()
        return process  # type: ignore[return-value]

    def recruit(spec: RunSpec, learner: Learner, optimiser: torch.optim.Optimizer) -> Watching:
        teams.append(Watching(begin, learner=learner, optimiser=optimiser))
        return teams[0]

    execute(run, workspace, silent, recruit=recruit)
    assert teams[0].sizes == [1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 2, 2]
    updates = workspace.folder(run.run_id).status()["updates_by_workers"]
    assert updates == {"1": 3, "2": 6, "3": 3}, "the update in which one died was made alone"
    assert [process.exitcode for process in teams[0].others] == [-signal.SIGKILL, 0]
    same(run, workspace, alone)


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
        assert watched.ends(process), "a helper has outlived the launch"


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

    began = time.time()

    def kill(progress: Progress) -> None:
        beat = read_beat(workspace.folder(run.run_id))
        if not killed and beat is not None and beat.at > began:  # not of the try that was interrupted
            killed.append(beat.process)
            os.kill(beat.process, signal.SIGKILL)

    (outcome,) = launch([run], workspace, workers=2, resources=Resources(retries=1), on_progress=kill)
    assert killed
    assert outcome.state == "done", outcome.error
    same(run, workspace, alone)
