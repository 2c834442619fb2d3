"""Training and the worker, on small real runs of drawn sources."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from harness import training
from harness.checkpoint import TrainingState
from harness.episode import Episode, Task
from harness.episode_sequence import MixedSequence, SourceSequence
from harness.errors import ConfigError
from harness.experiment import SELECTIONS
from harness.learner import Learner
from harness.method import Method
from harness.outer_steps import learning_rate
from harness.pools import open_pool
from harness.progress import Progress
from harness.row_columns import content_digest
from harness.selection import select
from harness.spec import RunSpec
from harness.store import Workspace
from harness.worker import execute, fresh_learner
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from harness_methods.nil import NIL
from real_runs import elsewhere, numbers, silent


def test_runs_of_one_training_share_the_learner(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace
) -> None:
    runs = planned()
    assert runs["anil"].training_id == runs["nil"].training_id != runs["maml"].training_id
    execute(runs["anil"], workspace, silent)
    trained: list[Progress] = []
    execute(runs["nil"], workspace, trained.append)
    assert [p for p in trained if p.state == "training"] == []
    alone = elsewhere(workspace, "alone")
    execute(runs["nil"], alone, silent)
    assert numbers(runs["nil"], workspace).equals(numbers(runs["nil"], alone))
    assert not numbers(runs["nil"], workspace).accuracy.equals(numbers(runs["anil"], workspace).accuracy)
    curve = workspace.folder(runs["nil"].run_id).curve()
    assert curve == workspace.folder(runs["anil"].run_id).curve()


def test_a_finished_run_is_not_run_again(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace
) -> None:
    spec = planned()["anil"]
    execute(spec, workspace, silent)
    said: list[Progress] = []
    execute(spec, workspace, said.append)
    assert said == []


def test_every_method_meets_the_same_episodes(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: dict[str, list[tuple[float, float]]] = {}
    for method in (MAML, ANIL, NIL):

        def predict(self: Method, learner: Learner, tasks: list[Task]) -> torch.Tensor:
            for task in tasks:
                found = (task.support_x.double().sum().item(), task.query_x.double().sum().item())
                met.setdefault(self.name, []).append(found)
            return torch.zeros(len(tasks), len(tasks[0].query_x), tasks[0].n_way)

        monkeypatch.setattr(method, "predict_batch", predict)
    for spec in planned().values():
        execute(spec, workspace, silent)
    tests = [met[name][-3:] for name in ("maml", "anil", "nil")]
    assert tests[0] == tests[1] == tests[2]
    assert len(set(tests[0])) == 3


def test_a_run_in_bfloat16_is_another_run_and_says_so(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace
) -> None:
    exact = planned()["maml"]
    low = planned("Experiment.compute = @Compute()", "Compute.precision = 'bfloat16'")["maml"]
    assert low.training_id != exact.training_id
    for spec, precision in ((exact, "float32"), (low, "bfloat16")):
        execute(spec, workspace, silent)
        assert set(pd.read_parquet(workspace.folder(spec.run_id).episodes).precision) == {precision}
    assert not numbers(low, workspace).loss.equals(numbers(exact, workspace).loss)


def test_the_time_spent_waiting_for_training_episodes_is_told(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = SourceSequence.__getitem__

    def slowly(self: SourceSequence, k: int) -> Episode:
        time.sleep(0.05)
        return read(self, k)

    monkeypatch.setattr(SourceSequence, "__getitem__", slowly)
    spec = planned()["maml"]
    execute(spec, workspace, silent)
    status = workspace.folder(spec.run_id).status()
    # Before the first update there is nothing to do but wait for its two episodes.
    assert 0.1 <= status["waiting_seconds"] < status["training_seconds"]


def test_the_rows_say_what_was_measured(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace
) -> None:
    spec = planned("Evaluation.n_episodes = 4", "MAML.test_inner_steps = 3")["maml"]
    execute(spec, workspace, silent)
    rows = pd.read_parquet(workspace.folder(spec.run_id).episodes)
    assert list(rows.episode) == [0, 1, 2, 3]
    one = rows.iloc[0]
    assert (one.n_way, one.n_support, one.n_query) == (5, 5, 10)
    assert (one.batch_norm, one.selection, one.adaptation_steps) == ("transductive", "best_valid", 3)
    assert (one.image_size, one.source, one.split) == (16, "glyphs", "test")
    assert set(rows.accuracy * 10) <= set(range(11))
    status = workspace.folder(spec.run_id).status()
    assert status["training_seconds"] > 0
    assert status["environment"]["torch"] == torch.__version__


def test_sources_of_other_content_have_other_fingerprints_in_the_rows(
    planned: Callable[..., dict[str, RunSpec]],
) -> None:
    """Episodes of one number are the same images only where the same parameters made the source."""
    one, same, other = (
        planned(*more)["maml"].evaluations[0].source
        for more in ((), ("Glyphs.name = 'signs'",), ("Glyphs.images_per_class = 21",))
    )
    assert content_digest(one) == content_digest(same) != content_digest(other)


@pytest.mark.parametrize("rule", SELECTIONS)
def test_every_selection_rule_chooses(rule: str, planned: Callable[..., dict[str, RunSpec]]) -> None:
    spec = planned()["anil"]
    learner = fresh_learner(spec, MAML(), _conv4(spec))
    best = {name: value + 1 for name, value in learner.state_dict().items()}
    chosen, iteration = select(rule, learner, TrainingState(iteration=9, best=best, best_iteration=4))
    assert iteration == {"last": 9, "best_valid": 4}[rule]
    expected = best if rule == "best_valid" else learner.state_dict()
    assert all(torch.equal(chosen[name], expected[name]) for name in expected)


def _conv4(spec: RunSpec):  # type: ignore[no-untyped-def]
    from harness import plugins

    return plugins.build(plugins.NETWORKS, spec.network)


def test_an_unknown_selection_rule_is_refused(planned: Callable[..., dict[str, RunSpec]]) -> None:
    spec = planned()["anil"]
    with pytest.raises(ConfigError, match="'best_test'"):
        select("best_test", fresh_learner(spec, MAML(), _conv4(spec)), TrainingState())


def test_best_valid_is_the_first_of_the_best(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = iter([0.2, 0.6, 0.6, 0.4])
    monkeypatch.setattr(training, "mean_accuracy", lambda *_, **__: next(accuracies))
    spec = planned("Regime.iterations = 4", "Regime.validate_every = 1")["anil"]
    execute(spec, workspace, silent)
    status = workspace.folder(spec.run_id).status()
    assert (status["selected_iteration"], status["best_valid_accuracy"]) == (2, 0.6)


def test_initial_weights_are_pure_in_the_seed(planned: Callable[..., dict[str, RunSpec]]) -> None:
    spec = planned()["anil"]
    first, again = (fresh_learner(spec, MAML(), _conv4(spec)).state_dict() for _ in range(2))
    other = fresh_learner(dataclasses.replace(spec, seed=1), MAML(), _conv4(spec)).state_dict()
    name = "body.stages.conv1.conv.weight"
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])


def test_the_outer_gradient_is_clipped_to_its_norm(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []
    step = torch.optim.Adam.step

    def watch(self: torch.optim.Adam) -> None:
        grads = [
            p.grad.flatten() for group in self.param_groups for p in group["params"] if p.grad is not None
        ]
        norms.append(torch.cat(grads).norm().item())
        step(self)

    monkeypatch.setattr(torch.optim.Adam, "step", watch)
    execute(planned("Regime.gradient_clip = 0.01")["anil"], workspace, silent)
    execute(planned()["anil"], workspace, silent)
    assert len(norms) == 8
    assert all(norm == pytest.approx(0.01, rel=1e-3) for norm in norms[:4])
    assert all(norm > 0.02 for norm in norms[4:])


def test_schedules(planned: Callable[..., dict[str, RunSpec]]) -> None:
    anil, train = ANIL(), dataclasses.replace(planned()["anil"].train, iterations=100, learning_rate=0.5)
    assert {learning_rate(anil, train, i) for i in (0, 50, 99)} == {0.5}
    cosine = dataclasses.replace(train, schedule="cosine")
    assert learning_rate(anil, cosine, 0) == 0.5
    assert learning_rate(anil, cosine, 50) == pytest.approx(0.25)
    assert 0 < learning_rate(anil, cosine, 99) < 0.001


def test_mixed_sequences_take_each_source_and_are_pure(
    planned: Callable[..., dict[str, RunSpec]], cache: Path
) -> None:
    spec = planned("Regime.sources = [@Glyphs(), @Textures()]", "Textures.n_classes = 40")["anil"]
    pools = [open_pool(cache, s.pool_key("train", spec.images)) for s in spec.train.sources]
    sequences = [SourceSequence(p, spec.train.shape, spec.images, seed=0) for p in pools]
    mixed = MixedSequence(sequences, seed=0, stream="train/source")
    sources = [mixed[k].source for k in range(60)]
    assert 15 < sources.count("glyphs") < 45
    assert set(sources) == {"glyphs", "textures"}
    assert [mixed[k].source for k in reversed(range(60))] == sources[::-1]
    assert torch.equal(mixed[7].task.support_x, mixed[7].task.support_x)
    assert mixed[0].task.support_x.shape[1] == 3  # colour among the sources makes every image colour
