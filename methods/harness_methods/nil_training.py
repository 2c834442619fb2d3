"""NIL training: Raghu et al. 2020 (arXiv 1909.09157), section 5, the regime without a head from the start."""

from dataclasses import dataclass

from torch import Tensor

from harness.embedding_method import EmbeddingMethod
from harness.learner import Learner
from harness.read_outs import cosine_weighted


@dataclass(frozen=True, kw_only=True)
class NILTraining(EmbeddingMethod):
    """Train by the read-out that NIL is tested with: no head and no inner loop, in training and at test.

    The logits are sums of cosine similarities, as NIL's are, without a temperature: at 1 shot they lie in [-1, 1],
    so the loss cannot come near zero.
    """

    name: str = "nil_training"

    def compare(self, learner: Learner, support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:  # noqa: ARG002
        """Summed cosine similarities to each class's support embeddings."""
        return cosine_weighted(support, labels, query, n_way)
