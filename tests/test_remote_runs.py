"""A run at a URL: what is sent in which order, resuming elsewhere, and what a broken connection leaves."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from experiments import prepared
from faulty_files import URL, FaultyFileSystem, failing, faulty
from harness.attempt import Outcome, attempt, record_failure
from harness.progress import Progress
from harness.remote import objects as objects_module
from harness.remote import run_mirror
from harness.remote.experiment_mirror import ExperimentMirror
from harness.remote.objects import Objects
from harness.remote.places import mirror_of
from harness.remote.run_mirror import RunMirror
from harness.spec import RunSpec
from harness.store import RunFolder, Workspace

Faulty = type[FaultyFileSystem]
SEEN_ALONE = ["seconds"]
"""The column of episodes.parquet that is measured with a clock."""


class GoneError(BaseException):
    """The machine is lost: nothing gets a chance to save."""


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    monkeypatch.setattr(objects_module, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(run_mirror, "PUSH_SECONDS", 0.0)
    monkeypatch.setattr(run_mirror, "SHARE", 0.0)
    with faulty() as system:
        yield system


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, RunSpec]:
    planned, _ = prepared(tmp_path)
    return {run.method_name: run for run in planned.runs}


def machine(tmp_path: Path, name: str) -> Workspace:
    """One with a cache of its own, in which the pools are."""
    cache = tmp_path / name
    if not cache.exists():
        shutil.copytree(tmp_path / "cache", cache)
    return Workspace(runs=mirror_of(cache, URL) / "runs", cache=cache, url=URL)


def silent(progress: Progress) -> None:
    """Nobody looks."""


def at(place: Workspace, run: RunSpec, report: Callable[[Progress], None] = silent) -> Outcome:
    place.runs.mkdir(parents=True, exist_ok=True)
    return attempt(run, place, report, None)


def alone(tmp_path: Path, run: RunSpec) -> RunFolder:
    """The run, done without a URL."""
    place = Workspace(runs=tmp_path / "alone", cache=tmp_path / "cache")
    assert at(place, run).state == "done"
    return place.folder(run.run_id)


def assert_same(one: RunFolder, other: RunFolder) -> None:
    tables = [pd.read_parquet(folder.episodes).drop(columns=SEEN_ALONE) for folder in (one, other)]
    pd.testing.assert_frame_equal(*tables)
    learners = [torch.load(folder.checkpoint, weights_only=True)["learner"] for folder in (one, other)]
    assert all(torch.equal(learners[0][name], learners[1][name]) for name in learners[0])
    assert [line["iteration"] for line in one.curve()] == [line["iteration"] for line in other.curve()]


def gone_at(iteration: int) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.state == "training" and progress.done >= iteration:
            raise GoneError

    return report


def there(run: RunSpec, name: str) -> bytes | None:
    return Objects(url=URL).read(f"runs/{run.run_id}/{name}")


def written(files: Faulty, run: RunSpec) -> list[str]:
    """Names of the run's files as they took their places, in that order."""
    return [path.rpartition("/")[2] for kind, path in files.asked if kind == "move" and run.run_id in path]


def test_results_are_sent_before_the_status_that_says_so(
    tmp_path: Path, files: Faulty, runs: dict[str, RunSpec]
) -> None:
    run = runs["maml"]
    states: list[tuple[str, bool, bool]] = []

    def look(kind: str, path: str) -> None:
        if kind == "move" and path.endswith("status.json"):
            aside = next(p for p in files.store if "status.json" in p and p.endswith(".partial"))
            state = json.loads(files.store[aside].getvalue())["state"]
            names = Objects(url=URL)
            files.faults.clear()
            listed = names.listing(f"runs/{run.run_id}")
            files.faults.append(look)
            states.append(
                (state, any("checkpoint" in key for key in listed), any("episodes" in key for key in listed))
            )

    files.faults.append(look)
    assert at(machine(tmp_path, "a"), run).state == "done"
    assert states[0] == ("training", False, False)
    assert ("training", True, False) in states, "the checkpoint, then its status"
    assert states[-1] == ("done", True, True)
    assert all(episodes for state, _, episodes in states if state == "done")
    order = written(files, run)
    assert order[-3:] == ["episodes.parquet", "mirror.json", "status.json"], order
    assert order.index("curve.jsonl") < order.index("checkpoint.pt")
    assert "checkpoint.previous.pt" not in order


