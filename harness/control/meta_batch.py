"""A meta-batch of control tasks: sampled and adapted to while the policy acts, and the outer objective on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.control.adaptation import Adaptation, adapted, inner_step
from harness.control.experience import Experience, experience
from harness.control.fisher import Outputs
from harness.control.policy import Gaussian, Policy
from harness.control.rollout import Trajectories, collect
from harness.control.sampling import Sampling
from harness.control.source import ControlSource, ControlTask
from harness.inner_loop import initial_weights
from harness.learner import Weights

BLOCK = 2
"""Tasks a block on a CPU: a little faster than all at once, as they fit its cache (bench_trust_region.py)."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """A policy's way into T tasks: `trajectories[i]` after i inner steps, of the weights `weights[i]`.

    experiences: of all trajectories, in order; the last is what the adapted policy met.
    """

    trajectories: Sequence[Trajectories]
    experiences: Sequence[Experience]
    weights: Sequence[Weights]

    @property
    def steps(self) -> int:
        """Steps simulated in all."""
        return sum(each.steps for each in self.trajectories)

    @property
    def dropped(self) -> int:
        """Trajectories that broke down."""
        return sum(int(each.dropped.sum()) for each in self.trajectories)


def run_course(
    source: ControlSource,
    policy: Policy,
    adaptation: Adaptation,
    tasks: Sequence[ControlTask],
    sampling: Sampling,
    *,
    seed: int,
    stream: str,
) -> Course:
    """Sample, take an inner step, sample again, and so on; each task by itself. Leaves the policy as it is.

    Trajectories are drawn from `stream`, which has branches by task and step, so that they do not depend on the
    tasks beside. Raises DynamicsError, see `rollout.collect`.
    """
    with torch.enable_grad():
        weights = initial_weights(policy, adaptation.mask, len(tasks))
    course: list[tuple[Trajectories, Experience, Weights]] = []
    for number in range(adaptation.steps + 1):
        sampled = collect(
            source,
            policy,
            weights,
            tasks,
            streams=[f"{stream}/{task.split}/{task.index}/step {number}" for task in tasks],
            seed=seed,
            trajectories=sampling.trajectories,
            max_dropped=sampling.max_dropped,
        )
        learnt = experience(
            sampled,
            discount=sampling.discount,
            gae_lambda=sampling.gae_lambda,
            regularisation=sampling.baseline_regularisation,
        )
        course.append((sampled, learnt, {name: weight.detach() for name, weight in weights.items()}))
        if number < adaptation.steps:
            with torch.enable_grad():
                step = inner_step(policy, weights, learnt, adaptation, number=number + 1, graph=False)
            weights = {name: weight.detach().requires_grad_() for name, weight in step.items()}
    trajectories, experiences, reached = zip(*course, strict=True)
    return Course(trajectories=trajectories, experiences=experiences, weights=reached)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The policy after its adaptation beside the one that sampled: ratios of densities, and KL(old ‖ new), [T, S]."""

    ratio: Tensor
    kl: Tensor


class MetaObjective:
    """What the outer step improves, as a function of the policy's parameters; built before any of them changes.

    With θ' the adaptation that θ makes of the stored experience, and θ'_old the one that sampled the last of it:

        surrogate(θ) = -mean over tasks, trajectories and steps of π_θ'(a|s) / π_θ'_old(a|s) A(s, a)
        divergence(θ) = mean over tasks, trajectories and steps of KL(π_θ'_old(·|s) ‖ π_θ'(·|s))

    Whenever θ changes, as along a line search, the inner steps are taken anew, from θ and on the same experience.
    """

    def __init__(self, policy: Policy, adaptation: Adaptation, experiences: Sequence[Experience]) -> None:
        *self._before, self._after = experiences
        self._policy, self._adaptation = policy, adaptation
        self._old = self._actions(graph=False).detach()
        self._old_log_prob = self._old.log_prob(self._after.actions)

    def _actions(self, *, graph: bool) -> Gaussian:
        weights = adapted(self._policy, self._before, self._adaptation, graph=graph)
        return self._policy.actions(weights, self._after.observations)

    def compare(self, *, graph: bool) -> Comparison:
        """The policy as it is now; with `graph`, differentiable in its parameters through the inner steps."""
        with torch.set_grad_enabled(graph):
            new = self._actions(graph=graph)
            ratio = (new.log_prob(self._after.actions) - self._old_log_prob).exp()
            return Comparison(ratio=ratio, kl=self._old.kl_to(new))

    def mean(self, values: Tensor) -> Tensor:
        """The mean over tasks, trajectories and steps: [T, S] -> a scalar."""
        return self._after.mean(values).mean()

    @property
    def advantages(self) -> Tensor:
        """[T, S], of the adapted policy's steps."""
        return self._after.advantages

    def surrogate_and_divergence(self, *, graph: bool) -> tuple[Tensor, Tensor]:
        """Both, as scalars, see above."""
        now = self.compare(graph=graph)
        return -self.mean(now.ratio * self.advantages), self.mean(now.kl)

    def outputs(self) -> list[Outputs]:
        """The adapted policies' means and log deviations, with the curvature of the divergence; in blocks of tasks.

        Right while θ is what this was built on: KL(old ‖ new) has there the second derivatives 1/σ² by a mean and 2 by
        a log deviation, and no slope. On a GPU all tasks are one block.
        """
        tasks = len(self._after.shares)
        block = BLOCK if self._after.shares.device.type == "cpu" else tasks
        return [self._outputs_of(slice(i, i + block), tasks) for i in range(0, tasks, block)]

    def _outputs_of(self, tasks: slice, of: int) -> Outputs:
        before, after = [each.of(tasks) for each in self._before], self._after.of(tasks)
        new = self._policy.actions(
            adapted(self._policy, before, self._adaptation, graph=True), after.observations
        )
        shares = after.shares / of
        by_mean = shares.unsqueeze(-1) * torch.exp(-2 * new.log_std.detach())
        by_log_std = 2 * shares.sum(1).view(-1, 1, 1).expand_as(new.log_std)
        return Outputs(values=[new.mean, new.log_std], curvature=[by_mean, by_log_std])
