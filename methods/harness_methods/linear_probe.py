"""A linear probe, logistic regression on frozen features: Tian et al. 2020 (arXiv 2003.11539), section 3."""

from dataclasses import dataclass, field

from torch import Tensor

from harness.learner import Learner
from harness.method import Trainable
from harness.parameters import check_fields
from harness.read_out_method import ReadOutMethod
from harness.read_outs import linear_probe
from harness_methods.multiclass import Multiclass


@dataclass(frozen=True, kw_only=True)
class LinearProbe(ReadOutMethod):
    """Logistic regression fitted to each task's support features of unit length, on `trainer`'s features.

    Its one minimum is found, see `read_outs.linear_probe`, so nothing depends on a rate or a number of steps.
    """

    name: str = "linear_probe"
    trainer: Trainable = field(default_factory=Multiclass)

    def __post_init__(self) -> None:
        check_fields(self)

    def compare(self, learner: Learner, support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:  # noqa: ARG002
        """Logits of the fitted regression."""
        return linear_probe(support, labels, query, n_way)
