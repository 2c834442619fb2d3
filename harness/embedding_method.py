"""Methods that adapt nothing: they embed the support set and the queries, and compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.inner_loop import task_losses
from harness.learner import Learner, embed
from harness.parameters import check_fields
from harness.task_batch import TaskBatch, equal_shapes, stack

if TYPE_CHECKING:
    from harness.episode import Episode, Task
    from harness.networks import Body


@dataclass(frozen=True, kw_only=True)
class EmbeddingMethod:
    """A method that compares embeddings. A subclass has a `name` and says how, in `compare`.

    Its learner's head is not used. Trained on the mean cross-entropy of the queries' logits.
    """

    name: str

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def trainer(self) -> EmbeddingMethod:
        """The method itself."""
        return self

    @property
    def adaptation_steps(self) -> int:
        """None are taken."""
        return 0

    def init(self, body: Body, max_way: int) -> Learner:
        """A learner with a linear head, which stays as drawn."""
        return Learner(body, max_way)

    def compare(self, learner: Learner, support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        """Logits [T, Q, n_way] of embeddings: support [T, S, D] with labels [T, S], query [T, Q, D]."""
        raise NotImplementedError

    def outer_loss(self, learner: Learner, episodes: Sequence[Episode]) -> Tensor:
        """Mean over tasks of the mean cross-entropy of the queries."""
        batches = equal_shapes(episodes, learner.tasks_at_once)
        losses = [task_losses(self._logits(learner, batch, training=True), y) for batch, y in batches]
        return torch.cat(losses).mean()

    def predict(self, learner: Learner, task: Task) -> Tensor:
        """Logits [n_query, n_way] of the queries."""
        return self.predict_batch(learner, [task])[0]

    @torch.no_grad()
    def predict_batch(self, learner: Learner, tasks: Sequence[Task]) -> Tensor:
        """Logits [T, n_query, n_way] of tasks of one shape, each by itself."""
        return self._logits(learner, stack(tasks), training=False)

    def _logits(self, learner: Learner, batch: TaskBatch, *, training: bool) -> Tensor:
        support, query = embed(learner, {}, batch, training=training)
        return self.compare(learner, support, batch.support_y, query, batch.n_way)
