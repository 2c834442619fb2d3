"""Training on batches of images, and not training at all: what the loop is given, and what comes of it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from experiments import write_tiny
from harness import cli, plugins
from harness.batch_sequence import BatchSequence
from harness.config import load_experiment
from harness.cost import training_work
from harness.errors import ConfigError, PlanError
from harness.method import trains_on
from harness.plan import plan
from harness.pools import Pool
from harness.progress import Progress
from harness.spec import ImageSpec, RunSpec
from harness.store import Workspace
from harness.worker import execute, fresh_learner
from harness_methods.knn import KNN
from harness_methods.maml import MAML
from harness_methods.multiclass import Multiclass
from harness_methods.random_features import RandomFeatures
from real_runs import elsewhere, numbers, silent, weights

IMAGES = ImageSpec(size=2, channels=1, scaling="unit", resize="bilinear")
TRANSFER = "Experiment.methods = [@Multiclass(), @Baseline(), @KNN(), @NIL()]"
ON_BATCHES = (
    *(f"{method}.trainer = @Multiclass()" for method in ("Baseline", "KNN", "NIL")),
    "Multiclass.batch_size = 12",
)


def numbered_pool(name: str, sizes: list[int], first: int) -> Pool:
    """Images of 2 x 2 pixels, all four the image's own number, counted from `first`."""
    values = np.arange(first, first + sum(sizes), dtype=np.uint8)
    return Pool(
        key="in memory",
        source=name,
        split="train",
        images=np.broadcast_to(values[:, None, None, None], (len(values), 2, 2, 1)).copy(),  # type: ignore[arg-type]
        class_names=tuple(f"{name}-{c}" for c in range(len(sizes))),
        class_sizes=np.array(sizes, dtype=np.int64),
        fingerprint="",
        sha256="",
        mean=(0.0,),
        std=(255.0,),
        groups=None,
    )


POOLS = [numbered_pool("small", [2, 3], 0), numbered_pool("large", [100, 20, 30], 5)]
CLASS_OF = np.repeat(np.arange(5), [2, 3, 100, 20, 30])


