"""2D-Navigation: a point walks to a goal it cannot see (Finn et al. 2017, arXiv 1703.03400, section 5.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.control.source import Array, ControlTask, Transition
from harness.dataset import SPLITS
from harness.errors import ConfigError
from harness.parameters import check_above, check_choice, check_fields, check_name, check_split, check_whole

LARGEST_STEP = 0.1
NEAR = 0.01
SIDES = ("all", "left", "right")


@dataclass(frozen=True, kw_only=True)
class Navigation2D:
    """From (0, 0) towards a goal drawn uniformly from [-goal_range, goal_range]²; the observation is the position.

    An action is added to the position, each part of it clipped to ±0.1. The reward is minus the distance to the goal
    after the step, and the trajectory ends when both coordinates are within 0.01 of it.

    horizon: 100 is the reference implementation's. goal_range: 0.5 is the papers'; a larger one makes tasks less like
    those. least_range: goals in [-least_range, least_range]² are left out, so that what is left is a frame around it.
    side: `left` or `right` for goals with a negative or a positive x alone, so that directions can be held out.
    """

    name: str = "navigation2d"
    horizon: int = 100
    goal_range: float = 0.5
    least_range: float = 0.0
    side: str = "all"

    splits: ClassVar[tuple[str, ...]] = SPLITS
    observation_size: ClassVar[int] = 2
    action_size: ClassVar[int] = 2
    version: ClassVar[str] = "navigation2d-1"

    def __post_init__(self) -> None:
        check_fields(self)
        check_name("Navigation2D", self.name)
        check_whole("Navigation2D.horizon", self.horizon, low=1)
        check_above("Navigation2D.goal_range", self.goal_range, 0)
        check_choice("Navigation2D.side", self.side, SIDES)
        if not 0 <= self.least_range < self.goal_range:
            raise ConfigError(
                f"Navigation2D.least_range must be a number from 0 to below goal_range, {self.goal_range}; "
                f"got {self.least_range}."
            )

    def fingerprint(self) -> str:
        """The version of this code."""
        return self.version

    def draw(self, split: str, rng: np.random.Generator) -> Mapping[str, float]:
        """A goal, the same distribution in every split."""
        check_split(self.name, split, self.splits)
        while True:
            x, y = rng.uniform(-self.goal_range, self.goal_range, 2)
            if max(abs(x), abs(y)) >= self.least_range:
                break
        x = {"all": x, "left": -abs(x), "right": abs(x)}[self.side]
        return {"goal_x": float(x), "goal_y": float(y)}

    def simulator(self, tasks: Sequence[ControlTask]) -> "PointSimulator":
        """One point for each of `tasks`."""
        goals = [(task.parameters["goal_x"], task.parameters["goal_y"]) for task in tasks]
        return PointSimulator(np.array(goals))


class PointSimulator:
    """Points that walk, as array code; `goals` [M, 2]."""

    def __init__(self, goals: Array) -> None:
        self._goals = goals
        self._places = np.zeros_like(goals)

    def reset(self, generators: Sequence[np.random.Generator]) -> Array:  # noqa: ARG002
        """All at (0, 0): nothing is drawn."""
        self._places = np.zeros_like(self._goals)
        return self._places

    def step(self, actions: Array) -> Transition:
        """Walk."""
        self._places = self._places + np.clip(actions, -LARGEST_STEP, LARGEST_STEP)
        away = self._places - self._goals
        return Transition(
            observations=self._places,
            rewards=-np.hypot(away[:, 0], away[:, 1]),
            ended=np.asarray((np.abs(away) < NEAR).all(1)),
        )