def test_a_run_goes_on_elsewhere_from_the_last_checkpoint_to_the_same_numbers(
    tmp_path: Path, files: Faulty, runs: dict[str, RunSpec]
) -> None:
    run, begun = runs["maml"], []
    with pytest.raises(GoneError):
        at(machine(tmp_path, "a"), run, gone_at(2))
    assert json.loads(there(run, "status.json") or b"")["state"] == "training"
    place = machine(tmp_path, "b")

    def report(progress: Progress) -> None:
        if progress.state == "training":
            begun.append(progress.done)

    assert at(place, run, report).state == "done"
    assert min(begun) > 2, "from the checkpoint"
    assert_same(place.folder(run.run_id), alone(tmp_path, run))
    reader = RunMirror(url=URL, path=tmp_path / "reader" / "runs" / run.run_id)
    reader.pull()
    assert_same(RunFolder(reader.path), place.folder(run.run_id))
    assert RunFolder(reader.path).is_done


def test_an_interrupted_run_says_there_how_far_it_came(
    tmp_path: Path, files: Faulty, runs: dict[str, RunSpec]
) -> None:
    told: list[Progress] = []

    def report(progress: Progress) -> None:
        told.append(progress)
        if progress.state == "evaluating":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        at(machine(tmp_path, "a"), runs["maml"], report)
    beaten = json.loads(there(runs["maml"], "progress.json") or b"")["progress"]
    assert len(told) > 2, "the first is sent at once, the next ones only when it is due"
    assert (beaten["state"], beaten["done"]) == ("training", told[-2].done)


def test_a_machine_that_comes_back_takes_what_another_has_reached(
    tmp_path: Path, files: Faulty, runs: dict[str, RunSpec]
) -> None:
    run = runs["maml"]
    with pytest.raises(GoneError):
        at(machine(tmp_path, "a"), run, gone_at(2))
    assert at(machine(tmp_path, "b"), run).state == "done"
    place, trained = machine(tmp_path, "a"), []
    assert at(place, run, trained.append).state == "done"
    assert trained == [], "what is done is not done again"
    assert place.folder(run.run_id).is_done


def test_a_training_that_is_done_elsewhere_serves_its_other_runs(
    tmp_path: Path, files: Faulty, runs: dict[str, RunSpec]
) -> None:
    assert runs["anil"].training_id == runs["nil"].training_id
    assert at(machine(tmp_path, "a"), runs["anil"]).state == "done"
    states: list[str] = []
    place = machine(tmp_path, "b")
    assert at(place, runs["nil"], lambda progress: states.append(progress.state)).state == "done"
    assert set(states) == {"evaluating"}
    taken_along = place.folder(runs["anil"].run_id).provenance.read_bytes()
    assert taken_along == there(runs["anil"], "provenance.json")
    assert place.folder(runs["nil"].run_id).provenance.read_bytes() == there(runs["nil"], "provenance.json")
    assert_same(place.folder(runs["nil"].run_id), alone(tmp_path, runs["nil"]))


def test_results_that_cannot_be_sent_stay_and_are_sent_next_time_without_training(
    tmp_path: Path, files: Faulty, runs: dict[str, RunSpec]
) -> None:
    run, place = runs["maml"], machine(tmp_path, "a")
    files.faults.append(failing(ConnectionError("no route"), of="write", path="episodes"))
    outcome = at(place, run)
    assert outcome.state == "failed"
    assert outcome.mistake
    assert "cannot be reached (ConnectionError: no route; tried 5 times" in str(outcome.error)
    assert place.folder(run.run_id).is_done, "its results are here"
    assert json.loads(there(run, "status.json") or b"")["state"] != "done"
    files.faults.clear()
    mirror = ExperimentMirror(url=URL, folder=place.runs.parent)
    mirror.pull_runs([run.run_id], finish=True)
    assert json.loads(there(run, "status.json") or b"")["state"] == "done"
    reader = RunMirror(url=URL, path=tmp_path / "reader" / "runs" / run.run_id)
    reader.pull()
    assert_same(RunFolder(reader.path), place.folder(run.run_id))


def test_a_connection_lost_in_training_fails_the_run_which_then_resumes(
    tmp_path: Path, files: Faulty, runs: dict[str, RunSpec]
) -> None:
    run, place = runs["maml"], machine(tmp_path, "a")
    files.faults.append(failing(ConnectionError("no route"), of="write", path="checkpoint"))
    outcome = at(place, run)
    assert (outcome.state, outcome.mistake) == ("failed", True)
    assert place.folder(run.run_id).status()["state"] == "failed"
    assert place.folder(run.run_id).checkpoint.exists()
    files.faults.clear()
    assert at(place, run).state == "done"
    assert_same(place.folder(run.run_id), alone(tmp_path, run))


