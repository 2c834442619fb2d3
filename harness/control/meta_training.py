"""Meta-training of a policy: sample a meta-batch, adapt to it, step on what the adapted policies met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from harness.control.adaptation import Adaptation, adaptation_of
from harness.control.clipped_surrogate import ClippedSurrogate, clipped_step
from harness.control.meta_batch import Course, MetaObjective, run_course
from harness.control.policy import Policy
from harness.control.sampling import Sampling
from harness.control.source import ControlSource, task_of
from harness.control.trust_region import StepTaken, TrustRegion, trust_region_step
from harness.inner_loop_method import InnerLoopMethod
from harness.learner import LayerMask
from harness.parameters import check_whole
from harness.seeds import seed_torch


@dataclass(frozen=True, kw_only=True)
class Update:
    """What an outer update saw and did: means over the tasks of its meta-batch, of returns that are not discounted.

    return_before, return_after: the inner steps. steps: simulated. dropped: trajectories that broke down.
    """

    iteration: int
    return_before: float
    return_after: float
    taken: StepTaken
    steps: int
    dropped: int


class MetaTraining:
    """The outer loop, one update a call. Update i is pure in (seed, i, the state before it).

    source: of the tasks, of its split `train`. meta_batch: tasks an update; those of update i are numbers
    i * meta_batch and following. outer: how the outer step is made.
    """

    def __init__(
        self,
        policy: Policy,
        method: InnerLoopMethod,
        source: ControlSource,
        *,
        meta_batch: int,
        sampling: Sampling,
        outer: TrustRegion | ClippedSurrogate,
        seed: int,
    ) -> None:
        check_whole("meta_batch", meta_batch, low=1)
        self.policy, self._source, self._seed = policy, source, seed
        self._meta_batch, self._sampling, self._outer = meta_batch, sampling, outer
        self._adaptation: Adaptation = adaptation_of(method, policy, training=True)
        self._parameters = [p for p in policy.parameters() if p.requires_grad]
        self._optimiser = (
            torch.optim.Adam(self._parameters, lr=outer.learning_rate)
            if isinstance(outer, ClippedSurrogate)
            else None
        )
        self.iteration = 0

    @property
    def adapted_layers(self) -> LayerMask:
        """The layers that the inner loop changes."""
        return self._adaptation.mask

    def update(self) -> Update:
        """One outer update. Raises DynamicsError, see `rollout.collect`."""
        seed_torch(self._seed, f"train/{self.iteration}")
        first = self.iteration * self._meta_batch
        tasks = [
            task_of(self._source, "train", seed=self._seed, k=k)
            for k in range(first, first + self._meta_batch)
        ]
        course = run_course(
            self._source,
            self.policy,
            self._adaptation,
            tasks,
            self._sampling,
            seed=self._seed,
            stream=f"control/{self._source.name}/training",
        )
        taken = self._step(MetaObjective(self.policy, self._adaptation, course.experiences))
        self.iteration += 1
        return _seen(self.iteration, course, taken)

    def _step(self, objective: MetaObjective) -> StepTaken:
        if isinstance(self._outer, ClippedSurrogate):
            assert self._optimiser is not None
            return clipped_step(self._parameters, objective, self._optimiser, self._outer)
        return trust_region_step(self._parameters, objective, self._outer)

    def state_dict(self) -> dict[str, Any]:
        """All that resuming needs to give the same bits: tensors and plain values."""
        optimiser = None if self._optimiser is None else self._optimiser.state_dict()
        return {"iteration": self.iteration, "policy": self.policy.state_dict(), "optimiser": optimiser}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.iteration = int(state["iteration"])
        self.policy.load_state_dict(state["policy"])
        if self._optimiser is not None:
            self._optimiser.load_state_dict(state["optimiser"])


def _seen(iteration: int, course: Course, taken: StepTaken) -> Update:
    before, after = course.trajectories[0], course.trajectories[-1]
    return Update(
        iteration=iteration,
        return_before=float(before.returns.nanmean()),
        return_after=float(after.returns.nanmean()),
        taken=taken,
        steps=course.steps,
        dropped=course.dropped,
    )
