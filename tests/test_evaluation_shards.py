"""A run's evaluation in parts, by several workers: the same rows to the bit, whatever happens to the workers."""

import dataclasses
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

import watched
from experiments import prepared
from harness import plugins
from harness.evaluation import groups
from harness.launch import launch
from harness.method import predicts_batches
from harness.progress import Progress
from harness.resources import Resources
from harness.run_evaluation import RunEvaluation, Stretch
from harness.spec import RunSpec
from harness.store import Workspace
from harness.worker import execute, fresh_learner
from real_runs import silent

VARIABLE = (
    "Experiment.evaluations = [@Evaluation(), @variable/Evaluation()]",
    "Evaluation.n_episodes = 23",
    "variable/Evaluation.sources = [@Textures()]",
    "variable/Evaluation.shape = @VariableShape()",
    "VariableShape.min_way = 2",
    "VariableShape.max_way = 3",
    "VariableShape.max_query = 1",
    "VariableShape.max_support = 6",
)


def nobody(done: int) -> None:
    """Told how far it is."""


def evaluation_of(run: RunSpec, workspace: Workspace) -> RunEvaluation:
    """Of a learner as drawn."""
    network = plugins.build(plugins.NETWORKS, run.network)
    return RunEvaluation(
        spec=run,
        workspace=workspace,
        method=plugins.build(plugins.METHODS, run.method),
        network=network.name,
        learner=fresh_learner(run, plugins.build(plugins.METHODS, run.trainer), network),
    )


def timeless(rows: object) -> pd.DataFrame:
    """All that was measured, but for the seconds."""
    return pd.DataFrame(rows).drop(columns="seconds")


@pytest.mark.parametrize("method", ["@MAML()", "@ANIL()", "@KNN()", "@MatchingNet()"])
def test_parts_have_the_rows_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    # Room for few episodes side by side, so that there are groups of several and many of them.
    monkeypatch.setattr("harness.task_batch.VALUES_AT_ONCE", 2**17)
    planned, workspace = prepared(tmp_path, *VARIABLE, f"Experiment.methods = [{method}]")
    evaluation = evaluation_of(planned.runs[0], workspace)
    whole = timeless(evaluation.whole(nobody))
    assert len(whole) == 46
    sizes = set()
    for most in (1, 2, 3, 5, 1000):
        parts = evaluation.parts(most)
        assert 1 <= len(parts) <= most
        told: list[int] = []
        rows = [row for part in parts for row in evaluation.rows(part, told.append)]
        pd.testing.assert_frame_equal(timeless(rows), whole, check_exact=True)
        assert max(told) <= 46 - (len(parts) - 1)
        sizes.add(len(parts))
    assert {1, 2, 3} < sizes


def test_parts_begin_where_groups_begin_and_are_of_one_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.task_batch.VALUES_AT_ONCE", 2**17)
    planned, workspace = prepared(tmp_path, *VARIABLE)
    evaluation = evaluation_of(planned.runs[0], workspace)
    assert predicts_batches(evaluation.method)
    begins = set()
    for place in (0, 1):
        sequence = evaluation._sequence(place)
        episodes = [sequence[k] for k in range(23)]
        for episode in episodes:
            outline = sequence.outline(episode.index)
            for name in ("support_x", "support_y", "query_x"):
                real, blank = getattr(episode.task, name), getattr(outline.task, name)
                assert (real.shape, real.dtype) == (blank.shape, blank.dtype)
            assert outline.task.n_way == episode.task.n_way
        found = list(groups(evaluation.method, evaluation.learner, episodes))
        assert any(len(group) > 1 for group in found)
        begins |= {(place, group[0].index) for group in found}
    parts = evaluation.parts(4)
    assert len(parts) == 4
    assert all((stretch.place, stretch.first) in begins for part in parts for stretch in part)
    assert any(len(part) == 2 for part in parts), "a part may go on in the next evaluation"
    assert parts[0][0] == Stretch(place=0, first=0, stop=parts[0][0].stop)


Undisturbed = tuple[RunSpec, Workspace, pd.DataFrame]


