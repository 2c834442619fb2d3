"""Distances between sources: measured once, on a network of the experiment, and near where sources are alike."""

import io
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
from harness.distances import (
    EPISODE_SPLITS,
    STATISTICS_IMAGES,
    Drawn,
    _Draw,
    _Probe,
    _some,
    measure_distances,
)
from harness.episode import EpisodeShape, VariableShape
from harness.episode_sequence import SourceSequence
from harness.errors import ConfigError, PlanError, WorkspaceError
from harness.frechet import frechet_distance
from harness.plan import Plan
from harness.pools import open_pool
from harness.record import read_record
from harness.request import Request
from harness.results import DISTANCE_COLUMNS
from harness.spec import SourceSpec
from harness.store import Workspace
from harness.task2vec import embed_task, fixed_features, fixed_statistics
from harness.trained import trained_learner
from harness.worker import execute
from harness.workflow import run
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


def test_the_nearest_of_two_training_sources_counts(planned: Callable[..., tuple[Plan, Workspace]]) -> None:
    """Fréchet by hand from the images of each, for the source and for single episodes."""
    made, workspace = planned(
        "Regime.sources = [@Glyphs(), @Textures()]", "Regime.validation_sources = [@Glyphs()]"
    )
    (probe,) = probe_runs(made)
    execute(probe, workspace, silent)
    settings = Dissimilarity(n_tasks=3, n_images=8, n_way=3, n_episodes=3)
    frame = measure_distances(probe, workspace, settings, lambda _: None)
    body, draw = trained_learner(probe, workspace).body, _Draw(probe, workspace)
    shape = EpisodeShape(n_way=3, n_shot=7, n_query=1)
    training = [draw(each, "train", shape, 3, "/dissimilarity/training") for each in probe.train.sources]
    assert [each.source for each in training] == ["glyphs", "textures"]
    statistics = fixed_statistics(body, _some(training))

    def seen(drawn: Drawn) -> list[Tensor]:
        return [fixed_features(body, x, statistics) for x, _ in drawn.tasks()]

    known = [torch.cat(seen(each)) for each in training]
    for evaluation in probe.evaluations:
        own = frame[frame.source == evaluation.source.name].set_index("measure")
        tested = torch.cat(seen(draw(evaluation.source, evaluation.split, shape, 3, "/dissimilarity")))
        expected = [frechet_distance(tested, each).value for each in known]
        whole = own[own.episode.isna() & own.task.isna()]["value"]
        assert whole["frechet nearest"] == pytest.approx(min(expected))
        assert whole["frechet"] == pytest.approx(sum(expected) / 2)
        assert expected[0] != pytest.approx(expected[1])
        assert whole["task2vec nearest"] < whole["task2vec"]
        episodes = own[own.episode.notna()].loc["frechet nearest"]
        each_seen = seen(draw(evaluation.source, evaluation.split, evaluation.shape, 3, ""))
        singles = [
            min(frechet_distance(x, each, splits=EPISODE_SPLITS).value for each in known) for x in each_seen
        ]
        assert episodes["value"].tolist() == pytest.approx(singles)
        nearest = own[own.episode.notna()].loc["task2vec nearest"]["value"]
        assert (nearest > 0).all()


def test_what_normalises_comes_evenly_from_tasks_and_classes(
    planned: Callable[..., tuple[Plan, Workspace]],
) -> None:
    made, workspace = planned(
        "Regime.sources = [@Glyphs(), @Textures()]", "Regime.validation_sources = [@Glyphs()]"
    )
    (probe,) = probe_runs(made)
    pools = Workspace(runs=workspace.runs, cache=workspace.cache)
    shape = EpisodeShape(n_way=3, n_shot=7, n_query=1)
    drawn = [_Draw(probe, pools)(each, "train", shape, 4, "/x") for each in probe.train.sources]
    assert len(_some(drawn)) == STATISTICS_IMAGES  # some twice: there are 96 of each source
    many = [_Draw(probe, pools)(each, "train", shape, 25, "/x") for each in probe.train.sources]
    chosen = _some(many)
    assert len(chosen) == STATISTICS_IMAGES
    first = [x for x, _ in many[0].tasks()]
    rows = {
        k: [i for i, image in enumerate(x) if any(torch.equal(image, c) for c in chosen)]
        for k, x in enumerate(first)
    }
    assert all(len(found) >= 4 for found in rows.values())


def test_episodes_of_varying_size_have_no_distance_of_their_own(
    planned: Callable[..., tuple[Plan, Workspace]],
) -> None:
    made, workspace = planned()
    (probe,) = probe_runs(made)
    execute(probe, workspace, silent)
    varying = tuple(replace(e, shape=VariableShape(min_way=3, max_way=4)) for e in probe.evaluations)
    settings = Dissimilarity(n_tasks=2, n_images=8, n_way=3)
    changed = replace(probe, evaluations=varying)
    draw = _Draw(probe, workspace)
    rows = _Probe(trained_learner(probe, workspace), draw, probe, settings).rows(changed.evaluations[0])
    assert [row["reason"] for row in rows if row["measure"] == "episodes"] == [
        "They are of varying ways and sizes, which their distances would be about."
    ]
    assert not [row for row in rows if row["episode"] is not None]


def test_what_cannot_be_measured_is_a_reason_and_not_an_error(
    planned: Callable[..., tuple[Plan, Workspace]],
) -> None:
    made, workspace = planned()
    (probe,) = probe_runs(made)
    execute(probe, workspace, silent)
    kept = workspace.folder(probe.run_id).checkpoint.read_bytes()
    workspace.folder(probe.run_id).checkpoint.unlink()
    (reason,) = measure_missing(made, workspace, lambda _: None)
    assert reason.startswith(f"No distances of sources for glyphs: The checkpoint {workspace.runs}")
    content = torch.load(io.BytesIO(kept), weights_only=False)
    for state in (content["learner"], content["state"]["best"]):
        for value in state.values():
            value.zero_()
    torch.save(content, workspace.folder(probe.run_id).checkpoint)
    assert measure_missing(made, workspace, lambda _: None) == []
    settings = made.experiment.dissimilarity
    assert settings is not None
    frame = pd.read_parquet(workspace.runs / distance_file(probe, settings))
    assert frame["value"].isna().all()
    assert frame["reason"].str.contains("A head cannot be fitted").all()


def test_a_damaged_table_is_measured_again(planned: Callable[..., tuple[Plan, Workspace]]) -> None:
    made, workspace = planned()
    (probe,) = probe_runs(made)
    execute(probe, workspace, silent)
    assert measure_missing(made, workspace, lambda _: None) == []
    settings = made.experiment.dissimilarity
    assert settings is not None
    path = workspace.runs / distance_file(probe, settings)
    before = pd.read_parquet(path)
    path.write_bytes(path.read_bytes()[:100])
    assert measure_missing(made, workspace, lambda _: None) == []
    pd.testing.assert_frame_equal(pd.read_parquet(path), before)


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
    with pytest.raises(WorkspaceError, match=r"checkpoint\.pt is damaged, or was removed"):
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
