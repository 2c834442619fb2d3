"""Reptile against torch's own optimisers in float64, task by task: where it moves, what it remembers, how it adapts."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.episode import Episode, Task
from harness.errors import ConfigError
from harness.learner import HEAD
from harness.minibatches import passes
from harness.seeds import counter_rng
from harness.task_batch import stack
from harness_methods.reptile import Reptile, ReptileLearner
from plain_inner_loop import Params, reference_gradients, reference_logits
from tiny import tiny_episode, tiny_learner

EPISODES = [tiny_episode(seed=1), tiny_episode(seed=2), tiny_episode(seed=3, n_way=2, n_query=3)]

Moments = dict[str, Tensor]


def learner_of(method: Reptile, **network: object) -> ReptileLearner:
    """One with scales, none of them 1."""
    learner = tiny_learner(method, batch_norm_scale=True, **network).train()
    assert isinstance(learner, ReptileLearner)
    with torch.no_grad():
        for name, parameter in learner.named_parameters():
            if name.endswith("norm.weight"):
                parameter.uniform_(0.5, 1.5)
    return learner


def stored(learner: ReptileLearner) -> Params:
    return {name: p.detach().clone() for name, p in learner.named_parameters()}


def second_moments(learner: ReptileLearner) -> Moments:
    return {name: moment[0].clone() for name, moment in learner.inner_adam().second.items()}


def all_images(episode: Episode) -> Task:
    """A task whose support set is all of its images."""
    task = episode.task
    return Task(
        support_x=torch.cat([task.support_x, task.query_x]),
        support_y=torch.cat([task.support_y, episode.query_y]),
        query_x=task.query_x,
        n_way=task.n_way,
    )


def drawn_in_training(method: Reptile, episode: Episode) -> Tensor:
    """Its minibatches, drawn anew."""
    n_images = len(episode.task.support_y) + len(episode.query_y)
    rng = counter_rng(0, "reptile/train", episode.index)
    return passes(rng, n_images, min(method.inner_batch, n_images), method.inner_steps)


def reached(
    params: Params, task: Task, places: Tensor, moments: Moments, steps: int, lr: float, names: list[str]
) -> tuple[Params, Moments]:
    """Weights and second moments after torch's Adam on minibatches of a task; its SGD where there are no moments."""
    own = {name: p.clone().requires_grad_(name in names) for name, p in params.items()}
    moved = [own[name] for name in names]
    optimiser = (
        torch.optim.Adam(moved, lr=lr, betas=(0.0, 0.999)) if moments else torch.optim.SGD(moved, lr=lr)
    )
    for name in names if moments else ():
        optimiser.state[own[name]] = {
            "step": torch.tensor(float(steps)),
            "exp_avg": torch.zeros_like(own[name]),
            "exp_avg_sq": moments[name].clone(),
        }
    for chosen in places:
        some = replace(task, support_x=task.support_x[chosen], support_y=task.support_y[chosen])
        slopes = reference_gradients({name: p.detach() for name, p in own.items()}, some, names)
        for name in names:
            own[name].grad = slopes[name]
        optimiser.step()
    after = {name: p.detach() for name, p in own.items()}
    return after, {name: optimiser.state[own[name]]["exp_avg_sq"] for name in names if moments}


@pytest.mark.parametrize("inner_batch", [5, 100])
@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_reptile_moves_towards_what_its_inner_steps_reach(optimiser: str, inner_batch: int) -> None:
    """Two updates, the second of which begins with what Adam remembers of the first one's tasks."""
    lr = 0.03 if optimiser == "adam" else 0.3
    method = Reptile(inner_optimiser=optimiser, inner_lr=lr, inner_steps=3, inner_batch=inner_batch)
    learner = learner_of(method)
    names = list(stored(learner))
    assert any(name.endswith("norm.bias") for name in names)
    assert any(name.endswith("norm.weight") for name in names)
    moments, steps = ({name: torch.zeros_like(p) for name, p in stored(learner).items()}, 0)
    for _ in range(2):
        params = stored(learner)
        ends = [
            reached(
                params,
                all_images(episode),
                drawn_in_training(method, episode),
                moments if optimiser == "adam" else {},
                steps,
                lr,
                names,
            )
            for episode in EPISODES
        ]
        learner.zero_grad()
        loss = method.outer_loss(learner, EPISODES)
        loss.backward()  # type: ignore[no-untyped-call]
        for name, parameter in learner.named_parameters():
            expected = params[name] - torch.stack([own[name] for own, _ in ends]).mean(0)
            assert parameter.grad is not None
            assert torch.allclose(parameter.grad, expected, atol=1e-10), name
            assert bool(expected.any()), name
        losses = [
            F.cross_entropy(reference_logits(own, e.task.query_x, e.task.n_way), e.query_y)
            for (own, _), e in zip(ends, EPISODES, strict=True)
        ]
        assert loss.item() == pytest.approx(float(torch.stack(losses).mean()), abs=1e-9)
        if optimiser == "adam":
            steps += 3
            moments = {name: torch.stack([m[name] for _, m in ends]).mean(0) for name in names}
            for name, moment in second_moments(learner).items():
                assert torch.allclose(moment, moments[name], rtol=1e-9, atol=1e-14), name
        assert int(learner.inner_steps_taken) == steps


