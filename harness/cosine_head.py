"""A last layer that tells classes apart by the angle to a vector of each: Chen et al. 2019 (arXiv 1904.04232)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LINEAR, COSINE = "linear", "cosine"
"""Kinds of classifiers: `layers.Head`, and `CosineHead`."""


class CosineHead(nn.Module):
    """Logit of class c: `scale` · cos(f, w_c), for one vector w_c of each of up to `max_way` classes, no bias.

    Drawn and cut to an episode's ways as `layers.Head` is.
    """

    def __init__(self, features: int, max_way: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.Linear(features, max_way).weight.detach().clone())
        self.scale = scale

    def forward(self, features: Tensor, n_way: int) -> Tensor:
        """Features [T, N, D] -> logits [T, N, n_way]; weights shared, or [T, max_way, D]."""
        vectors = F.normalize(self.weight[..., :n_way, :], dim=-1)
        cosines: Tensor = torch.matmul(F.normalize(features, dim=-1), vectors.mT)
        return self.scale * cosines
