"""The one inner loop: gradient steps on the support loss, for the layers a mask names.

MAML is the mask of all layers, ANIL the head alone, a freezing experiment anything between. With L_S the mean
cross-entropy over a task's support set, each step is (Finn et al. 2017, eq. 1; Raghu et al. 2020, section 2)

    θ_{i+1} = θ_i - α ∇_{θ_i} L_S(θ_i)        on the adapted layers; the others stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.head_gradients import has_linear_head, linear_head_gradients
from harness.learner import LayerMask, Learner, Weights, query_features, support_statistics
from harness.parameters import check_above, check_fields, check_whole
from harness.task_batch import TaskBatch, equal_shapes, stack

if TYPE_CHECKING:
    from harness.episode import Episode, Task
    from harness.networks import Body


@dataclass(frozen=True, kw_only=True)
class InnerStep:
    """One inner step as it was taken.

    number: from 1. before, after: the adapted weights, [T, ...] each. gradients: of each task's support loss at
    `before`, not clipped, under the same names. Without graphs.
    """

    number: int
    before: Weights
    gradients: Weights
    after: Weights


Rates = Callable[[int], Mapping[str, Tensor]]
"""The number of an inner step, from 1 -> the rate of each adapted weight, as one number or one an element."""

Multipliers = Callable[[Weights, Weights], Mapping[str, Tensor]]
"""(weights, clipped gradients) -> factors on the rate in this step, [T], by weight; 1 for those not named."""


@dataclass(frozen=True, kw_only=True)
class Variation:
    """In what an inner loop departs from the plain one, and who watches it.

    multipliers: None for the rate as it is. observe: called after each step. initial: weights [T, ...] to begin with
    in place of the stored ones; of adapted layers only.
    """

    multipliers: Multipliers | None = None
    observe: Callable[[InnerStep], None] | None = None
    initial: Weights = field(default_factory=dict)


PLAIN = Variation()


def adapt(
    learner: Learner,
    batch: TaskBatch,
    mask: LayerMask,
    *,
    steps: int,
    rate: float | Rates,
    graph: bool,
    training: bool,
    clip: float | None = None,
    start: Weights = MappingProxyType({}),
    variation: Variation = PLAIN,
) -> Weights:
    """The weights after `steps` inner steps of length `rate` on each task of the batch.

    Args:
        mask: the layers that change; the body below the first of them runs once only.
        start: each task's own weights before the first step, [T, ...] each, in place of the stored ones; of the
            head, which may be fixed, and of layers that change. All of them are returned.
        graph: keep the graph of the steps themselves, for second-order outer gradients. Without it the steps
            are constants to the outer loss: first-order MAML.
        training: whether the outer loop is training (concerns the `running` batch-norm policy only).
        clip: inner gradients are cut to [-clip, clip], element by element.
    """
    first = learner.first_adapted(mask)
    statistics = support_statistics(learner, training=training)
    with torch.set_grad_enabled(
        training and torch.is_grad_enabled()
    ):  # at test nothing below is differentiated
        below = learner.body(batch.support_x, statistics, 0, first)
    weights = _initial(learner, mask, len(below), start, variation)
    fixed = {name: weight for name, weight in start.items() if name not in weights}
    step = partial(_step, rate=rate, clip=clip, variation=variation)
    steps = steps if weights else 0
    if first < len(learner.body.layers):
        for number in range(1, steps + 1):
            features = learner.features({**fixed, **weights}, below, statistics, first)
            gradients = _gradients(learner, weights, fixed, features, batch, graph=graph)
            del features  # with its graph, which the next step needs no more
            weights = step(number, weights, gradients)
        return {**fixed, **weights}
    with torch.set_grad_enabled(training and torch.is_grad_enabled()):
        features = learner.features({}, below, statistics, first)
    for number in range(1, steps + 1):
        if has_linear_head(learner):
            gradients = linear_head_gradients(learner, weights, features, batch, graph=graph)
        else:
            gradients = _gradients(learner, weights, fixed, features, batch, graph=graph)
        weights = step(number, weights, gradients)
    return {**fixed, **weights}


def _initial(
    learner: Learner, mask: LayerMask, tasks: int, start: Weights, variation: Variation
) -> dict[str, Tensor]:
    """The adapted weights before the first step. Raises ValueError for initial ones of a layer that does not adapt."""
    stored = learner.adaptable(mask)
    foreign = set(variation.initial) - set(stored)
    if foreign:
        raise ValueError(
            f"Initial weights {sorted(foreign)} are of no adapted layer; adapted: {sorted(mask)}."
        )
    weights = {
        name: parameter.unsqueeze(0).expand(tasks, *parameter.shape) for name, parameter in stored.items()
    }
    own = {name: w for name, w in start.items() if name in stored}
    # Gradients are taken by these tensors, so those given must be able to have one.
    given = {
        name: w if w.requires_grad else w.detach().requires_grad_()
        for name, w in {**own, **variation.initial}.items()
    }
    return {**weights, **given}


def _gradients(
    learner: Learner, weights: Weights, fixed: Weights, features: Tensor, batch: TaskBatch, *, graph: bool
) -> list[Tensor]:
    """Of each task's support loss by its own weights, in their order."""
    # A sum over tasks of means over images: each task's weights get the gradient of its own mean loss.
    loss = task_losses(learner.logits({**fixed, **weights}, features, batch.n_way), batch.support_y).sum()
    return list(torch.autograd.grad(loss, list(weights.values()), create_graph=graph))


