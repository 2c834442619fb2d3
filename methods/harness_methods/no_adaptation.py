"""No adaptation: the control that is trained for all tasks at once and changes for none of them."""

from dataclasses import dataclass

from harness.inner_loop_method import InnerLoopMethod
from harness.learner import LayerMask, Learner


@dataclass(frozen=True, kw_only=True)
class NoAdaptation(InnerLoopMethod):
    """An inner loop that changes no layer, in training and at test: what adaptation has to beat on control tasks.

    Of images it could not even know which class is which.
    """

    name: str = "no_adaptation"
    inner_steps: int = 0
    test_inner_steps: int | None = 0

    def adapted_layers(self, learner: Learner) -> LayerMask:  # noqa: ARG002
        """None."""
        return frozenset()
