"""Methods that adapt nothing at test time: they compare the embeddings of the queries with those of the support set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.learner import Learner, embed
from harness.read_outs import cosine_weighted
from harness.task_batch import TaskBatch, stack

if TYPE_CHECKING:
    from harness.episode import Task


class ReadOutMethod:
    """A read-out of whatever its trainer has trained. A subclass says how it compares, in `compare`."""

    @property
    def adaptation_steps(self) -> int:
        """None are taken."""
        return 0

    def compare(self, learner: Learner, support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        """Logits [T, Q, n_way] of embeddings: support [T, S, D] with labels [T, S], query [T, Q, D]."""
        raise NotImplementedError

    def predict(self, learner: Learner, task: Task) -> Tensor:
        """Logits [n_query, n_way] of the queries."""
        return self.predict_batch(learner, [task])[0]

    @torch.no_grad()
    def predict_batch(self, learner: Learner, tasks: Sequence[Task]) -> Tensor:
        """Logits [T, n_query, n_way] of tasks of one shape, each by itself."""
        return self.logits(learner, stack(tasks), training=False)

    def logits(self, learner: Learner, batch: TaskBatch, *, training: bool) -> Tensor:
        """Logits [T, n_query, n_way] of a batch of tasks."""
        support, query = embed(learner, {}, batch, training=training)
        return self.compare(learner, support, batch.support_y, query, batch.n_way)


class CosineReadOut(ReadOutMethod):
    """The read-out of NIL: support labels weighted by cosine similarity, see `read_outs.cosine_weighted`."""

    def compare(self, learner: Learner, support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:  # noqa: ARG002
        """Summed cosine similarities to each class's support embeddings."""
        return cosine_weighted(support, labels, query, n_way)
