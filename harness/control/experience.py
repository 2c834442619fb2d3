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

    observations [T, S, O], actions [T, S, A], advantages [T, S]; shares [T, S]: what each step counts, see
    `step_shares`. All are 0 for steps that were not taken.
    """

    observations: Tensor
    actions: Tensor
    advantages: Tensor
    shares: Tensor

    def mean(self, values: Tensor) -> Tensor:
        """Each task's mean over its trajectories of means over their steps: values [T, S] -> [T]."""
        return (values * self.shares).sum(1)

    def of(self, tasks: slice) -> Experience:
        """That of some of the tasks."""
        parts = (self.observations, self.actions, self.advantages, self.shares)
        observations, actions, advantages, shares = (part[tasks] for part in parts)
        return Experience(observations=observations, actions=actions, advantages=advantages, shares=shares)


def experience(
    trajectories: Trajectories, *, discount: float, gae_lambda: float, regularisation: float
) -> Experience:
    """Advantages over a linear baseline that is fitted to each task's own returns, normalised within the task."""
    mask, rewards, shares = trajectories.mask, trajectories.rewards, step_shares(trajectories.mask)
    returns = discounted_returns(rewards, discount)
    values = fitted_values(trajectories.observations, returns, mask, regularisation=regularisation)
    advantages = generalised_advantages(rewards, values, mask, discount=discount, gae_lambda=gae_lambda)
    return Experience(
        observations=trajectories.observations.flatten(1, 2),
        actions=trajectories.actions.flatten(1, 2),
        advantages=normalised(advantages, shares).flatten(1),
        shares=shares.flatten(1),
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


def step_shares(mask: Tensor) -> Tensor:
    """What each step counts in its task: mask [T, N, H] -> [T, N, H], which sum to 1 within a task that has steps.

    Trajectories count alike, however long they are, as in the reference implementation; those that were dropped do
    not. Where trajectories end at a goal, this is not the same as counting steps alike: those that arrive are short,
    and what they did counts for more. On 2D-Navigation, MAML gets worse after its first 60 updates otherwise.
    """
    lengths = mask.sum(2, keepdim=True)
    sampled = (lengths > 0).sum(1, keepdim=True)
    return mask / lengths.clamp(min=1) / sampled.clamp(min=1)


def normalised(advantages: Tensor, shares: Tensor) -> Tensor:
    """Of mean 0 and deviation 1 over the steps that a task took, as they count: [T, N, H]; 0 elsewhere."""
    mean = (advantages * shares).sum((1, 2), keepdim=True)
    centred = (advantages - mean) * (shares > 0)
    deviation = (centred.square() * shares).sum((1, 2), keepdim=True).sqrt()
    return centred / (deviation + EPSILON)
