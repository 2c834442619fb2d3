"""Ways to tell a task's classes apart from features alone: what is a body worth without the head it was trained with?

All take features of the support set [T, S, D] with labels [T, S] and of the queries [T, Q, D], and give logits
[T, Q, n_way], task by task.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.logistic_regression import fitted

PENALTY = 1.0
"""Of a linear probe: half of it times the squared weights joins the sum of the losses."""


def cosine_weighted(support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:
    """Support labels weighted by cosine similarity, as in Matching Networks (Vinyals et al. 2016, eq. 1, no softmax).

    logit of class c = Σ_{i: y_i = c} cos(f(x), f(x_i)). The read-out of NIL (Raghu et al. 2020, section 5).
    """
    similarity = F.normalize(query, dim=2) @ F.normalize(support, dim=2).mT
    return similarity @ F.one_hot(labels, n_way).to(similarity.dtype)


def nearest_centroid(support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:
    """Minus the squared distance to each class's mean support feature (Snell et al. 2017, eq. 2)."""
    members = F.one_hot(labels, n_way).to(support.dtype).mT
    centroids = members @ support / members.sum(2, keepdim=True)
    return -torch.cdist(query, centroids, compute_mode="donot_use_mm_for_euclid_dist").square()


def linear_probe(support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:
    """Multinomial logistic regression on features of unit length, fitted to each task's support set.

    The minimum over W and b of Σ_i cross-entropy(W f_i + b, y_i) + PENALTY / 2 · ‖W‖²; b is free. Unit length makes
    the penalty mean the same for every network. Computed in float64.
    """
    each = zip(support.double(), labels, query.double(), strict=True)
    return torch.stack([_fitted(*task, n_way) for task in each]).to(query.dtype)


def _fitted(support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:
    """Logits [Q, n_way] of one task.

    W lies in the span of the support features, so it is found there: S coordinates instead of D.
    """
    basis = torch.linalg.qr(F.normalize(support, dim=1).mT).Q
    known, asked = (F.normalize(x, dim=1) @ basis for x in (support, query))
    weight, bias, _ = fitted(known, labels, n_way, PENALTY / len(known))
    return F.linear(asked, weight, bias)
