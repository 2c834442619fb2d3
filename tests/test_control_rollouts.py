"""Tasks and trajectories by counters, whatever they are sampled together with; and dynamics that break down."""

import numpy as np
import pytest
import torch

from control_cases import Drift, tiny_policy
from harness.control.experience import experience
from harness.control.policy import Policy, fresh_policy
from harness.control.policy_network import MLP
from harness.control.rollout import DynamicsError, Trajectories, collect
from harness.control.source import ControlSource, ControlTask, task_of
from harness.errors import ConfigError, DataError
from harness_datasets.navigation2d import Navigation2D
from harness_methods.maml import MAML


def policy_for(source: ControlSource, *, seed: int = 0) -> Policy:
    return fresh_policy(MLP(hidden=(16, 16)), MAML(), source, seed=seed)


def sample(
    source: ControlSource,
    policy: Policy,
    numbers: list[int],
    *,
    trajectories: int = 4,
    seed: int = 0,
    max_dropped: float = 0.25,
) -> tuple[list[ControlTask], Trajectories]:
    tasks = [task_of(source, "train", seed=seed, k=k) for k in numbers]
    return tasks, collect(
        source,
        policy,
        {},
        tasks,
        streams=[f"stream of {k}" for k in numbers],
        seed=seed,
        trajectories=trajectories,
        max_dropped=max_dropped,
    )


def test_task_k_is_pure_in_seed_split_and_k() -> None:
    source = Navigation2D()
    tasks = {
        (seed, split, k): task_of(source, split, seed=seed, k=k).parameters
        for seed in (0, 1)
        for split in ("train", "test")
        for k in range(3)
    }
    assert len({tuple(parameters.values()) for parameters in tasks.values()}) == len(tasks)
    assert task_of(Navigation2D(), "test", seed=1, k=2).parameters == tasks[1, "test", 2]


def test_trajectories_do_not_depend_on_the_tasks_beside() -> None:
    source = Navigation2D(horizon=30)
    policy = policy_for(source)
    _, together = sample(source, policy, list(range(7)))
    for t in (0, 3, 6):
        _, alone = sample(source, policy, [t])
        for name in ("observations", "actions", "rewards", "mask"):
            assert torch.equal(getattr(alone, name)[0], getattr(together, name)[t]), name