def test_where_the_url_cannot_be_read_nothing_there_is_replaced(
    tmp_path: Path, files: Faulty, runs: dict[str, RunSpec]
) -> None:
    run = runs["maml"]
    with pytest.raises(GoneError):
        at(machine(tmp_path, "a"), run, gone_at(2))
    before = {name: there(run, name) for name in ("checkpoint.pt", "mirror.json", "curve.jsonl")}
    files.faults.append(failing(ConnectionError("no route"), of="read"))
    assert at(machine(tmp_path, "b"), run).state == "failed"
    files.faults.clear()
    assert {name: there(run, name) for name in before} == before


def test_a_run_deleted_there_is_deleted_here_and_one_torn_there_is_sent_anew(
    tmp_path: Path, files: Faulty, runs: dict[str, RunSpec]
) -> None:
    run, place = runs["maml"], machine(tmp_path, "a")
    assert at(place, run).state == "done"
    mirror = ExperimentMirror(url=URL, folder=place.runs.parent)
    whole = there(run, "episodes.parquet")
    assert whole is not None
    key = next(path for path in files.store if path.endswith("episodes.parquet"))
    files.store[key].truncate(100)
    mirror.pull_runs([run.run_id], finish=True)
    assert there(run, "episodes.parquet") == whole
    files.asked.clear()
    mirror.pull_runs([run.run_id], finish=True)
    assert {operation for operation, _ in files.asked} <= {"list", "read"}, "nothing is copied that is there"
    mirror.delete([run.run_id])
    assert list(Objects(url=URL).listing()) == [f"deleted/{run.run_id}.json"]
    mirror.pull_runs([run.run_id], finish=True)
    assert not place.folder(run.run_id).path.exists()


def test_results_torn_there_are_not_taken_for_whole(
    tmp_path: Path, files: Faulty, runs: dict[str, RunSpec]
) -> None:
    run = runs["maml"]
    assert at(machine(tmp_path, "a"), run).state == "done"
    key = next(path for path in files.store if path.endswith("episodes.parquet"))
    content = files.store[key].getvalue()
    files.store[key].seek(200)
    files.store[key].write(bytes(50))  # of the same size, and ending as a whole one does
    assert len(files.store[key].getvalue()) == len(content)
    place = machine(tmp_path, "b")
    place.folder(run.run_id).mirror.pull()  # type: ignore[union-attr]
    assert not place.folder(run.run_id).is_done
    assert at(place, run).state == "done", "evaluated again, from the checkpoint"
    assert_same(place.folder(run.run_id), alone(tmp_path, run))


def test_a_lost_worker_is_recorded_without_touching_what_it_left(
    tmp_path: Path, files: Faulty, runs: dict[str, RunSpec]
) -> None:
    run = runs["maml"]
    with pytest.raises(GoneError):
        at(machine(tmp_path, "a"), run, gone_at(2))
    before = there(run, "mirror.json")
    record_failure(run, machine(tmp_path, "driver"), "The worker process was killed")
    assert json.loads(there(run, "status.json") or b"")["error"] == "The worker process was killed"
    assert there(run, "mirror.json") == before
    begun: list[int] = []
    assert at(machine(tmp_path, "b"), run, lambda progress: begun.append(progress.done)).state == "done"
    assert begun[0] > 2


def test_a_damaged_manifest_costs_nothing_here_and_is_replaced(
    tmp_path: Path, files: Faulty, runs: dict[str, RunSpec]
) -> None:
    run, place = runs["maml"], machine(tmp_path, "a")
    with pytest.raises(GoneError):
        at(place, run, gone_at(2))
    Objects(url=URL).write(f"runs/{run.run_id}/mirror.json", b'{"files": {"spec')
    begun: list[int] = []
    assert at(place, run, lambda progress: begun.append(progress.done)).state == "done"
    assert begun[0] > 2, "from the checkpoint that is here"
    reader = RunMirror(url=URL, path=tmp_path / "reader" / "runs" / run.run_id)
    reader.pull()
    assert_same(RunFolder(reader.path), place.folder(run.run_id))


def test_a_run_begun_anew_elsewhere_replaces_the_finished_one_here(
    tmp_path: Path, files: Faulty, runs: dict[str, RunSpec]
) -> None:
    run, place = runs["maml"], machine(tmp_path, "a")
    assert at(place, run).state == "done"
    ExperimentMirror(url=URL, folder=tmp_path / "fresh").delete([run.run_id])
    with pytest.raises(GoneError):
        at(machine(tmp_path, "b"), run, gone_at(2))
    folder = place.folder(run.run_id)
    ExperimentMirror(url=URL, folder=place.runs.parent).pull_runs([run.run_id], finish=True)
    assert folder.state == "training"
    assert not folder.episodes.exists()
    assert not folder.checkpoint.exists(), "networks were not asked for, and the one here is not that one"
    assert json.loads(there(run, "status.json") or b"")["state"] == "training"
    assert at(place, run).state == "done"
    assert_same(folder, alone(tmp_path, run))
