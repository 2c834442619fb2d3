"""Methods that are trained through the gradient steps that they adapt by: what MAML and its kin share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.gradient_adaptation import GradientAdaptation
from harness.inner_loop import Rates, query_logits, task_losses
from harness.learner import Learner
from harness.parameters import check_above, check_fields, check_whole
from harness.task_batch import equal_shapes

if TYPE_CHECKING:
    from harness.episode import Episode
    from harness.networks import Body


@dataclass(frozen=True, kw_only=True)
class InnerLoopMethod(GradientAdaptation):
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

    def rate(self, learner: Learner, *, training: bool) -> float | Rates:  # noqa: ARG002
        """How long the steps are."""
        return self.inner_lr if training or self.test_inner_lr is None else self.test_inner_lr

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
        learner = Learner(body, max_way)
        self.prepare(learner)
        return learner

    def prepare(self, learner: Learner) -> None:
        """What is done to a learner that was just drawn: nothing. Parameters without `requires_grad` stay as drawn."""

    def outer_loss(self, learner: Learner, episodes: Sequence[Episode]) -> Tensor:
        """Mean over tasks of the query loss after adaptation (Finn et al. 2017, eq. 2)."""
        losses = []
        for batch, query_y in equal_shapes(episodes, learner.tasks_at_once):
            weights = self.steps(learner, batch, self.inner_steps, training=True, graph=not self.first_order)
            logits = query_logits(learner, weights, batch, training=True)
            losses.append(task_losses(logits, query_y))
        return torch.cat(losses).mean()
