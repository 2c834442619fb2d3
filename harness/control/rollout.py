"""Trajectories of a policy on many tasks at once; each is pure in its seed, stream and number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.control.policy import Policy
from harness.control.source import ControlSource, ControlTask
from harness.learner import Weights
from harness.seeds import counter_rng


class DynamicsError(Exception):
    """Too many trajectories of one task broke down; the run fails with this message."""


@dataclass(frozen=True, kw_only=True)
class Trajectories:
    """N trajectories of H steps on each of T tasks.

    observations [T, N, H, O] before each step, actions [T, N, H, A] as drawn (not clipped), rewards [T, N, H]; mask
    [T, N, H] is 1 for steps that were taken, and all is 0 where it is 0. dropped [T, N]: trajectories whose dynamics
    broke down; none of their steps counts. steps: simulated in all.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    mask: Tensor
    dropped: Tensor
    steps: int

    @property
    def returns(self) -> Tensor:
        """Each task's mean sum of rewards over its trajectories, not discounted: [T]; NaN where all were dropped."""
        return self.rewards.sum((1, 2)) / (~self.dropped).sum(1)


def collect(
    source: ControlSource,
    policy: Policy,
    weights: Weights,
    tasks: Sequence[ControlTask],
    *,
    streams: Sequence[str],
    seed: int,
    trajectories: int,
    max_dropped: float,
) -> Trajectories:
    """Let the policy act, task t by `weights[name][t]`, until each trajectory ends or reaches the horizon.

    Trajectory n of task t draws its start, and then all its noise, from counter n of `streams[t]`: whatever it is
    sampled together with, it is the same. Raises DynamicsError where more than the share `max_dropped` of a task's
    trajectories break down.
    """
    n_tasks, size = len(tasks), (len(tasks), trajectories)
    generators = [counter_rng(seed, stream, n) for stream in streams for n in range(trajectories)]
    simulator = source.simulator([task for task in tasks for _ in range(trajectories)])
    observations = simulator.reset(generators)
    drawn = np.stack([g.standard_normal((source.horizon, source.action_size)) for g in generators])
    noise = _tensor(policy, drawn).view(*size, source.horizon, source.action_size)
    record = _Record(policy, source, size)
    alive = np.ones(len(observations), bool)
    broken = np.zeros_like(alive)
    weights = {**policy.shared(n_tasks), **weights}
    std = policy.log_std(weights).detach().exp()
    steps = 0
    for t in range(source.horizon):
        seen = _tensor(policy, np.nan_to_num(observations, nan=0.0, posinf=0.0, neginf=0.0)).view(*size, -1)
        with torch.no_grad():
            actions = torch.addcmul(policy.actions(weights, seen).mean, std, noise[:, :, t])
        after = simulator.step(actions.flatten(0, 1).double().cpu().numpy())
        steps += int(alive.sum())
        good = np.isfinite(after.observations).all(1) & np.isfinite(after.rewards)
        broken |= alive & ~good
        record.step(t, seen, actions, after.rewards, alive & ~broken)
        alive &= ~after.ended & ~broken
        if not alive.any():
            break
        observations = after.observations
    finite = torch.stack([w.detach().isfinite().flatten(1).all(1) for w in weights.values()]).all(0)
    _check(broken.reshape(size), tasks, max_dropped, finite.cpu().numpy())
    return record.trajectories(torch.from_numpy(broken.reshape(size)).to(noise.device), steps)


class _Record:
    """What happened, step by step."""

    def __init__(self, policy: Policy, source: ControlSource, size: tuple[int, int]) -> None:
        like = next(policy.parameters()).detach()
        self._policy = policy
        self._observations = like.new_zeros(*size, source.horizon, source.observation_size)
        self._actions = like.new_zeros(*size, source.horizon, source.action_size)
        self._rewards = like.new_zeros(*size, source.horizon)
        self._mask = like.new_zeros(*size, source.horizon)

    def step(self, t: int, seen: Tensor, actions: Tensor, rewards: np.ndarray, counts: np.ndarray) -> None:
        size = self._mask.shape[:2]
        taken = torch.from_numpy(counts).to(seen.device).view(size)
        self._mask[:, :, t] = taken.to(seen.dtype)
        self._observations[:, :, t] = _where(taken, seen)
        self._actions[:, :, t] = _where(taken, actions)
        self._rewards[:, :, t] = _where(taken, _tensor(self._policy, rewards).view(size))

    def trajectories(self, dropped: Tensor, steps: int) -> Trajectories:
        kept = ~dropped
        return Trajectories(
            observations=_where(kept, self._observations),
            actions=_where(kept, self._actions),
            rewards=_where(kept, self._rewards),
            mask=_where(kept, self._mask),
            dropped=dropped,
            steps=steps,
        )


def _where(wanted: Tensor, values: Tensor) -> Tensor:
    """Values [T, N, ...] where `wanted` [T, N], elsewhere 0, whatever they are there."""
    return values.masked_fill(~wanted.view(*wanted.shape, *[1] * (values.ndim - 2)), 0.0)


def _tensor(policy: Policy, values: np.ndarray) -> Tensor:
    like = next(policy.parameters())
    return torch.as_tensor(values).to(device=like.device, dtype=like.dtype)


def _check(broken: np.ndarray, tasks: Sequence[ControlTask], max_dropped: float, finite: np.ndarray) -> None:
    """finite: whether the weights that acted on each task are numbers."""
    shares = broken.mean(1)
    worst = int(shares.argmax())
    if shares[worst] <= max_dropped:
        return
    counted = f"{int(broken[worst].sum())} of {broken.shape[1]} trajectories"
    if not finite[worst]:
        raise DynamicsError(
            f"The policy's weights on {tasks[worst].name} are not finite, so that {counted} broke down: an inner or "
            "outer step was too long. Lower the inner learning rate, or the limit of the outer step "
            "(TrustRegion.max_kl)."
        )
    raise DynamicsError(
        f"The dynamics of {tasks[worst].name} broke down (values that are not finite) in {counted}, more than the "
        f"share {max_dropped:g} that may be dropped. Lower the inner learning rate, or see whether the source's "
        "parameters are physical."
    )
