"""NIL, "no inner loop": Raghu et al. 2020 (arXiv 1909.09157), section 5."""

from dataclasses import dataclass, field

from harness.method import Trainable
from harness.parameters import check_fields
from harness.read_out_method import CosineReadOut
from harness_methods.anil import ANIL


@dataclass(frozen=True, kw_only=True)
class NIL(CosineReadOut):
    """Train as `trainer` does (ANIL by default); at test drop the head and adapt nothing.

    A query's cosine similarities to the support embeddings weight the support labels, as in Matching Networks
    (Vinyals et al. 2016, eq. 1, without the softmax): logit of class c = Σ_{i: y_i = c} cos(f(x), f(x_i)). The paper's
    table of training regimes is this read-out on each `trainer`: MAML, ANIL, Multiclass, Multitask, RandomFeatures and
    NILTraining.
    """

    name: str = "nil"
    trainer: Trainable = field(default_factory=ANIL)

    def __post_init__(self) -> None:
        check_fields(self)
