"""NIL, "no inner loop": Raghu et al. 2020 (arXiv 1909.09157), section 5."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.episode import Episode, Task
from harness.learner import Learner, embed
from harness.method import Method
from harness.networks import Body
from harness.parameters import check_fields
from harness.read_outs import cosine_weighted
from harness.task_batch import stack
from harness_methods.anil import ANIL


@dataclass(frozen=True, kw_only=True)
class NIL:
    """Train as `trainer` does (ANIL by default); at test drop the head and adapt nothing.

    A query's cosine similarities to the support embeddings weight the support labels, as in Matching Networks
    (Vinyals et al. 2016, eq. 1, without the softmax): logit of class c = Σ_{i: y_i = c} cos(f(x), f(x_i)).
    """

    name: str = "nil"
    trainer: Method = field(default_factory=ANIL)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def adaptation_steps(self) -> int:
        """None are taken."""
        return 0

    def init(self, body: Body, max_way: int) -> Learner:
        """The trainer's learner."""
        return self.trainer.init(body, max_way)

    def outer_loss(self, learner: Learner, episodes: Sequence[Episode]) -> Tensor:
        """The trainer's loss."""
        return self.trainer.outer_loss(learner, episodes)

    def predict(self, learner: Learner, task: Task) -> Tensor:
        """Summed cosine similarities to each class's support embeddings, [n_query, n_way]."""
        return self.predict_batch(learner, [task])[0]

    @torch.no_grad()
    def predict_batch(self, learner: Learner, tasks: Sequence[Task]) -> Tensor:
        """The same of tasks of one shape, [T, n_query, n_way]."""
        batch = stack(tasks)
        support, query = embed(learner, {}, batch, training=False)
        return cosine_weighted(support, batch.support_y, query, batch.n_way)
