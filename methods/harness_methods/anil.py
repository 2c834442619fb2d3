"""ANIL, "almost no inner loop": Raghu et al. 2020 (arXiv 1909.09157), section 4."""

from dataclasses import dataclass

from harness.inner_loop_method import InnerLoopMethod
from harness.learner import HEAD, LayerMask, Learner


@dataclass(frozen=True, kw_only=True)
class ANIL(InnerLoopMethod):
    """MAML whose inner loop changes the head only, in training and at test; the outer loop trains all."""

    name: str = "anil"

    def adapted_layers(self, learner: Learner) -> LayerMask:  # noqa: ARG002
        """The head."""
        return frozenset({HEAD})
