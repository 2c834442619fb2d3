"""Matching Networks: Vinyals et al. 2016 (arXiv 1606.04080), section 2.1 and appendix A."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.embedding_method import EmbeddingMethod
from harness.learner import Learner
from harness.networks import Body
from harness.parameters import check_whole


class ContextLearner(Learner):
    """A learner that also embeds each image in the context of the support set ("full context embeddings").

    support: a bidirectional LSTM over the support set, g(x_i) = h→_i + h←_i + g'(x_i). query: an LSTM that reads the
    support set by attention (appendix A.1 and A.2).
    """

    def __init__(self, body: Body, max_way: int) -> None:
        super().__init__(body, max_way)
        size = body.out_features
        self.support_context = nn.LSTM(size, size, batch_first=True, bidirectional=True)
        self.query_context = nn.LSTMCell(2 * size, size)

    def in_context(self, support: Tensor, query: Tensor, reads: int) -> tuple[Tensor, Tensor]:
        """Embeddings [T, S, D] and [T, Q, D] once more, of the same shapes."""
        both, _ = self.support_context(support)
        forward, backward = both.chunk(2, dim=2)
        support = support + forward + backward
        hidden, cell = torch.zeros_like(query), torch.zeros_like(query)
        for _ in range(reads):
            # The paper's LSTM sees f'(x), h and the read-out r: r stands beside f'(x), whose weights are its own.
            read = (hidden @ support.mT).softmax(2) @ support
            state = hidden.flatten(0, 1), cell.flatten(0, 1)
            out, memory = self.query_context(torch.cat([query, read], dim=2).flatten(0, 1), state)
            hidden, cell = out.view_as(query) + query, memory.view_as(query)
        return support, hidden


@dataclass(frozen=True, kw_only=True)
class MatchingNet(EmbeddingMethod):
    """Attention over the support labels: P(y | x) = Σ_i a(x, x_i) y_i (equation 1), a the softmax of cosines.

    exact_cosine_distance: as in the paper; else the queries keep their length, which learns far faster, since the
    softmax of cosines, all within -1 and 1, is nearly flat. Meta-Dataset's code has it so, and says that it matters.
    full_context: embed in the context of the support set, whose order then matters. reads: how often a query reads
    the support set; the paper's K.
    """

    name: str = "matching_net"
    exact_cosine_distance: bool = True
    full_context: bool = False
    reads: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("MatchingNet.reads", self.reads, low=1)

    def init(self, body: Body, max_way: int) -> Learner:
        """A learner, with LSTMs where the context is to count."""
        return ContextLearner(body, max_way) if self.full_context else Learner(body, max_way)

    def compare(self, learner: Learner, support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        """Logarithms of the classes' shares of the attention."""
        if isinstance(learner, ContextLearner):
            support, query = learner.in_context(support, query, self.reads)
        if self.exact_cosine_distance:
            query = F.normalize(query, dim=2)
        attention = (query @ F.normalize(support, dim=2).mT).log_softmax(2)
        members = F.one_hot(labels, n_way).to(attention.dtype).log()  # 0, or -inf for images of other classes
        return (attention.unsqueeze(3) + members.unsqueeze(1)).logsumexp(2)
