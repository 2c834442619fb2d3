"""Small policies, experience and sources for tests of control."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from harness.control.experience import Experience
from harness.control.policy import Policy
from harness.control.policy_network import MLP
from harness.control.source import Array, ControlTask, Transition
from harness.dataset import SPLITS


def tiny_policy(*, observations: int = 3, actions: int = 2, hidden: tuple[int, ...] = (5, 4)) -> Policy:
    """In float64, with biases and spreads that are not their beginnings."""
    torch.manual_seed(0)
    policy = Policy(MLP(hidden=hidden).build_body(observations), actions).double()
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if parameter.ndim == 1:
                parameter.copy_(0.3 * torch.randn(parameter.shape, dtype=torch.float64))
            assert parameter.dtype == torch.float64, name
    return policy


def random_experience(
    *,
    seed: int,
    tasks: int = 2,
    trajectories: int = 3,
    horizon: int = 8,
    observations: int = 3,
    actions: int = 2,
) -> Experience:
    """Of noise; trajectory n of task t ends after horizon - t - n steps, and the last of the last was dropped."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    mask = torch.ones(tasks, trajectories, horizon, dtype=torch.float64)
    for t, n in np.ndindex(tasks, trajectories):
        mask[t, n, horizon - t - n :] = 0
    mask[-1, -1] = 0
    shares = torch.zeros_like(mask)
    for t in range(tasks):
        lengths = [float(each.sum()) for each in mask[t]]
        for n, length in enumerate(lengths):
            shares[t, n] = mask[t, n] / max(length, 1) / sum(other > 0 for other in lengths)
    mask, steps = mask.flatten(1), trajectories * horizon
    return Experience(
        observations=noise(tasks, steps, observations) * mask[..., None],
        actions=noise(tasks, steps, actions) * mask[..., None],
        advantages=noise(tasks, steps) * mask,
        shares=shares.flatten(1),
    )


def of_task(experience: Experience, t: int) -> tuple[torch.Tensor, ...]:
    return (
        experience.observations[t],
        experience.actions[t],
        experience.advantages[t],
        experience.shares[t],
    )


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A line along which one is pushed: the observation is the place, and the reward minus its distance from a goal.

    breaking: the task's trajectories whose start is above this become NaN after three steps.
    """

    name: str = "drift"
    horizon: int = 6
    breaking: float = np.inf

    splits: ClassVar[tuple[str, ...]] = SPLITS
    observation_size: ClassVar[int] = 1
    action_size: ClassVar[int] = 1

    def fingerprint(self) -> str:
        return "drift-1"

    def draw(self, split: str, rng: np.random.Generator) -> Mapping[str, float]:
        return {"goal": float(rng.uniform(-1, 1))}

    def simulator(self, tasks: Sequence[ControlTask]) -> "DriftSimulator":
        return DriftSimulator(np.array([task.parameters["goal"] for task in tasks]), self.breaking)


class DriftSimulator:
    def __init__(self, goals: Array, breaking: float) -> None:
        self._goals, self._breaking = goals, breaking

    def reset(self, generators: Sequence[np.random.Generator]) -> Array:
        self._places = np.array([rng.normal() for rng in generators])
        self._breaks, self._steps = self._places > self._breaking, 0
        return self._places[:, None]

    def step(self, actions: Array) -> Transition:
        self._steps += 1
        self._places = self._places + 0.1 * actions[:, 0]
        if self._steps == 3:
            self._places[self._breaks] = np.nan
        away = np.abs(self._places - self._goals)
        return Transition(observations=self._places[:, None], rewards=-away, ended=away < 0.05)
