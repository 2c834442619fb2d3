"""Reptile: Nichol, Achiam & Schulman 2018 (arXiv 1803.02999), algorithm 2."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.conv_parts import joined
from harness.episode import Episode
from harness.inner_loop import query_logits, task_losses
from harness.inner_loop_method import InnerLoopMethod
from harness.learner import Learner, Weights
from harness.parameters import check_whole
from harness.surrogate import with_gradient
from harness.task_batch import TaskBatch, equal_shapes


@dataclass(frozen=True, kw_only=True)
class Reptile(InnerLoopMethod):
    """Move the initialisation towards the weights that a few steps of SGD on a task's images reach.

    The outer gradient is the mean over tasks of θ - W (section 2), given to the outer optimiser. In training a task is
    all of its images, support and queries: each step is on `inner_batch` of them, drawn anew. Reptile learns from the
    differences between its minibatches (section 5), so steps on all images at once would teach it less. At test the
    steps are on the whole support set. Unlike the authors' code: batch-norm offsets, which the inner loop leaves alone,
    stay as they began; inner steps are of SGD, where theirs are of Adam; the outer optimiser is that of all methods
    here, where theirs moves by a falling share of the way. Each may cost accuracy.
    """

    unshared: ClassVar[str] = (
        "draws the minibatches of its inner steps for all tasks of a meta-batch together"
    )

    name: str = "reptile"
    inner_lr: float = 0.1
    inner_steps: int = 5
    test_inner_steps: int | None = 50
    inner_batch: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("Reptile.inner_batch", self.inner_batch, low=1)
        check_whole("Reptile.inner_steps", self.inner_steps, low=1)

    def outer_loss(self, learner: Learner, episodes: Sequence[Episode]) -> Tensor:
        """Its value is the mean query loss after the inner steps, its gradient the mean of θ - W."""
        stored = learner.adaptable(self.adapted_layers(learner))
        away = {name: torch.zeros_like(parameter) for name, parameter in stored.items()}
        losses = []
        for batch, query_y in equal_shapes(episodes, learner.tasks_at_once):
            weights = self._trained(learner, batch, query_y)
            with torch.no_grad():
                losses.append(task_losses(query_logits(learner, weights, batch, training=True), query_y))
                for name, parameter in stored.items():
                    away[name] += (parameter - weights[name]).sum(0) / len(episodes)
        return with_gradient(torch.cat(losses).mean(), {stored[name]: gone for name, gone in away.items()})

    def _trained(self, learner: Learner, batch: TaskBatch, query_y: Tensor) -> Weights:
        """Each task's weights after `inner_steps` steps on minibatches of its images."""
        x = torch.cat([batch.support_x, batch.query_x], dim=1)
        y = torch.cat([batch.support_y, query_y], dim=1)
        weights: Weights = {}
        for _ in range(self.inner_steps):
            chosen = torch.randperm(x.shape[1])[: self.inner_batch].to(x.device)
            some = TaskBatch(
                support_x=joined(list(x[:, chosen])),
                support_y=y[:, chosen],
                query_x=batch.query_x,
                n_way=batch.n_way,
            )
            weights = self.steps(learner, some, 1, training=True, graph=False, start=weights)
            weights = {name: weight.detach() for name, weight in weights.items()}
        return weights
