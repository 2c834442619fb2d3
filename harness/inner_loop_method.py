"""Methods that adapt by gradient steps on the support loss: what MAML and its kin share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.inner_loop import PLAIN, Rates, Variation, adapt, query_logits, task_losses
from harness.learner import LayerMask, Learner, Weights
from harness.parameters import check_above, check_fields, check_whole
from harness.task_batch import TaskBatch, equal_shapes, stack

if TYPE_CHECKING:
    from harness.episode import Episode, Task
    from harness.networks import Body


@dataclass(frozen=True, kw_only=True)
class InnerLoopMethod:
    """A method that adapts by gradient steps. A subclass has a `name`, and says which layers adapt if not all do.

    inner_lr, inner_steps: α and the number of steps while training. The loss is a *mean* over the support
    set; where a paper sums over n ways, its rate is n times smaller than the equal rate here. The defaults
    are the ANIL paper's for miniImageNet, 5 ways (0.01 on the sum).
    test_inner_lr, test_inner_steps: the same at test time; None for the training values.
    first_order: leave out the second derivatives. inner_gradient_clip: None, or the largest absolute value of
    an inner gradient's element.
    """

    name: str
    inner_lr: float = 0.05
    inner_steps: int = 5
    test_inner_lr: float | None = None
    test_inner_steps: int | None = 10
    first_order: bool = False
    inner_gradient_clip: float | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        plugin = type(self).__name__
        for name in ("inner_steps", "test_inner_steps"):
            if (value := getattr(self, name)) is not None:
                check_whole(f"{plugin}.{name}", value, low=0)
        for name in ("inner_lr", "test_inner_lr", "inner_gradient_clip"):
            check_above(f"{plugin}.{name}", getattr(self, name), 0)

    def adapted_layers(self, learner: Learner) -> LayerMask:
        """The layers the inner loop changes: all of them, unless a subclass says otherwise."""
        return frozenset(learner.layers)

    def rate(self, learner: Learner, *, training: bool) -> float | Rates:  # noqa: ARG002
        """How long the steps are."""
        return self.inner_lr if training or self.test_inner_lr is None else self.test_inner_lr

    def start(self, learner: Learner, batch: TaskBatch, *, training: bool) -> Weights:  # noqa: ARG002
        """Each task's weights before the first step, where they are not the learner's stored ones."""
        return {}

    @property
    def pull(self) -> float:
        """λ of the pull back to the initialisation, see `inner_loop.adapt`; none."""
        return 0.0

    @property
    def trainer(self) -> InnerLoopMethod:
        """The method itself."""
        return self

    @property
    def adaptation_steps(self) -> int:
        """Inner steps at test time."""
        return self.inner_steps if self.test_inner_steps is None else self.test_inner_steps

    def init(self, body: Body, max_way: int) -> Learner:
        """A learner with a linear head."""
        return Learner(body, max_way)

    def outer_loss(self, learner: Learner, episodes: Sequence[Episode]) -> Tensor:
        """Mean over tasks of the query loss after adaptation (Finn et al. 2017, eq. 2)."""
        losses = []
        for batch, query_y in equal_shapes(episodes, learner.tasks_at_once):
            weights = self.steps(learner, batch, self.inner_steps, training=True)
            logits = query_logits(learner, weights, batch, training=True)
            losses.append(task_losses(logits, query_y))
        return torch.cat(losses).mean()

    def steps(
        self,
        learner: Learner,
        batch: TaskBatch,
        count: int,
        *,
        training: bool,
        mask: LayerMask | None = None,
        graph: bool | None = None,
        rate: Rates | None = None,
        start: Weights | None = None,
        variation: Variation = PLAIN,
    ) -> Weights:
        """The weights after `count` inner steps of this method, see `inner_loop.adapt`; None for the method's own.

        graph: None for that of second-order outer gradients in training, unless `first_order`.
        """
        return adapt(
            learner,
            batch,
            self.adapted_layers(learner) if mask is None else mask,
            steps=count,
            rate=self.rate(learner, training=training) if rate is None else rate,
            graph=training and not self.first_order if graph is None else graph,
            training=training,
            clip=self.inner_gradient_clip,
            start=self.start(learner, batch, training=training) if start is None else start,
            proximal=self.pull,
            variation=variation,
        )

    def adapt(
        self,
        learner: Learner,
        task: Task,
        *,
        adapted: LayerMask | None = None,
        variation: Variation = PLAIN,
    ) -> Weights:
        """The weights after test-time adaptation to one task, [1, ...] each; `adapted` overrides the mask."""
        return self._adapted(learner, stack([task]), adapted, variation)

    def _adapted(
        self, learner: Learner, batch: TaskBatch, mask: LayerMask | None, variation: Variation = PLAIN
    ) -> Weights:
        with torch.enable_grad():
            weights = self.steps(
                learner, batch, self.adaptation_steps, training=False, mask=mask, variation=variation
            )
        return {name: weight.detach() for name, weight in weights.items()}

    def predict(self, learner: Learner, task: Task) -> Tensor:
        """Adapt to the support set, then logits [n_query, n_way] of the queries."""
        with torch.no_grad():
            return query_logits(learner, self.adapt(learner, task), stack([task]), training=False)[0]

    @torch.no_grad()
    def predict_batch(self, learner: Learner, tasks: Sequence[Task]) -> Tensor:
        """Logits [T, n_query, n_way] of tasks of one shape, each by itself."""
        batch = stack(tasks)
        return query_logits(learner, self._adapted(learner, batch, None), batch, training=False)
