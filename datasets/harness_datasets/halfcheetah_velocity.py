"""HalfCheetah-Velocity: run at a certain speed (Finn et al. 2017, arXiv 1703.03400, section 5.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.control.source import Array, ControlTask
from harness.errors import ConfigError
from harness.parameters import check_split
from harness_datasets.locomotion import Locomotion


@dataclass(frozen=True, kw_only=True)
class HalfCheetahVelocity(Locomotion):
    """The reward is -|v - v*| - 0.05 ‖a‖², with v the velocity along x and v* the task.

    lowest, highest: v* is drawn uniformly between them. Other limits than the papers' 0 and 2 make other tasks.
    """

    name: str = "halfcheetah_velocity"
    lowest: float = 0.0
    highest: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.lowest < self.highest:
            raise ConfigError(
                f"HalfCheetahVelocity.lowest must be below highest, {self.highest}; got {self.lowest}."
            )

    def draw(self, split: str, rng: np.random.Generator) -> Mapping[str, float]:
        """A velocity."""
        check_split(self.name, split, self.splits)
        return {"velocity": float(rng.uniform(self.lowest, self.highest))}

    def worth(self, velocities: Array, tasks: Sequence[ControlTask]) -> Array:
        """How near the task's velocity."""
        wanted = np.array([task.parameters["velocity"] for task in tasks])
        return np.asarray(-np.abs(velocities - wanted))