def drawn(i: int, batch_size: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """The images' numbers and labels of batch i."""
    batch = BatchSequence(POOLS, IMAGES, batch_size=batch_size, seed=seed)[i]
    assert batch.n_classes == 5
    assert batch.x.shape == (batch_size, 1, 2, 2)
    return (batch.x[:, 0, 0, 0] * 255).round().long().numpy(), batch.y.numpy()


def test_labels_count_the_classes_of_all_sources() -> None:
    for i in range(20):
        images, labels = drawn(i)
        assert np.array_equal(CLASS_OF[images], labels)


def test_a_batch_is_pure_and_differs_from_every_other() -> None:
    assert np.array_equal(drawn(3)[0], drawn(3)[0])
    assert not np.array_equal(drawn(3)[0], drawn(4)[0])
    assert not np.array_equal(drawn(3)[0], drawn(3, seed=1)[0])


def test_sources_are_equally_likely_and_so_are_the_images_of_one() -> None:
    images = np.concatenate([drawn(i, batch_size=4)[0] for i in range(4000)])
    # 16,000 draws: standard errors of 0.004 for the share of a source.
    assert (images < 5).mean() == pytest.approx(0.5, abs=0.016)
    for low, high in ((0, 5), (5, 155)):
        counts = np.bincount(images[(images >= low) & (images < high)] - low, minlength=high - low)
        expected = counts.sum() / len(counts)
        # Draws without replacement within a batch vary less than Poisson's.
        assert ((counts - expected) ** 2 / expected).sum() < 1.5 * len(counts) + 10


def test_no_image_comes_twice_where_there_are_enough() -> None:
    for i in range(50):
        images = drawn(i, batch_size=40)[0]
        large = images[images >= 5]
        assert len(set(large.tolist())) == len(large)
    assert len(drawn(0, batch_size=400)[0]) == 400


def test_the_head_has_a_row_for_each_training_class(planned: Callable[..., dict[str, RunSpec]]) -> None:
    runs = planned(TRANSFER, *ON_BATCHES, "Glyphs.n_classes = 200")
    assert {run.max_way for run in runs.values()} == {120}  # of 200 classes, 120 are for training
    assert len({run.training_id for run in runs.values()}) == 1
    learner = fresh_learner(runs["knn"], Multiclass(), _network(runs["knn"]))
    assert learner.head.weight.shape[0] == 120  # type: ignore[union-attr]
    episodic = planned("Experiment.methods = [@MAML()]", "Glyphs.n_classes = 200")
    assert episodic["maml"].max_way == 50


def _network(spec: RunSpec) -> Any:
    return plugins.build(plugins.NETWORKS, spec.network)


def test_methods_that_share_a_batch_training_share_the_learner(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace
) -> None:
    runs = planned(TRANSFER, *ON_BATCHES)
    for spec in runs.values():
        execute(spec, workspace, silent)
    learners = [weights(spec, workspace) for spec in runs.values()]
    assert all(torch.equal(learners[0][name], own[name]) for own in learners for name in own)
    fresh = fresh_learner(runs["knn"], Multiclass(), _network(runs["knn"])).state_dict()
    assert not torch.equal(learners[0]["head.weight"], fresh["head.weight"])
    # Multiclass is tested with NIL's read-out, so the two are the same numbers under two names.
    assert numbers(runs["multiclass"], workspace).accuracy.equals(numbers(runs["nil"], workspace).accuracy)
    curve = workspace.folder(runs["baseline"].run_id).curve()
    assert [line["iteration"] for line in curve] == [2, 4]
    assert all(line["loss"] > 0 for line in curve)


def test_a_training_on_batches_resumes_to_the_same_bits(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace
) -> None:
    spec = planned(TRANSFER, *ON_BATCHES)["baseline"]
    execute(spec, workspace, silent)
    other = elsewhere(workspace, "interrupted")

    def interrupt(progress: Progress) -> None:
        if progress.state == "training" and progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(spec, other, interrupt)
    execute(spec, other, silent)
    assert numbers(spec, other).equals(numbers(spec, workspace))
    whole, resumed = weights(spec, workspace), weights(spec, other)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_what_is_not_trained_stays_as_drawn(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace
) -> None:
    spec = planned("Experiment.methods = [@RandomFeatures()]", "Regime.snapshots = [0, 4]")["random_features"]
    assert (spec.train.iterations, spec.train.snapshots) == (0, (0,))
    for place in (workspace, elsewhere(workspace, "again")):
        execute(spec, place, silent)
        kept = weights(spec, place)
        fresh = fresh_learner(spec, RandomFeatures(), _network(spec)).state_dict()
        assert all(torch.equal(kept[name], fresh[name]) for name in kept)
        status = place.folder(spec.run_id).status()
        assert (status["iterations"], status["selected_iteration"]) == (0, 0)
    rows = pd.read_parquet(workspace.folder(spec.run_id).episodes)
    assert len(rows) == 3
    assert (rows.adaptation_steps == 0).all()


def test_a_report_of_a_run_without_training_is_written(home: Path) -> None:
    methods = "Experiment.methods = [@RandomFeatures(), @KNN(), @MAML()]"
    config = write_tiny(home, methods)
    assert cli.main(["run", str(config), "--backend", "serial"]) == 0
    report = (home / "reports" / "tiny" / "report.md").read_text(encoding="utf-8")
    assert "seed 0) | images of all classes | 4 of 64 images | Adam" in report
    assert "seed 0) | \N{EN DASH} | none | \N{EN DASH} |" in report
    assert "5-way 1-shot, 1 queries a class | 4 of 2 episodes |" in report
    assert "knn is trained otherwise than maml: how they compare says nothing about reuse." in report
    assert "knn against maml:** reuse" not in report


def test_costs_count_the_images_of_the_batches(planned: Callable[..., dict[str, RunSpec]]) -> None:
    spec = planned(TRANSFER, *ON_BATCHES)["multiclass"]
    more = planned(TRANSFER, *ON_BATCHES, "Multiclass.batch_size = 24")["multiclass"]
    untrained = planned("Experiment.methods = [@RandomFeatures()]")["random_features"]
    # 4 updates forwards and backwards, of 16 x 16 pixels.
    assert training_work(more) - training_work(spec) == 4 * 3 * 12 * 16**2
    assert training_work(untrained) < training_work(spec)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Silent:
    """Says nothing of what it trains on."""

    name: str = "silent"
    adaptation_steps: int = 0
    init = Multiclass.init
    predict = Multiclass.predict

    @property
    def trainer(self) -> "Silent":
        return self


def test_a_method_says_what_it_trains_on() -> None:
    assert [trains_on(m) for m in (MAML(), Multiclass(), RandomFeatures())] == [
        "episodes",
        "batches",
        "nothing",
    ]
    with pytest.raises(ConfigError, match=r"Silent does not say what it trains on: .*`batch_loss`"):
        trains_on(Silent())
    with pytest.raises(ConfigError, match=r"KNN trains nothing itself, .*: name its own, @Multiclass\(\)"):
        trains_on(KNN())  # type: ignore[arg-type]


def test_what_has_no_effect_makes_no_other_training(planned: Callable[..., dict[str, RunSpec]]) -> None:
    methods = "Experiment.methods = [@RandomFeatures(), @Multiclass(), @MAML()]"
    runs, other = planned(methods), planned(methods, "Regime.meta_batch = 3")
    assert [runs[name].training_id == other[name].training_id for name in runs] == [True, True, False]


def test_too_few_training_classes_for_a_task_are_found_in_the_plan(tmp_path: Path, cache: Path) -> None:
    methods = ("Experiment.methods = [@Multitask()]", "Multitask.n_way = 30")
    experiment, _ = load_experiment(write_tiny(tmp_path, *methods))
    with pytest.raises(PlanError, match=r"Multitask\.n_way is 30, but there are 24 training classes"):
        plan(experiment, data_dir=None, cache=cache)


def test_a_default_training_beside_a_listed_one_is_refused(tmp_path: Path, cache: Path) -> None:
    methods = ("Experiment.methods = [@KNN(), @Multiclass()]", "Multiclass.batch_size = 3")
    with pytest.raises(ConfigError, match=r"Add the line `KNN\.trainer = @Multiclass\(\)`"):
        load_experiment(write_tiny(tmp_path, *methods))
    experiment, _ = load_experiment(write_tiny(tmp_path, *methods, "KNN.trainer = @Multiclass()"))
    assert {run.trainer.plugin for run in plan(experiment, data_dir=None, cache=cache).runs} == {"multiclass"}
    assert experiment.methods[0] == KNN(trainer=Multiclass(batch_size=3))
