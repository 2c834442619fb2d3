"""Distances between sources: measured once, on a network of the experiment, and near where sources are alike."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console
from torch import Tensor

from experiments import prepared, write_tiny
from harness.dissimilarity import task2vec_distances
from harness.distance_settings import Dissimilarity
from harness.distance_stage import distance_file, measure_missing, probe_runs
from harness.distances import measure_distances
from harness.episode import EpisodeShape
from harness.episode_sequence import SourceSequence
from harness.errors import ConfigError, PlanError, WorkspaceError
from harness.plan import Plan
from harness.pools import open_pool
from harness.record import read_record
from harness.results import DISTANCE_COLUMNS
from harness.spec import SourceSpec
from harness.store import Workspace
from harness.task2vec import embed_task
from harness.trained import trained_learner
from harness.worker import execute
from harness.workflow import Request, run
from real_runs import silent

SETTINGS = (
    "Experiment.dissimilarity = @Dissimilarity()",
    "Dissimilarity.n_tasks = 4",
    "Dissimilarity.n_images = 8",
    "Dissimilarity.n_way = 3",
    "Evaluation.sources = [@Glyphs(), @Textures(), @Digits()]",
    "Textures.n_classes = 20",
    "Textures.images_per_class = 10",
)


@pytest.fixture
def planned(tmp_path: Path) -> Callable[..., tuple[Plan, Workspace]]:
    def make(*more: str) -> tuple[Plan, Workspace]:
        return prepared(tmp_path, *SETTINGS, *more)

    return make


def test_the_training_source_is_nearest_and_every_row_is_typed(
    planned: Callable[..., tuple[Plan, Workspace]],
) -> None:
    made, workspace = planned()
    (probe,) = probe_runs(made)
    assert probe.method_name == "maml"
    execute(probe, workspace, silent)
    said: list[str] = []
    frame = measure_distances(probe, workspace, Dissimilarity(n_tasks=4, n_images=8, n_way=3), said.append)
    assert said == ["glyphs: glyphs", "glyphs: textures", "glyphs: digits"]
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        name: "string" if kind == "string" else kind for name, kind in DISTANCE_COLUMNS.items()
    }
    whole = frame[frame.task.isna() & frame.episode.isna()].pivot_table(
        index="source", columns="measure", values="value"
    )
    assert set(whole.columns) == {
        "task2vec",
        "task2vec nearest",
        "task2vec excess",
        "frechet",
        "frechet nearest",
    }
    for measure in ("task2vec", "task2vec excess", "frechet"):
        assert whole[measure].idxmin() == "glyphs"
    tasks = frame[frame.task.notna() & (frame.measure == "task2vec")]
    assert tasks.groupby("source").size().to_dict() == {"glyphs": 4, "textures": 4, "digits": 4}
    means = tasks.groupby("source")["value"].mean()
    assert means.to_dict() == pytest.approx(whole["task2vec"].to_dict())
    episodes = frame[frame.episode.notna()]
    assert set(episodes.measure) == {"task2vec nearest", "frechet nearest"}
    assert episodes.groupby(["source", "measure"]).size().unique().tolist() == [
        probe.evaluations[0].n_episodes
    ]
    assert episodes["value"].notna().all()
    shape = probe.evaluations[0].shape
    assert isinstance(shape, EpisodeShape)
    assert set(episodes.images) == {shape.n_way * (shape.n_shot + shape.n_query)}
    for measure in ("task2vec nearest", "frechet nearest"):
        assert episodes[episodes.measure == measure].groupby("source")["value"].mean().idxmin() == "glyphs"
    again = measure_distances(probe, workspace, Dissimilarity(n_tasks=4, n_images=8, n_way=3), said.append)
    pd.testing.assert_frame_equal(frame, again)


def test_a_source_of_too_few_images_has_no_distance_and_a_reason(
    planned: Callable[..., tuple[Plan, Workspace]],
) -> None:
    made, workspace = planned()
    (probe,) = probe_runs(made)
    execute(probe, workspace, silent)
    frame = measure_distances(
        probe, workspace, Dissimilarity(n_tasks=2, n_images=12, n_way=3), lambda _: None
    )
    (missing,) = frame[(frame.source == "textures") & frame.episode.isna()].to_dict("records")
    assert pd.isna(missing["value"])
    assert "fewer than the 12" in missing["reason"]
    assert frame[frame.source == "glyphs"]["value"].notna().all()
    assert frame[(frame.source == "textures") & frame.episode.notna()]["value"].notna().all()


def test_the_distance_of_an_episode_is_that_of_its_own_images(
    planned: Callable[..., tuple[Plan, Workspace]],
) -> None:
    """By hand: embeddings of the test episodes against those of training tasks of their shape."""
    made, workspace = planned()
    (probe,) = probe_runs(made)
    execute(probe, workspace, silent)
    settings = Dissimilarity(n_tasks=3, n_images=8, n_way=3, n_episodes=2)
    frame = measure_distances(probe, workspace, settings, lambda _: None)
    body = trained_learner(probe, workspace).body
    digits = next(e for e in probe.evaluations if e.source.name == "digits")

    def embedded(source: SourceSpec, split: str, stream: str, k: int) -> Tensor:
        pool = open_pool(workspace.cache, source.pool_key(split, probe.images))
        episode = SourceSequence(pool, digits.shape, probe.images, seed=probe.seed, stream=stream)[k]
        x = torch.cat([episode.task.support_x, episode.task.query_x])
        return embed_task(body, x, torch.cat([episode.task.support_y, episode.query_y]), episode.task.n_way)

    training = torch.stack(
        [embedded(probe.train.sources[0], "train", "/dissimilarity/episodes", k) for k in range(3)]
    )
    rows = frame[(frame.source == "digits") & (frame.measure == "task2vec nearest") & frame.episode.notna()]
    assert rows["episode"].tolist() == [0, 1]
    for k, value in enumerate(rows["value"]):
        own = embedded(digits.source, digits.split, "", k)[None]
        assert value == pytest.approx(float(task2vec_distances(own, training).mean()), rel=1e-6)


def test_without_episodes_there_are_only_sources_and_tasks(
    planned: Callable[..., tuple[Plan, Workspace]],
) -> None:
    made, workspace = planned()
    (probe,) = probe_runs(made)
    execute(probe, workspace, silent)
    settings = Dissimilarity(n_tasks=2, n_images=8, n_way=3, n_episodes=0)
    frame = measure_distances(probe, workspace, settings, lambda _: None)
    assert len(frame)
    assert frame["episode"].isna().all()


def test_what_is_there_is_not_measured_again(planned: Callable[..., tuple[Plan, Workspace]]) -> None:
    made, workspace = planned()
    (probe,) = probe_runs(made)
    said: list[str] = []
    (reason,) = measure_missing(made, workspace, said.append)
    assert f"the run {probe.run_id} has not finished" in reason
    execute(probe, workspace, silent)
    assert measure_missing(made, workspace, said.append) == []
    first = len(said)
    assert first == 3
    assert measure_missing(made, workspace, said.append) == []
    assert len(said) == first
    settings = made.experiment.dissimilarity
    assert settings is not None
    other = distance_file(probe, replace(settings, n_tasks=5))
    assert other != distance_file(probe, settings)


def test_the_learner_is_the_one_that_was_evaluated(planned: Callable[..., tuple[Plan, Workspace]]) -> None:
    made, workspace = planned()
    (probe,) = probe_runs(made)
    with pytest.raises(WorkspaceError, match=r"checkpoint\.pt is missing or damaged"):
        trained_learner(probe, workspace)
    execute(probe, workspace, silent)
    learner = trained_learner(probe, workspace)
    assert not learner.training


def test_a_method_that_is_not_there_is_named(planned: Callable[..., tuple[Plan, Workspace]]) -> None:
    with pytest.raises(PlanError, match=r"Dissimilarity\.method is 'annil'.*Did you mean 'anil'"):
        planned("Dissimilarity.method = 'annil'")


@pytest.mark.parametrize(
    ("field", "value"), [("n_tasks", 1), ("n_way", 1), ("n_images", 1), ("n_episodes", -1)]
)
def test_wrong_settings_are_named(field: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"Dissimilarity\.{field}"):
        Dissimilarity(**{field: value})


def test_a_whole_run_leaves_the_distances_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny(tmp_path, *SETTINGS)
    request = Request(
        config=Path("tiny.gin"),
        bindings=(),
        out=Path("out"),
        workers=None,
        backend="serial",
        address=None,
        fresh=False,
        data_dir=None,
        cache=Path("cache"),
    )
    with Path("said").open("w") as handle:
        assert run(request, Console(file=handle)) == 0
    assert "measuring distances, glyphs: digits" in Path("said").read_text()
    (name,) = read_record(Path("out"))["distances"]
    assert len(pd.read_parquet(Path("out/runs") / name)) > 0
