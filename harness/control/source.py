"""What a source of control tasks is: the contract that every plugin of one keeps.

A control source is a frozen dataclass. Its fields are its parameters (set from gin) and part of its identity. A
task is drawn from its distribution by a counter, so that task k is the same for every method; a simulator runs many
trajectories side by side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from harness.seeds import counter_rng

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ControlTask:
    """Task `index` of a source's split: what makes it differ from its siblings, by name (`goal_x`, `velocity`, ...)."""

    source: str
    split: str
    index: int
    parameters: Mapping[str, float]

    @property
    def name(self) -> str:
        """The task as messages name it."""
        values = ", ".join(f"{name} {value:.3g}" for name, value in self.parameters.items())
        return f"task {self.index} of {self.source}/{self.split} ({values})"


@dataclass(frozen=True, kw_only=True)
class Transition:
    """What one step of M trajectories led to.

    observations: [M, O]. rewards: [M]. ended: [M], which trajectories came to their end with this step.
    """

    observations: Array
    rewards: Array
    ended: npt.NDArray[np.bool_]


class Simulator(Protocol):
    """M trajectories side by side. None depends on which others there are.

    Where the dynamics of one break down, its observations are NaN from there on.
    """

    def reset(self, generators: Sequence[np.random.Generator]) -> Array:
        """Begin anew: observations [M, O]. Trajectory m draws what it draws from `generators[m]`."""

    def step(self, actions: Array) -> Transition:
        """Take one action [A] in each, actions [M, A]; those outside the space of actions are clipped to it."""


@runtime_checkable
class ControlSource(Protocol):
    """A distribution of control tasks.

    Attributes:
        name: the source's name in every row; a field with a default.
        horizon: the largest number of steps of a trajectory.
        splits: the splits it has, a subset of `harness.dataset.SPLITS`.
        observation_size, action_size: numbers in an observation and in an action.

    A source may also have `picture(observations)`: a strip of frames, uint8 [height, width, 3], of one trajectory's
    observations [H, O], or None where it cannot be drawn here.
    """

    @property
    def name(self) -> str:
        """The source's name in rows."""

    @property
    def horizon(self) -> int:
        """Steps of a trajectory, at most."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits it has."""

    @property
    def observation_size(self) -> int:
        """Numbers in an observation."""

    @property
    def action_size(self) -> int:
        """Numbers in an action."""

    def fingerprint(self) -> str:
        """A short text that changes whenever the same task would be another one, or run otherwise.

        Raises MissingDataError where a package is missing, naming the command that installs it.
        """

    def draw(self, split: str, rng: np.random.Generator) -> Mapping[str, float]:
        """The parameters of one task of `split`. Raises DataError for a split it does not have."""

    def simulator(self, tasks: Sequence[ControlTask]) -> Simulator:
        """One trajectory for each of `tasks`, which may repeat. Raises as `fingerprint` does."""


def task_of(source: ControlSource, split: str, *, seed: int, k: int) -> ControlTask:
    """Task k of the split: pure in (source, split, seed, k)."""
    rng = counter_rng(seed, f"control/{source.name}/{split}/task", k)
    return ControlTask(source=source.name, split=split, index=k, parameters=source.draw(split, rng))
