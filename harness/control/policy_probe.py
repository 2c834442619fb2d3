"""What a probe of policies is, and what such probes are made of: a course to look at, and each layer's outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from harness.control.adaptation import adaptation_of
from harness.control.meta_batch import Course, run_course
from harness.control.policy import Policy
from harness.control.sampling import Sampling
from harness.control.source import ControlSource, task_of
from harness.inner_loop_method import InnerLoopMethod
from harness.layers import Statistics
from harness.learner import HEAD, LayerMask, Weights
from harness.probe import ProbeRow

POLICY_PROBE_COLUMNS: dict[str, str] = {
    "run_id": "string",
    "method": "string",
    "trained_on": "string",
    "network": "string",
    "source": "string",
    "split": "string",
    "seed": "int64",
    "probe": "string",
    "episode": "Int64",  # the task's number, as in TASK_COLUMNS; empty for a number over all the probe's tasks
    "condition": "string",  # which layers adapt
    "layer": "string",  # empty where the number is of no layer
    "step": "Int64",  # of the inner loop, from 1; empty where the number is of none
    "quantity": "string",
    "value": "float64",
    "n": "int64",  # trajectories or states behind the value
    "reason": "string",  # why the value is NaN; empty for a number
    "protocol_version": "int64",
}


@dataclass(frozen=True, kw_only=True)
class TestGround:
    """Where a probe measures: the tasks of one evaluation, met as they are when they are scored."""

    __test__ = False  # no test, though pytest would take it for one by its name

    source: ControlSource
    split: str
    sampling: Sampling
    seed: int

    def course(
        self, policy: Policy, method: InnerLoopMethod, numbers: Sequence[int], mask: LayerMask | None = None
    ) -> Course:
        """The policy's way into the tasks of these numbers, `mask` in place of the layers that the method adapts.

        Trajectories before adaptation are those of the evaluation whatever the mask.
        """
        adaptation = adaptation_of(method, policy, training=False)
        if mask is not None:
            steps = method.adaptation_steps if mask else 0
            adaptation = replace(adaptation, mask=mask, steps=steps)
        return run_course(
            self.source,
            policy,
            adaptation,
            [task_of(self.source, self.split, seed=self.seed, k=k) for k in numbers],
            self.sampling,
            seed=self.seed,
            stream=f"control/{self.source.name}/test",
        )


@runtime_checkable
class PolicyProbe(Protocol):
    """A measurement on a trained policy; a frozen dataclass, its fields set from gin.

    name: in every row. n_tasks: measured are the first of each evaluation, never more than it has.
    """

    @property
    def name(self) -> str:
        """The probe's name in rows."""

    @property
    def n_tasks(self) -> int:
        """Tasks of each evaluation."""

    def measure(
        self, policy: Policy, method: InnerLoopMethod, ground: TestGround, number: int
    ) -> Iterable[ProbeRow]:
        """The rows of one task; leaves the policy bit for bit as it was."""


def visited(course: Course, task: int, most: int) -> Tensor:
    """At most `most` of the states that a task's policy visited before its adaptation, evenly spaced: [1, S, O]."""
    sampled = course.trajectories[0]
    states = sampled.observations[task][sampled.mask[task] > 0]
    places = torch.linspace(0, len(states) - 1, min(most, len(states))).round().long()
    return states[places].unsqueeze(0)


@torch.no_grad()
def policy_outputs(policy: Policy, weights: Weights, states: Tensor) -> Iterator[tuple[str, Tensor]]:
    """(layer, its output [S, D]) for states [1, S, O] under one task's weights, input side first.

    The head's, which comes last, are the means of the actions.
    """
    whole = {**policy.shared(1), **weights}
    x = states
    for i, layer in enumerate(policy.body.layers):
        x = policy.features(whole, x, Statistics("batch"), i, i + 1)
        yield layer, x[0]
    yield HEAD, policy.logits(whole, x, policy.action_size)[0]


def of_task(weights: Weights, task: int) -> dict[str, Tensor]:
    """One task's weights, [1, ...] each."""
    return {name: weight[task : task + 1] for name, weight in weights.items()}
