"""R2-D2, ridge regression in closed form: Bertinetto et al. 2019 (arXiv 1805.08136), section 3.2."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.embedding_method import EmbeddingMethod
from harness.learner import Learner
from harness.networks import Body
from harness.parameters import check_above


class RidgeLearner(Learner):
    """A learner with the three numbers that ridge regression learns: the penalty λ, and scale α and shift β.

    The logarithms of λ and α are stored, so both stay positive.
    """

    def __init__(self, body: Body, max_way: int, penalty: float) -> None:
        super().__init__(body, max_way)
        self.log_penalty = nn.Parameter(torch.tensor(math.log(penalty)))
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.shift = nn.Parameter(torch.zeros(()))


@dataclass(frozen=True, kw_only=True)
class R2D2(EmbeddingMethod):
    """A ridge regression of the one-hot labels on the support embeddings, differentiated through.

    With X [S, D] the support embeddings and Y [S, n_way] their labels, W = Xᵀ (X Xᵀ + λ I)⁻¹ Y (by Woodbury's
    identity), and the logits of a query x are α x W + β. A last column of ones makes a bias.
    penalty: λ at the start, ours; learned, as α and β, which start at 1 and 0, are. The authors' code divides X and Y
    by the root of the number of images, so that λ counts more the more there are, from 50 and unlearned.
    """

    name: str = "r2d2"
    penalty: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_above("R2D2.penalty", self.penalty, 0)

    def init(self, body: Body, max_way: int) -> RidgeLearner:
        """A learner with λ, α and β."""
        return RidgeLearner(body, max_way, self.penalty)

    def compare(self, learner: Learner, support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        """Scaled and shifted predictions of the regression."""
        assert isinstance(learner, RidgeLearner)
        x, asked = (F.pad(features, (0, 1), value=1.0) for features in (support, query))
        targets = F.one_hot(labels, n_way).to(x.dtype)
        kernel = x @ x.mT + learner.log_penalty.exp() * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        predicted = asked @ x.mT @ torch.linalg.solve(kernel, targets)
        logits: Tensor = learner.log_scale.exp() * predicted + learner.shift
        return logits