@pytest.mark.parametrize("mask", [None, frozenset({"conv3", "conv4", HEAD}), frozenset({HEAD})])
def test_adaptation_at_test_goes_on_with_adam_on_minibatches_of_the_support_set(
    mask: frozenset[str] | None,
) -> None:
    """Under a mask, too: frozen layers are normalised by the minibatch."""
    method = Reptile(inner_lr=0.02, inner_steps=2, test_inner_steps=4, test_inner_batch=4)
    learner = learner_of(method)
    method.outer_loss(learner, EPISODES)
    task, params = EPISODES[0].task, stored(learner)
    names = list(learner.adaptable(mask or learner.layers))
    places = passes(counter_rng(0, "reptile/test", 6), 6, 4, 4)
    moments = second_moments(learner)
    expected, _ = reached(params, task, places, {name: moments[name] for name in names}, 2, 0.02, names)
    for _ in range(2):  # the learner is as it was, and so are the minibatches
        found = method.adapt(learner, task, adapted=mask)
        assert set(found) == set(names)
        for name in names:
            assert torch.allclose(found[name][0], expected[name], atol=1e-10), name
    if mask is None:
        logits = reference_logits(expected, task.query_x, task.n_way)
        assert torch.allclose(method.predict(learner, task), logits, atol=1e-9)
        assert int(learner.inner_steps_taken) == 2
        assert all(torch.equal(moment, moments[n]) for n, moment in second_moments(learner).items())


def test_only_training_changes_what_adam_remembers() -> None:
    method = Reptile(inner_lr=0.02, inner_steps=2)
    learner = learner_of(method).eval()
    method.outer_loss(learner, EPISODES)
    assert int(learner.inner_steps_taken) == 0
    assert not any(bool(moment.any()) for moment in second_moments(learner).values())


def test_a_support_set_of_one_minibatch_is_used_whole() -> None:
    method = Reptile(test_inner_steps=3, test_inner_batch=6)
    batch = stack([EPISODES[0].task])
    assert method.minibatches(batch) is None
    few = replace(method, test_inner_batch=5).minibatches(batch)
    assert few is not None
    assert few(1).shape == (1, 5)


def test_minibatches_pass_over_all_images_before_any_comes_again() -> None:
    places = passes(counter_rng(0, "test", 0), 10, 4, 7)
    assert places.shape == (7, 4)
    in_turn = places.flatten().tolist()
    for first in (0, 10):
        assert sorted(in_turn[first : first + 10]) == list(range(10))
    assert in_turn[:10] != in_turn[10:20]
    assert len(set(in_turn[20:])) == 8
    assert torch.equal(places, passes(counter_rng(0, "test", 0), 10, 4, 7))


def test_the_meta_step_falls_linearly() -> None:
    method = Reptile(meta_step=0.8, meta_step_final=0.2)
    assert [method.outer_rate(i, 4) for i in range(4)] == pytest.approx([0.8, 0.65, 0.5, 0.35])
    assert Reptile().outer_rate(0, 10) == 1.0
    assert Reptile().outer_rate(9, 10) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"inner_batch": 0}, r"Reptile\.inner_batch"),
        ({"test_inner_batch": 0}, r"Reptile\.test_inner_batch"),
        ({"inner_optimiser": "rmsprop"}, r"Reptile\.inner_optimiser"),
        ({"meta_step": 0.0}, r"Reptile\.meta_step"),
        (
            {"meta_step_final": 1.5},
            r"Reptile\.meta_step_final must be at least 0 and at most Reptile\.meta_step",
        ),
    ],
)
def test_settings_without_a_meaning_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Reptile(**settings)  # type: ignore[arg-type]
