"""What all methods that adapt by gradient steps on the support loss share, at test time and in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.inner_loop import PLAIN, Minibatches, Rates, Variation, adapt, query_logits
from harness.learner import LayerMask, Learner, Weights
from harness.step_directions import Direction
from harness.task_batch import TaskBatch, stack

if TYPE_CHECKING:
    from harness.episode import Task


class GradientAdaptation:
    """Adapts by gradient steps. A subclass has a `name` and a `trainer`, and says how many steps of what length.

    Its hooks say what differs from plain steps on all layers.
    """

    inner_gradient_clip: float | None = None
    """None, or the largest absolute value of an inner gradient's element."""

    @property
    def adaptation_steps(self) -> int:
        """Inner steps at test time."""
        raise NotImplementedError

    def n_steps(self, batch: TaskBatch) -> int:  # noqa: ARG002
        """Steps at test time on these tasks, where their number depends on the support set."""
        return self.adaptation_steps

    def rate(self, learner: Learner, *, training: bool) -> float | Rates:
        """How long the steps are."""
        raise NotImplementedError

    def adapted_layers(self, learner: Learner) -> LayerMask:
        """The layers the inner loop changes: all of them, unless a subclass says otherwise."""
        return frozenset(learner.layers)

    def start(self, learner: Learner, batch: TaskBatch, *, training: bool) -> Weights:  # noqa: ARG002
        """Each task's weights before the first step, where they are not the learner's stored ones."""
        return {}

    def direction(self, learner: Learner) -> Direction | None:  # noqa: ARG002
        """Where the steps go, anew for each adaptation; None for straight down the gradient."""
        return None

    def minibatches(self, batch: TaskBatch) -> Minibatches | None:  # noqa: ARG002
        """The images of each step at test, the same every time; None for the whole support set."""
        return None

    @property
    def pull(self) -> float:
        """λ of the pull back to the initialisation, see `inner_loop.adapt`; none."""
        return 0.0

    def steps(
        self,
        learner: Learner,
        batch: TaskBatch,
        count: int,
        *,
        training: bool,
        graph: bool,
        mask: LayerMask | None = None,
        rate: Rates | None = None,
        start: Weights | None = None,
        direction: Direction | None = None,
        minibatches: Minibatches | None = None,
        variation: Variation = PLAIN,
    ) -> Weights:
        """The weights after `count` inner steps of this method, see `inner_loop.adapt`; None for the method's own."""
        return adapt(
            learner,
            batch,
            self.adapted_layers(learner) if mask is None else mask,
            steps=count,
            rate=self.rate(learner, training=training) if rate is None else rate,
            graph=graph,
            training=training,
            clip=self.inner_gradient_clip,
            start=self.start(learner, batch, training=training) if start is None else start,
            proximal=self.pull,
            direction=self.direction(learner) if direction is None else direction,
            minibatches=self.minibatches(batch) if minibatches is None else minibatches,
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
                learner,
                batch,
                self.n_steps(batch),
                training=False,
                graph=False,
                mask=mask,
                variation=variation,
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
