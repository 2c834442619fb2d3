"""Random features: Raghu et al. 2020 (arXiv 1909.09157), section 5, the regime without training."""

from dataclasses import dataclass
from typing import Literal

from harness.learner import Learner
from harness.networks import Body
from harness.parameters import check_fields
from harness.read_out_method import CosineReadOut


@dataclass(frozen=True, kw_only=True)
class RandomFeatures(CosineReadOut):
    """The body as drawn, read out as NIL does: what any training has to beat."""

    name: str = "random_features"

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def untrained(self) -> Literal[True]:
        """No update is made."""
        return True

    @property
    def trainer(self) -> "RandomFeatures":
        """The method itself."""
        return self

    def init(self, body: Body, max_way: int) -> Learner:
        """A learner with a linear head, which is not used."""
        return Learner(body, max_way)
