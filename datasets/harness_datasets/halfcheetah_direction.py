"""HalfCheetah-Direction: run forwards or backwards (Finn et al. 2017, arXiv 1703.03400, section 5.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.control.source import Array, ControlTask
from harness.errors import ConfigError
from harness.parameters import as_list, check_split
from harness_datasets.locomotion import Locomotion


@dataclass(frozen=True, kw_only=True)
class HalfCheetahDirection(Locomotion):
    """The reward is d v - 0.05 ‖a‖², with v the velocity along x and d = 1 or -1 the task.

    directions: those that tasks are drawn from; give training one and testing the other to hold a direction out.
    """

    name: str = "halfcheetah_direction"
    directions: tuple[int, ...] = (1, -1)

    def __post_init__(self) -> None:
        super().__post_init__()
        directions = as_list("HalfCheetahDirection.directions", self.directions, example="(1, -1)")
        object.__setattr__(self, "directions", directions)
        if not self.directions or not set(self.directions) <= {1, -1}:
            raise ConfigError(
                "HalfCheetahDirection.directions must be a list of 1 (forwards) and -1 (backwards), for example "
                f"(1, -1); got {self.directions!r}."
            )

    def draw(self, split: str, rng: np.random.Generator) -> Mapping[str, float]:
        """A direction, each as likely."""
        check_split(self.name, split, self.splits)
        return {"direction": float(self.directions[rng.integers(len(self.directions))])}

    def worth(self, velocities: Array, tasks: Sequence[ControlTask]) -> Array:
        """The velocity in the task's direction."""
        return np.array([task.parameters["direction"] for task in tasks]) * velocities