def _step(
    number: int,
    weights: Weights,
    gradients: Sequence[Tensor],
    *,
    rate: float | Rates,
    clip: float | None,
    variation: Variation,
) -> dict[str, Tensor]:
    raw = dict(zip(weights, gradients, strict=True))
    used = raw if clip is None else {name: g.clamp(-clip, clip) for name, g in raw.items()}
    factors = {} if variation.multipliers is None else variation.multipliers(weights, used)
    moves = {name: _scaled(g, factors[name]) if name in factors else g for name, g in used.items()}
    if callable(rate):
        rates = rate(number)
        after = {name: weight - rates[name] * moves[name] for name, weight in weights.items()}
    else:
        after = {name: torch.sub(weight, moves[name], alpha=rate) for name, weight in weights.items()}
    if variation.observe is not None:
        before, slopes, reached = (
            {name: t.detach() for name, t in each.items()} for each in (weights, raw, after)
        )
        variation.observe(InnerStep(number=number, before=before, gradients=slopes, after=reached))
    return after


def _scaled(gradient: Tensor, factor: Tensor) -> Tensor:
    """A gradient [T, ...] times a factor a task [T]."""
    return gradient * factor.view(-1, *[1] * (gradient.ndim - 1))


def task_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of each task: logits [T, N, n_way], labels [T, N] -> [T]."""
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return losses.view(labels.shape).mean(1)


def query_logits(learner: Learner, weights: Weights, batch: TaskBatch, *, training: bool) -> Tensor:
    """Logits [T, Q, n_way] of the adapted learner, normalised by the body's batch-norm policy."""
    features = query_features(learner, weights, batch, training=training)
    return learner.logits(weights, features, batch.n_way)


@dataclass(frozen=True, kw_only=True)
class InnerLoopMethod:
    """A method that adapts by gradient steps. A subclass says which layers adapt, and has a `name`.

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
        """The layers the inner loop changes."""
        raise NotImplementedError

    def rate(self, learner: Learner, *, training: bool) -> float | Rates:  # noqa: ARG002
        """How long the steps are."""
        return self.inner_lr if training or self.test_inner_lr is None else self.test_inner_lr

    def start(self, learner: Learner, batch: TaskBatch, *, training: bool) -> Weights:  # noqa: ARG002
        """Each task's weights before the first step, where they are not the learner's stored ones."""
        return {}

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
            weights = adapt(
                learner,
                batch,
                self.adapted_layers(learner),
                steps=self.inner_steps,
                rate=self.rate(learner, training=True),
                graph=not self.first_order,
                training=True,
                clip=self.inner_gradient_clip,
                start=self.start(learner, batch, training=True),
            )
            logits = query_logits(learner, weights, batch, training=True)
            losses.append(task_losses(logits, query_y))
        return torch.cat(losses).mean()

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
            weights = adapt(
                learner,
                batch,
                self.adapted_layers(learner) if mask is None else mask,
                steps=self.adaptation_steps,
                rate=self.rate(learner, training=False),
                graph=False,
                training=False,
                clip=self.inner_gradient_clip,
                start=self.start(learner, batch, training=False),
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
