"""Returns, advantages and the linear baseline, against loops and numpy's least squares."""

import numpy as np
import pytest
import torch

from harness.control.experience import (
    discounted_returns,
    experience,
    generalised_advantages,
    normalised,
    step_shares,
)
from harness.control.linear_baseline import fitted_values
from harness.control.rollout import Trajectories

T, N, H, SIZE = 2, 4, 9, 3


def sampled(seed: int = 0) -> Trajectories:
    """Of noise; trajectory n of a task ends after H - n steps, and the last of the second task was dropped."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(T, N, H, dtype=torch.float64)
    for n in range(N):
        mask[:, n, H - n :] = 0
    mask[1, -1] = 0
    dropped = torch.zeros(T, N, dtype=torch.bool)
    dropped[1, -1] = True

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(T, N, H, *shape, generator=generator, dtype=torch.float64)

    return Trajectories(
        observations=noise(SIZE) * mask[..., None],
        actions=noise(1) * mask[..., None],
        rewards=noise() * mask,
        mask=mask,
        dropped=dropped,
        steps=int(mask.sum()),
    )


def test_advantages_are_those_of_the_definition() -> None:
    trajectories, gamma, lam = sampled(), 0.9, 0.7
    values = torch.randn(T, N, H, dtype=torch.float64)
    got = generalised_advantages(
        trajectories.rewards, values, trajectories.mask, discount=gamma, gae_lambda=lam
    )
    for t in range(T):
        for n in range(N):
            length = int(trajectories.mask[t, n].sum())
            r, v = trajectories.rewards[t, n, :length].tolist(), [*values[t, n, :length].tolist(), 0.0]
            deltas = [r[i] + gamma * v[i + 1] - v[i] for i in range(length)]
            expected = [
                sum((gamma * lam) ** (k - i) * deltas[k] for k in range(i, length)) for i in range(length)
            ]
            np.testing.assert_allclose(got[t, n, :length], expected, rtol=1e-12)
            assert not got[t, n, length:].any()


def test_returns_are_discounted_sums() -> None:
    rewards = torch.tensor([[1.0, 2.0, 4.0]])
    assert discounted_returns(rewards, 0.5).tolist() == [[1 + 1 + 1, 2 + 2, 4]]


@pytest.mark.parametrize("regularisation", [1e-5, 10.0])
def test_the_baseline_is_ridge_regression_on_each_tasks_own_steps(regularisation: float) -> None:
    trajectories = sampled()
    returns = discounted_returns(trajectories.rewards, 0.95)
    got = fitted_values(trajectories.observations, returns, trajectories.mask, regularisation=regularisation)
    for t in range(T):
        rows, targets = [], []
        for n in range(N):
            for i in range(int(trajectories.mask[t, n].sum())):
                o, time = trajectories.observations[t, n, i].numpy(), (i + 1) / 100
                rows.append(np.concatenate([o, o**2, [time, time**2, time**3, 1]]))
                targets.append(float(returns[t, n, i]))
        features = np.array(rows)
        # Ridge regression as least squares with a row more for each weight.
        penalty = np.sqrt(regularisation) * np.eye(features.shape[1])
        weights = np.linalg.lstsq(
            np.concatenate([features, penalty]),
            np.concatenate([targets, np.zeros(features.shape[1])]),
            rcond=None,
        )[0]
        np.testing.assert_allclose(got[t][trajectories.mask[t] > 0], features @ weights, rtol=1e-5, atol=1e-7)


def test_a_baseline_that_cannot_be_solved_for_is_regularised_more(monkeypatch: pytest.MonkeyPatch) -> None:
    trajectories, solve, seen = sampled(), torch.linalg.solve_ex, []

    def failing(matrix: torch.Tensor, product: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(matrix)
        weights, failures = solve(matrix, product)
        return (weights * float("nan"), failures) if len(seen) < 3 else (weights, failures)

    expected = fitted_values(
        trajectories.observations, trajectories.rewards, trajectories.mask, regularisation=0.2
    )
    monkeypatch.setattr(torch.linalg, "solve_ex", failing)
    got = fitted_values(
        trajectories.observations, trajectories.rewards, trajectories.mask, regularisation=0.002
    )
    assert len(seen) == 3
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


def test_trajectories_count_alike_and_so_do_the_steps_of_one() -> None:
    mask = sampled().mask
    got = step_shares(mask)
    for t in range(T):
        lengths = [int(mask[t, n].sum()) for n in range(N)]
        alive = [n for n in range(N) if lengths[n]]
        for n in range(N):
            expected = [1 / lengths[n] / len(alive)] * lengths[n] if n in alive else []
            np.testing.assert_allclose(got[t, n], expected + [0.0] * (H - len(expected)), rtol=1e-12)
    assert not step_shares(torch.zeros(1, 2, 3)).any()


def test_advantages_are_normalised_within_a_task_as_its_steps_count() -> None:
    mask = sampled().mask
    got = normalised(torch.randn(T, N, H, dtype=torch.float64) * 3 + 5, step_shares(mask))
    for t in range(T):
        taken = [got[t, n][mask[t, n] > 0] for n in range(N) if mask[t, n].any()]
        assert np.mean([float(each.mean()) for each in taken]) == pytest.approx(0, abs=1e-12)
        assert np.mean([float(each.square().mean()) for each in taken]) == pytest.approx(1, rel=1e-6)
    assert not got[mask == 0].any()


def test_what_was_dropped_does_not_count() -> None:
    trajectories = sampled()
    assert trajectories.returns[1] == pytest.approx(float(trajectories.rewards[1, :-1].sum()) / (N - 1))
    learnt = experience(trajectories, discount=0.9, gae_lambda=1.0, regularisation=1e-5)
    values = torch.ones(T, N * H, dtype=torch.float64)
    values[1, (N - 1) * H :] = 1e9
    assert learnt.mean(values).tolist() == pytest.approx([1, 1])
    assert not learnt.advantages[1, (N - 1) * H :].any()