def test_more_trajectories_begin_with_the_same() -> None:
    source = Drift()
    policy = policy_for(source)
    _, few = sample(source, policy, [0, 1], trajectories=3)
    _, many = sample(source, policy, [0, 1], trajectories=8)
    # Products of other sizes may round differently.
    torch.testing.assert_close(few.observations, many.observations[:, :3], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(few.actions, many.actions[:, :3], rtol=1e-5, atol=1e-6)


def test_each_task_is_acted_on_by_its_own_weights() -> None:
    source, policy = Drift(), tiny_policy(observations=1, actions=1)
    own = {
        name: w.detach() + torch.tensor([0.0, 5.0]).view(2, *[1] * (w.ndim - 1))
        for name, w in policy.shared(2).items()
        if name == "head.bias"
    }
    tasks = [task_of(source, "train", seed=0, k=k) for k in range(2)]
    apart = [
        collect(source, policy, w, tasks, streams=["a", "b"], seed=0, trajectories=50, max_dropped=0)
        for w in ({}, own)
    ]
    assert torch.equal(apart[0].actions[0], apart[1].actions[0])
    firsts = [each.actions[1, :, 0].mean() for each in apart]
    assert float(firsts[1] - firsts[0]) == pytest.approx(5, abs=1e-9)


def test_actions_spread_as_the_policy_says_each_task_by_its_own() -> None:
    policy = tiny_policy(observations=1, actions=1)
    with torch.no_grad():
        policy.head.log_std.fill_(-0.7)
    stored = policy.shared(3)
    own = {"head.log_std": stored["head.log_std"].detach() + torch.tensor([[0.0], [1.2], [-40.0]])}
    source = Drift(horizon=60)
    tasks = [task_of(source, "train", seed=0, k=k) for k in range(3)]
    got = collect(
        source, policy, own, tasks, streams=["a", "b", "c"], seed=0, trajectories=200, max_dropped=0
    )
    means = policy.actions({**stored, **own}, got.observations.flatten(1, 2)).mean.view_as(got.actions)
    away = (got.actions - means).detach()[..., 0]
    spread = [float(away[t][got.mask[t] > 0].std()) for t in range(3)]
    # At least 2,000 steps of each: a deviation is known to 2 % then. The last is below the least that is allowed.
    assert int(got.mask.sum((1, 2)).min()) > 2000
    assert spread == [pytest.approx(scale, rel=0.06) for scale in (np.exp(-0.7), np.exp(0.5), 1e-6)]


def test_steps_after_an_end_do_not_count() -> None:
    source = Drift(horizon=40)
    _, sampled = sample(source, policy_for(source), list(range(6)), trajectories=20)
    lengths = sampled.mask.sum(2)
    assert lengths.min() < 40 == lengths.max()
    for t, n in np.ndindex(6, 20):
        length = int(lengths[t, n])
        assert sampled.mask[t, n, :length].all()
        assert not sampled.observations[t, n, length:].any()
        assert not sampled.rewards[t, n, length:].any()
        if length < 40:  # the last reward is of the step that ended it
            assert -0.05 < float(sampled.rewards[t, n, length - 1]) <= 0
    assert sampled.steps == int(lengths.sum())
    torch.testing.assert_close(sampled.returns, sampled.rewards.sum(2).mean(1))


def test_a_trajectory_that_breaks_down_is_dropped_and_counted() -> None:
    whole, breaking = Drift(), Drift(breaking=1.0)
    policy = policy_for(whole)
    _, expected = sample(whole, policy, [0, 1], trajectories=12)
    _, sampled = sample(breaking, policy, [0, 1], trajectories=12, max_dropped=0.5)
    starts = expected.observations[:, :, 0, 0]
    assert sampled.dropped.any()
    assert torch.equal(sampled.dropped, (starts > 1) & (expected.mask.sum(2) >= 3))
    kept = ~sampled.dropped
    assert torch.equal(sampled.observations[kept], expected.observations[kept])
    assert not sampled.mask[sampled.dropped].any()
    assert sampled.returns.isfinite().all()
    learnt = experience(sampled, discount=0.9, gae_lambda=1.0, regularisation=1e-5)
    assert learnt.advantages.isfinite().all()


def test_too_many_break_downs_fail_with_the_task_named() -> None:
    source = Drift(breaking=-3.0)
    goal = task_of(source, "train", seed=0, k=5).parameters["goal"]
    with pytest.raises(
        DynamicsError, match=rf"task 5 of drift/train \(goal {goal:.3g}\).* in \d+ of 12 traj"
    ):
        sample(source, policy_for(source), [5], trajectories=12)


def test_a_policy_that_is_no_number_breaks_every_trajectory() -> None:
    source = Navigation2D(horizon=5)
    policy = policy_for(source)
    with torch.no_grad():
        policy.get_parameter("head.bias").fill_(float("nan"))
    with pytest.raises(
        DynamicsError,
        match=r"weights on task 0 of .* are not finite, so that 4 of 4 .* or the limit of the outer",
    ):
        sample(source, policy, [0])


def test_a_point_walks_and_is_rewarded_as_the_paper_says() -> None:
    source = Navigation2D()
    goals = np.array([[0.3, -0.2], [0.05, 0.0], [-0.5, 0.5]])
    tasks = [
        ControlTask(
            source="navigation2d", split="train", index=i, parameters={"goal_x": float(x), "goal_y": float(y)}
        )
        for i, (x, y) in enumerate(goals)
    ]
    simulator = source.simulator(tasks)
    generators = [np.random.default_rng(0)] * 3
    assert not simulator.reset(generators).any()
    actions = np.array([[0.05, -7.0], [0.045, 0.009], [0.2, -0.01]])
    after = simulator.step(actions)
    places = np.array([[0.05, -0.1], [0.045, 0.009], [0.1, -0.01]])
    np.testing.assert_allclose(after.observations, places)
    np.testing.assert_allclose(after.rewards, -np.linalg.norm(places - goals, axis=1))
    assert after.ended.tolist() == [False, True, False]
    assert not simulator.reset(generators).any()


def test_goals_are_drawn_from_where_they_were_asked_for() -> None:
    def goals(**settings: object) -> np.ndarray:
        source = Navigation2D(**settings)  # type: ignore[arg-type]
        return np.array([list(task_of(source, "test", seed=0, k=k).parameters.values()) for k in range(400)])

    plain = goals()
    assert np.abs(plain).max() <= 0.5
    assert np.abs(plain.mean(0)).max() < 0.05  # of a uniform one: 0 ± 0.014
    assert plain.std(0) == pytest.approx([0.2887, 0.2887], rel=0.1)
    wider = goals(goal_range=1.5, least_range=0.5)
    outside = np.abs(wider).max(1)
    assert outside.min() >= 0.5
    assert 1.4 < outside.max() <= 1.5
    assert goals(side="left")[:, 0].max() <= 0 <= goals(side="right")[:, 0].min()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"horizon": 0}, "Navigation2D.horizon must be a whole number of at least 1; got 0"),
        ({"goal_range": -1.0}, "goal_range must be a number above 0"),
        ({"least_range": 0.7}, "least_range must be a number from 0 to below goal_range, 0.5; got 0.7"),
        ({"side": "lef"}, "Did you mean 'left'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Navigation2D(**settings)  # type: ignore[arg-type]


def test_a_split_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match="no split 'tets'"):
        task_of(Navigation2D(), "tets", seed=0, k=0)