@pytest.fixture
def furnished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Undisturbed]]:
    """A run with a watched method, and the rows of an undisturbed one by a single worker."""

    def furnish(plugin: str, trouble: str, *more: str) -> Undisturbed:
        watched.install(monkeypatch, tmp_path / "site")
        notes = tmp_path / "notes"
        notes.mkdir()
        lines = (
            *(f"{plugin}.notes = '{notes}'", f"{plugin}.trouble = '{trouble}'"),
            *(
                "Regime.validation_sources = ()",
                "Regime.selection = 'last'",
            ),  # nothing is predicted in training
        )
        planned, workspace = prepared(
            tmp_path, *VARIABLE, f"Experiment.methods = [@{plugin}()]", *lines, *more
        )
        (run,) = planned.runs
        alone = Workspace(runs=tmp_path / "alone", cache=workspace.cache)
        alone.runs.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(watched, "note", lambda _notes, _trouble: None)
            execute(run, alone, silent)
        return run, workspace, timeless(pd.read_parquet(alone.folder(run.run_id).episodes))

    yield furnish
    plugins._entries.cache_clear()


def rows_of(run: RunSpec, workspace: Workspace) -> pd.DataFrame:
    return timeless(pd.read_parquet(workspace.folder(run.run_id).episodes))


@pytest.mark.slow
@pytest.mark.parametrize(("plugin", "trouble"), [("Watched", "help"), ("WatchedSingle", "die")])
def test_ray_workers_share_an_evaluation_and_one_may_die(
    furnished: Callable[..., Undisturbed], tmp_path: Path, plugin: str, trouble: str
) -> None:
    run, workspace, expected = furnished(plugin, trouble)
    seen: list[Progress] = []
    resources = Resources(evaluation_shards=3, retries=0)
    (outcome,) = launch([run], workspace, workers=2, resources=resources, on_progress=seen.append)
    assert outcome.state == "done", outcome.error
    assert watched.helpers(tmp_path / "notes"), "another worker has done a part"
    assert workspace.folder(run.run_id).status()["process"] not in watched.helpers(tmp_path / "notes")
    pd.testing.assert_frame_equal(rows_of(run, workspace), expected, check_exact=True)
    counted = [progress.done for progress in seen if progress.state == "evaluating"]
    assert counted == sorted(counted)
    assert 0 < counted[-1] <= 46
    assert all(progress.total == 46 for progress in seen if progress.state == "evaluating")


@pytest.mark.slow
def test_on_a_single_core_a_run_does_all_parts_itself_and_keeps_the_core(
    furnished: Callable[..., Undisturbed], tmp_path: Path
) -> None:
    run, workspace, expected = furnished("WatchedSingle", "slow")
    after = dataclasses.replace(run, seed=1)
    resources = Resources(evaluation_shards=3)
    for outcome in launch([run, after], workspace, workers=1, resources=resources):
        assert outcome.state == "done", outcome.error
    pd.testing.assert_frame_equal(rows_of(run, workspace), expected, check_exact=True)
    assert not watched.helpers(tmp_path / "notes"), "there was no room for others"
    folders = [workspace.folder(each.run_id).path for each in (run, after)]
    spans = sorted(((f / "spec.json").stat().st_mtime, (f / "status.json").stat().st_mtime) for f in folders)
    assert spans[1][0] >= spans[0][1], "the other run began when the first had ended"


@pytest.mark.slow
def test_what_a_method_raises_in_a_part_fails_the_run_with_its_reason(
    furnished: Callable[..., Undisturbed],
) -> None:
    run, workspace, _ = furnished("Watched", "raise")
    (outcome,) = launch([run], workspace, workers=2, resources=Resources(evaluation_shards=2))
    assert outcome.error == "ValueError: made to fail in a helper"
    status = workspace.folder(run.run_id).status()
    assert status["state"] == "failed"
    assert "in note" in status["traceback"], "it says where"


@pytest.mark.slow
def test_ctrl_c_stops_all_parts_and_the_same_command_carries_on(
    furnished: Callable[..., Undisturbed], tmp_path: Path
) -> None:
    run, workspace, expected = furnished("Watched", "hang")
    notes = tmp_path / "notes"

    def press() -> None:
        end = time.monotonic() + watched.PATIENCE
        while not (notes / "over").exists() and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(1.0)
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    try:
        threading.Thread(target=press, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            launch([run], workspace, workers=2, resources=Resources(evaluation_shards=2))
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < watched.PATIENCE
    assert workspace.folder(run.run_id).state == "interrupted"
    for process in watched.helpers(notes):
        assert watched.ends(process), "a helper has outlived the launch"
    (outcome,) = launch([run], workspace, workers=2, resources=Resources(evaluation_shards=2))
    assert outcome.state == "done", outcome.error
    pd.testing.assert_frame_equal(rows_of(run, workspace), expected, check_exact=True)
