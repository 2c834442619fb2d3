"""BOIL, "body only update in inner loop": Oh et al. 2021 (arXiv 2008.08882), section 3."""

from dataclasses import dataclass

from harness.inner_loop_method import InnerLoopMethod
from harness.learner import LayerMask, Learner


@dataclass(frozen=True, kw_only=True)
class BOIL(InnerLoopMethod):
    """MAML whose inner loop changes the body and leaves the head: the opposite of ANIL.

    The outer loop trains all, the head included. The paper takes one inner step of rate 0.5 on a mean loss, in
    training and at test.
    """

    name: str = "boil"
    inner_lr: float = 0.5
    inner_steps: int = 1
    test_inner_steps: int | None = 1

    def adapted_layers(self, learner: Learner) -> LayerMask:
        """All but the head."""
        return frozenset(learner.body.layers)
