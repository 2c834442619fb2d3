"""A training shared by several workers: the numbers of one up to the order of sums, and the same bits however many."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from experiments import write_tiny
from harness import plugins, training
from harness.config import load_experiment
from harness.episode import Episode
from harness.errors import ConfigError, PlanError
from harness.experiment import Experiment
from harness.learner import Learner
from harness.planned_workers import worker_problems
from harness.progress import Progress
from harness.shares import ShareSum, share_sizes
from harness.spec import RunSpec
from harness.spec_reading import read_spec
from harness.store import Workspace
from harness.worker import execute
from harness_methods.maml import MAML
from harness_methods.maml_pp import MAMLPlusPlus
from harness_methods.reptile import Reptile
from real_runs import elsewhere, numbers, silent, weights
from tiny import tiny_episode, tiny_learner

SHARED = ("Experiment.compute = @Compute()", "Compute.training_workers = 2")
LONG = (
    "Regime.iterations = 12",
    "Regime.meta_batch = 3",
    "Regime.validate_every = 5",
    "MAML.inner_steps = 2",
)

EPISODES = [tiny_episode(seed=k, n_way=3 if k % 2 else 2) for k in range(5)]


def shareable() -> list[str]:
    """Every installed method that is trained on episodes, but for those that say that they cannot be shared."""
    found = []
    for name in plugins.names(plugins.METHODS):
        cls = plugins.load(plugins.METHODS, name)
        if hasattr(cls, "outer_loss") and not getattr(cls, "unshared", ""):
            found.append(name)
    return found


def test_shares_are_as_equal_as_can_be() -> None:
    assert share_sizes(5, 2) == [3, 2]
    assert share_sizes(7, 3) == [3, 2, 2]
    assert share_sizes(4, 4) == [1, 1, 1, 1]


@pytest.mark.parametrize("name", shareable())
@pytest.mark.parametrize("n_shares", [2, 3, 5])
def test_the_sum_of_shares_is_the_gradient_of_the_whole(name: str, n_shares: int) -> None:
    method = plugins.load(plugins.METHODS, name)()
    learner, whole = (tiny_learner(method).train() for _ in range(2))
    torch.manual_seed(7)
    loss = method.outer_loss(whole, EPISODES)
    loss.backward()
    sums, begin, vectors = ShareSum(learner), 0, []
    sums.begin()
    for size in share_sizes(len(EPISODES), n_shares):
        part = EPISODES[begin : begin + size]
        vectors.append(sums.share(method.outer_loss, part, size / len(EPISODES)))
        begin += size
    assert all(len(vector) == sums.size for vector in vectors)
    assert sums.take(vectors) == pytest.approx(loss.item(), rel=1e-12)
    ours, theirs = dict(learner.named_parameters()), dict(whole.named_parameters())
    assert any(parameter.grad is not None for parameter in ours.values())
    for key, parameter in theirs.items():
        got = ours[key].grad
        assert (got is None) == (parameter.grad is None), key
        if got is not None and parameter.grad is not None:
            assert torch.allclose(got, parameter.grad, rtol=1e-9, atol=1e-12), key
    for key, buffer in whole.named_buffers():
        got = dict(learner.named_buffers())[key]
        if key in learner.mean_buffers:
            assert torch.allclose(got, buffer, rtol=1e-9, atol=1e-15), key
        else:
            assert torch.equal(got, buffer), key


def test_maml_pp_counts_an_update_once() -> None:
    method = MAMLPlusPlus()
    learner = tiny_learner(method).train()
    sums = ShareSum(learner)
    for _ in range(3):
        sums.begin()
        sums.take([sums.share(method.outer_loss, [episode], 0.2) for episode in EPISODES])
    assert int(learner.updates) == 3  # type: ignore[arg-type]


def test_what_shares_would_change_is_refused_where_nobody_has_said_so() -> None:
    maml = MAML(inner_steps=1)

    def noisy(learner: Learner, episodes: Sequence[Episode]) -> torch.Tensor:
        return maml.outer_loss(learner, episodes) + torch.rand(())

    with pytest.raises(ConfigError, match="draws random numbers"):
        ShareSum(tiny_learner(maml).train()).share(noisy, EPISODES[:2], 1.0)
    running = tiny_learner(maml, batch_norm="running").train()
    sums = ShareSum(running)
    vectors = [sums.share(maml.outer_loss, [episode], 0.5) for episode in EPISODES[:2]]
    with pytest.raises(ConfigError, match="running averages"):
        sums.take(vectors)


def test_a_shared_training_has_the_numbers_of_one_worker_up_to_the_order_of_sums(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace
) -> None:
    clip = "Regime.gradient_clip = 0.5"
    one, two = planned(*LONG, clip)["maml"], planned(*LONG, clip, *SHARED)["maml"]
    assert one.training_id != two.training_id
    for spec in (one, two):
        execute(spec, workspace, silent)
    whole, shared = weights(one, workspace), weights(two, workspace)
    assert any(not torch.equal(shared[name], tensor) for name, tensor in whole.items())
    for name, tensor in whole.items():
        assert torch.allclose(shared[name], tensor, rtol=1e-5, atol=1e-6), name
    curves = [workspace.folder(spec.run_id).curve() for spec in (one, two)]
    for mine, other in zip(*curves, strict=True):
        assert mine["loss"] == pytest.approx(other["loss"], rel=1e-5)
    assert workspace.folder(two.run_id).status()["updates_by_workers"] == {"1": 12}
    assert "updates_by_workers" not in workspace.folder(one.run_id).status()


def test_a_shared_training_that_was_interrupted_resumes_to_the_same_bits(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = planned(*LONG, *SHARED)["maml"]
    execute(spec, workspace, silent)
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
    other = elsewhere(workspace, "interrupted")

    def interrupt(progress: Progress) -> None:
        if progress.state == "training" and progress.done == 6:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        execute(spec, other, interrupt)
    execute(spec, other, silent)
    same(spec, workspace, other)


def same(spec: RunSpec, one: Workspace, other: Workspace) -> None:
    """The same weights and rows, to the bit."""
    for name, tensor in weights(spec, one).items():
        assert torch.equal(tensor, weights(spec, other)[name]), name
    pd.testing.assert_frame_equal(numbers(spec, one), numbers(spec, other), check_exact=True)


def test_who_trains_with_one_worker_keeps_its_names(planned: Callable[..., dict[str, RunSpec]]) -> None:
    plain = planned()["maml"]
    said = planned("Experiment.compute = @Compute()", "Compute.training_workers = 1")["maml"]
    assert plain.run_id == said.run_id
    assert "training_workers" not in plain.to_json()["compute"]
    shared = planned(*SHARED)["maml"]
    assert shared.to_json()["compute"]["training_workers"] == 2
    for spec in (plain, shared):
        assert read_spec(spec.to_json(), "spec.json") == spec


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ("Compute.training_workers = 3",),
            r"'glyphs' has 2 episodes: lower it to at most 2, or raise Regime\.meta_batch",
        ),
        (
            ("Experiment.methods = [@Baseline()]",),
            "'multiclass' trains on batches of images, which are normalised together",
        ),
        (("Conv4.batch_norm = 'running'",), "batch_norm is 'running', whose averages go by the order"),
        (
            ("Compute.training_workers = 0",),
            r"Compute\.training_workers must be a whole number of at least 1",
        ),
    ],
)
def test_what_cannot_be_shared_is_refused_when_planning(
    planned: Callable[..., dict[str, RunSpec]], lines: Sequence[str], said: str
) -> None:
    with pytest.raises((PlanError, ConfigError), match=said):
        planned(*SHARED, *lines)


class Alone(MAML):
    """A method that declares itself alone."""

    unshared = "looks at all tasks at once"


def test_a_method_that_says_why_it_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    experiment, _ = load_experiment(
        write_tiny(tmp_path), [*SHARED, "Experiment.methods = [@MAML(), @Reptile()]"]
    )
    assert isinstance(experiment, Experiment)
    assert list(worker_problems(experiment)) == []
    (problem,) = worker_problems(replace(experiment, methods=[MAML(), Alone(name="alone")]))
    assert "'alone' looks at all tasks at once" in problem


def test_a_mean_over_the_episodes_is_one_over_shares() -> None:
    """What Reptile's inner Adam remembers, of shares of unequal size; the steps that it has taken are counted once."""
    method = Reptile(inner_steps=2)
    shared, whole = (tiny_learner(method).train() for _ in range(2))
    sums = ShareSum(shared)
    for first in (0, 2):
        now = EPISODES[first : first + 3]
        method.outer_loss(whole, now)
        sums.begin()
        sums.take([sums.share(method.outer_loss, part, len(part) / 3) for part in (now[:2], now[2:])])
    assert int(shared.inner_steps_taken) == 4  # type: ignore[arg-type]
    for key in whole.mean_buffers:
        moment = whole.get_buffer(key)
        assert torch.allclose(shared.get_buffer(key), moment, rtol=1e-9, atol=1e-15), key
        assert bool(moment.any()), key


def test_a_shared_training_of_reptile_has_the_numbers_of_one_worker(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace
) -> None:
    """Its own outer steps, and what its inner Adam remembers, included."""
    reptile = (
        "Experiment.methods = [@MAML(), @Reptile()]",
        "Reptile.inner_batch = 4",
        "Reptile.inner_steps = 2",
    )
    one, two = (planned(*LONG, *reptile, *shared)["reptile"] for shared in ((), SHARED))
    for spec in (one, two):
        execute(spec, workspace, silent)
    whole, shared = weights(one, workspace), weights(two, workspace)
    assert int(whole["inner_steps_taken"]) == int(shared["inner_steps_taken"]) == 24
    for name, tensor in whole.items():
        assert torch.allclose(shared[name], tensor, rtol=1e-3, atol=1e-5), name


def test_a_method_without_training_is_the_same_run(planned: Callable[..., dict[str, RunSpec]]) -> None:
    methods = "Experiment.methods = [@MAML(), @RandomFeatures()]"
    plain, shared = planned(methods), planned(methods, *SHARED)
    assert plain["random_features"].run_id == shared["random_features"].run_id
    assert plain["maml"].run_id != shared["maml"].run_id
