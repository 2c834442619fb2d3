"""k nearest neighbours, Meta-Dataset's k-NN baseline: Triantafillou et al. 2020 (arXiv 1903.03096), section 3."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.learner import Learner
from harness.method import Trainable
from harness.parameters import check_fields, check_whole
from harness.read_out_method import ReadOutMethod
from harness_methods.multiclass import Multiclass


@dataclass(frozen=True, kw_only=True)
class KNN(ReadOutMethod):
    """The classes of the k support images that are nearest to a query by cosine similarity, on `trainer`'s features.

    Meta-Dataset takes k = 1 and the cosine distance. The logit of a class is its share of the k neighbours; of
    several neighbours, a vote that would be a tie goes to the class of the nearest.
    """

    name: str = "knn"
    trainer: Trainable = field(default_factory=Multiclass)
    k: int = 1

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("KNN.k", self.k, low=1)

    def compare(self, learner: Learner, support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:  # noqa: ARG002
        """Shares of the neighbours; all support images are neighbours where there are no more than k."""
        similarity = F.normalize(query, dim=2) @ F.normalize(support, dim=2).mT
        k = min(self.k, support.shape[1])
        nearest = similarity.topk(k, dim=2).indices
        classes = F.one_hot(labels, n_way).to(similarity.dtype)
        votes = (
            classes[:, None]
            .expand(-1, query.shape[1], -1, -1)
            .gather(2, nearest[..., None].expand(-1, -1, -1, n_way))
        )
        # Each neighbour weighs a little more than all farther ones' surplus: never enough to change what is no tie.
        weights = 1 + 0.25 * 0.5 ** torch.arange(k, dtype=similarity.dtype, device=similarity.device)
        return (votes * weights[:, None]).sum(2) / k
