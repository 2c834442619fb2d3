"""Prototypical Networks: Snell, Swersky & Zemel 2017 (arXiv 1703.05175), equations 1 and 2."""

from dataclasses import dataclass

from torch import Tensor

from harness.embedding_method import EmbeddingMethod
from harness.learner import Learner
from harness.read_outs import nearest_centroid


@dataclass(frozen=True, kw_only=True)
class ProtoNet(EmbeddingMethod):
    """The class whose mean support embedding is nearest: softmax over minus squared Euclidean distances."""

    name: str = "proto_net"

    def compare(self, learner: Learner, support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:  # noqa: ARG002
        """Minus squared distances to the prototypes."""
        return nearest_centroid(support, labels, query, n_way)
