"""Trajectories as learning sees them: returns, advantages by generalised estimation, one row a step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.control.linear_baseline import fitted_values
from harness.control.rollout import Trajectories

EPSILON = 1e-8
"""Added to the deviation that advantages are divided by."""


@dataclass(frozen=True, kw_only=True)
class Experience:
    """The S = trajectories x horizon steps of each of T tasks.

    observations [T, S, O], actions [T, S, A], advantages [T, S], mask [T, S]: 1 for steps that were taken, and 0, as
    all else is there, for those after an end and those of trajectories that were dropped.
    """

    observations: Tensor
    actions: Tensor
    advantages: Tensor
    mask: Tensor

    def mean(self, values: Tensor) -> Tensor:
        """Each task's mean over the steps taken: values [T, S] -> [T]."""
        return (values * self.mask).sum(1) / self.mask.sum(1).clamp(min=1)

    def of(self, tasks: slice) -> Experience:
        """That of some of the tasks."""
        parts = (self.observations, self.actions, self.advantages, self.mask)
        observations, actions, advantages, mask = (part[tasks] for part in parts)
        return Experience(observations=observations, actions=actions, advantages=advantages, mask=mask)


def experience(
    trajectories: Trajectories, *, discount: float, gae_lambda: float, regularisation: float
) -> Experience:
    """Advantages over a linear baseline that is fitted to each task's own returns, normalised within the task."""
    mask, rewards = trajectories.mask, trajectories.rewards
    returns = discounted_returns(rewards, discount)
    values = fitted_values(trajectories.observations, returns, mask, regularisation=regularisation)
    advantages = generalised_advantages(rewards, values, mask, discount=discount, gae_lambda=gae_lambda)
    return Experience(
        observations=trajectories.observations.flatten(1, 2),
        actions=trajectories.actions.flatten(1, 2),
        advantages=normalised(advantages, mask).flatten(1),
        mask=mask.flatten(1),
    )


def discounted_returns(rewards: Tensor, discount: float) -> Tensor:
    """Σ_k γ^k r_{t+k} to the end of the trajectory: rewards [..., H] -> [..., H]."""
    returns = torch.zeros_like(rewards)
    ahead = torch.zeros_like(rewards[..., 0])
    for t in range(rewards.shape[-1] - 1, -1, -1):
        ahead = rewards[..., t] + discount * ahead
        returns[..., t] = ahead
    return returns


def generalised_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, *, discount: float, gae_lambda: float
) -> Tensor:
    """GAE (Schulman et al. 2016, eq. 16): Σ_k (γλ)^k δ_{t+k}, δ_t = r_t + γ V(s_{t+1}) - V(s_t); all [..., H].

    What comes after a trajectory's last step is worth 0, at the horizon as at an end, as the reference has it.
    """
    values = values * mask
    after = torch.cat([values[..., 1:], torch.zeros_like(values[..., :1])], dim=-1)
    return discounted_returns((rewards + discount * after - values) * mask, discount * gae_lambda)


def normalised(advantages: Tensor, mask: Tensor) -> Tensor:
    """Of mean 0 and deviation 1 over the steps that a task took: [T, N, H]; 0 elsewhere."""
    count = mask.sum((1, 2), keepdim=True).clamp(min=1)
    mean = (advantages * mask).sum((1, 2), keepdim=True) / count
    centred = (advantages - mean) * mask
    deviation = (centred.square().sum((1, 2), keepdim=True) / count).sqrt()
    return centred / (deviation + EPSILON)
