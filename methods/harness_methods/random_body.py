"""Random features under a head that is meta-trained: the control of ANIL whose body learns nothing."""

from dataclasses import dataclass

from harness.learner import Learner
from harness_methods.anil import ANIL


@dataclass(frozen=True, kw_only=True)
class RandomBody(ANIL):
    """ANIL on a body that stays as it was drawn: the outer loop trains the head, which the inner loop adapts."""

    name: str = "random_body"

    def prepare(self, learner: Learner) -> None:
        """Leave the body out of training."""
        learner.body.requires_grad_(False)
