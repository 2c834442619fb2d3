"""No adaptation: the control that is trained for all tasks at once and changes for none of them."""

from dataclasses import dataclass

from harness.errors import ConfigError
from harness.inner_loop_method import InnerLoopMethod
from harness.learner import LayerMask, Learner


@dataclass(frozen=True, kw_only=True)
class NoAdaptation(InnerLoopMethod):
    """An inner loop that changes no layer, in training and at test: what adaptation has to beat on control tasks.

    Of images it could not even know which class is which. Raises ConfigError if steps are asked of it: they would
    change nothing but the run's id and what `harness plan` estimates.
    """

    name: str = "no_adaptation"
    inner_steps: int = 0
    test_inner_steps: int | None = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("inner_steps", "test_inner_steps", "first_order"):
            if value := getattr(self, name):
                raise ConfigError(
                    f"NoAdaptation takes no inner steps: leave {name} alone, or set it to {type(value)()}; got {value}."
                )

    def adapted_layers(self, learner: Learner) -> LayerMask:  # noqa: ARG002
        """None."""
        return frozenset()
