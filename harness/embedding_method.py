"""Methods that are trained, on episodes, by the read-out that they are tested with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.inner_loop import task_losses
from harness.learner import Learner
from harness.parameters import check_fields
from harness.read_out_method import ReadOutMethod
from harness.task_batch import equal_shapes

if TYPE_CHECKING:
    from harness.episode import Episode
    from harness.networks import Body


@dataclass(frozen=True, kw_only=True)
class EmbeddingMethod(ReadOutMethod):
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

    def init(self, body: Body, max_way: int) -> Learner:
        """A learner with a linear head, which stays as drawn."""
        return Learner(body, max_way)

    def outer_loss(self, learner: Learner, episodes: Sequence[Episode]) -> Tensor:
        """Mean over tasks of the mean cross-entropy of the queries."""
        batches = equal_shapes(episodes, learner.tasks_at_once)
        losses = [task_losses(self.logits(learner, batch, training=True), y) for batch, y in batches]
        return torch.cat(losses).mean()
