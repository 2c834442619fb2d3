"""How trajectories are sampled, and what is made of their rewards."""

from dataclasses import dataclass

from harness.errors import ConfigError
from harness.parameters import check_above, check_fields, check_whole


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How trajectories are sampled, and what is made of their rewards.

    trajectories: of each task before each inner step, and after the last. discount: γ. gae_lambda: λ of generalised
    advantage estimation. baseline_regularisation: of the linear baseline's least squares. max_dropped: the largest
    share of a task's trajectories whose dynamics may break down.
    """

    trajectories: int = 20
    discount: float = 0.99
    gae_lambda: float = 1.0
    baseline_regularisation: float = 1e-5
    max_dropped: float = 0.25

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("Sampling.trajectories", self.trajectories, low=1)
        check_above("Sampling.baseline_regularisation", self.baseline_regularisation, 0)
        for name, open_end in (("discount", False), ("gae_lambda", False), ("max_dropped", True)):
            value = getattr(self, name)
            if not (0 <= value < 1 or (value == 1 and not open_end)):
                raise ConfigError(
                    f"Sampling.{name} must be a number from 0 to {'below ' * open_end}1; got {value}."
                )
