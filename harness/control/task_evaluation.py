"""How well a policy does on test tasks, before and after it has adapted to each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from harness.control.adaptation import adaptation_of
from harness.control.meta_batch import Course, run_course
from harness.control.policy import Policy
from harness.control.sampling import Sampling
from harness.control.source import ControlSource, ControlTask, task_of
from harness.errors import ConfigError
from harness.inner_loop_method import InnerLoopMethod

TASKS_AT_ONCE = 20


@dataclass(frozen=True, kw_only=True)
class TaskOutcome:
    """One task: `returns[i]` is the mean return, not discounted, after i inner steps.

    trajectories: behind each of them, but for those dropped, of which there were `dropped` in all. steps: taken.
    seconds: of the tasks that it was evaluated with, shared out.
    """

    task: ControlTask
    returns: tuple[float, ...]
    trajectories: int
    dropped: int
    steps: int
    seconds: float = field(default=0.0, compare=False)

    @property
    def before(self) -> float:
        """The return of the policy as it was trained."""
        return self.returns[0]

    @property
    def after(self) -> float:
        """The return after all inner steps; `before` where there is none."""
        return self.returns[-1]


def evaluate_tasks(
    policy: Policy,
    method: InnerLoopMethod,
    source: ControlSource,
    *,
    split: str,
    n_tasks: int,
    sampling: Sampling,
    seed: int,
) -> Iterator[TaskOutcome]:
    """Tasks 0 to n_tasks - 1 of `split`, in order, each adapted to by the method's steps at test time.

    Leaves the policy bit for bit as it was. Raises DynamicsError, see `rollout.collect`.
    """
    for first in range(0, n_tasks, TASKS_AT_ONCE):
        numbers = range(first, min(first + TASKS_AT_ONCE, n_tasks))
        began = time.perf_counter()
        course = test_course(
            policy, method, source, split=split, numbers=numbers, sampling=sampling, seed=seed
        )
        seconds = (time.perf_counter() - began) / len(numbers)
        tasks = [task_of(source, split, seed=seed, k=k) for k in numbers]
        yield from (replace(each, seconds=seconds) for each in outcomes(course, tasks, sampling))


def test_course(
    policy: Policy,
    method: InnerLoopMethod,
    source: ControlSource,
    *,
    split: str,
    numbers: range,
    sampling: Sampling,
    seed: int,
) -> Course:
    """The policy's way into tasks of these numbers: what is scored, and what pictures and probes look at."""
    check_sizes(policy, source)
    return run_course(
        source,
        policy,
        adaptation_of(method, policy, training=False),
        [task_of(source, split, seed=seed, k=k) for k in numbers],
        sampling,
        seed=seed,
        stream=f"control/{source.name}/test",
    )


def outcomes(course: Course, tasks: list[ControlTask], sampling: Sampling) -> Iterator[TaskOutcome]:
    """What each task of a course came to."""
    for t, task in enumerate(tasks):
        yield TaskOutcome(
            task=task,
            returns=tuple(float(each.returns[t]) for each in course.trajectories),
            trajectories=sampling.trajectories,
            dropped=sum(int(each.dropped[t].sum()) for each in course.trajectories),
            steps=sum(int(each.mask[t].sum()) for each in course.trajectories),
        )


def check_sizes(policy: Policy, source: ControlSource) -> None:
    """Raise ConfigError unless the policy's observations and actions have the sizes of the source's."""
    first = next(policy.body.parameters())
    have = (first.shape[-1], policy.action_size)
    want = (source.observation_size, source.action_size)
    if have != want:
        raise ConfigError(
            f"A policy trained on observations of {have[0]} and actions of {have[1]} numbers cannot act on "
            f"{source.name}, which has {want[0]} and {want[1]}: train one on that body, or test on sources of "
            "the same sizes."
        )
