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

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.head_gradients import has_linear_head, linear_head_gradients
from harness.layers import Statistics
from harness.learner import LayerMask, Learner, Weights, query_features, support_statistics
from harness.step_directions import Direction
from harness.task_batch import TaskBatch, part_of


@dataclass(frozen=True, kw_only=True)
class InnerStep:
    """One inner step as it was taken.

    number: from 1. before, after: the adapted weights, [T, ...] each. gradients: of each task's support loss at
    `before`, on the images that the step is on, not clipped, under the same names. Without graphs.
    """

    number: int
    before: Weights
    gradients: Weights
    after: Weights


Rates = Callable[[int], Mapping[str, Tensor]]
"""The number of an inner step, from 1 -> the rate of each adapted weight, as one number or one an element."""

Minibatches = Callable[[int], Tensor]
"""The number of an inner step, from 1 -> the places in each task's support set of the images it is on, [T, n]."""

Multipliers = Callable[[Weights, Weights], Mapping[str, Tensor]]
"""(weights, the step as it would be: rate times direction) -> factors on it, [T], by weight; 1 for those not named."""


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
    proximal: float = 0.0,
    direction: Direction | None = None,
    minibatches: Minibatches | None = None,
    variation: Variation = PLAIN,
) -> Weights:
    """The weights after `steps` inner steps of length `rate` on each task of the batch.

    Args:
        mask: the layers that change; the body below the first of them runs once only.
        start: each task's own weights before the first step, [T, ...] each, in place of the stored ones; of the
            head, which may be fixed, and of layers that change. All of them are returned.
        proximal: λ of λ/2 · ‖θ_i - θ‖², added to the loss of each step; θ are the learner's stored weights.
        direction: turns a step's gradients, after the pull, into what the rate multiplies; None for the gradients.
        minibatches: the images of each step; None for the whole support set in each.
        graph: keep the graph of the steps themselves, for second-order outer gradients. Without it the steps
            are constants to the outer loss: first-order MAML.
        training: whether the outer loop is training (concerns the `running` batch-norm policy only).
        clip: inner gradients are cut to [-clip, clip], element by element.
    """
    first = learner.first_adapted(mask)
    statistics = support_statistics(learner, training=training)
    below = None if minibatches else _below(learner, batch, statistics, first, training=training)
    weights = initial_weights(learner, mask, len(batch.support_x), start, variation)
    fixed = {name: weight for name, weight in start.items() if name not in weights}
    seen = batch
    anchors = learner.adaptable(mask) if proximal else {}
    step = partial(
        take_step, rate=rate, clip=clip, pull=(proximal, anchors), direction=direction, variation=variation
    )
    for number in range(1, (steps if weights else 0) + 1):
        if minibatches:
            seen = part_of(batch, minibatches(number))
            below = _below(learner, seen, statistics, first, training=training)
        assert below is not None
        if first == len(learner.body.layers) and has_linear_head(learner):
            gradients = linear_head_gradients(learner, weights, below, seen, graph=graph)
        else:
            gradients = _gradients(learner, weights, fixed, (below, first, statistics), seen, graph=graph)
        weights = step(number, weights, gradients)
    return {**fixed, **weights}


def _below(
    learner: Learner, batch: TaskBatch, statistics: Statistics, first: int, *, training: bool
) -> Tensor:
    """What the stages below `first`, which no step changes, give for the support set; features where that is all."""
    with torch.set_grad_enabled(training and torch.is_grad_enabled()):  # at test none of it is differentiated
        below: Tensor = learner.body(batch.support_x, statistics, 0, first)
        if first == len(learner.body.layers):
            below = learner.features({}, below, statistics, first)
    return below


def initial_weights(
    learner: Learner,
    mask: LayerMask,
    tasks: int,
    start: Weights = MappingProxyType({}),
    variation: Variation = PLAIN,
) -> dict[str, Tensor]:
    """The adapted weights before the first step, [T, ...] each.

    Raises ValueError for initial ones of a layer that does not adapt.
    """
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
    learner: Learner,
    weights: Weights,
    fixed: Weights,
    known: tuple[Tensor, int, Statistics],
    batch: TaskBatch,
    *,
    graph: bool,
) -> list[Tensor]:
    """Of each task's support loss by its own weights, in their order.

    known: what the stages below `first` gave for the support set, `first`, and the statistics; where no stage is left,
    the features themselves.
    """
    below, first, statistics = known
    own = {**fixed, **weights}
    body_adapts = first < len(learner.body.layers)
    features = learner.features(own, below, statistics, first) if body_adapts else below
    # A sum over tasks of means over images: each task's weights get the gradient of its own mean loss.
    loss = task_losses(learner.logits(own, features, batch.n_way), batch.support_y).sum()
    return list(torch.autograd.grad(loss, list(weights.values()), create_graph=graph))


def take_step(
    number: int,
    weights: Weights,
    gradients: Sequence[Tensor],
    *,
    rate: float | Rates,
    clip: float | None = None,
    pull: tuple[float, Weights] = (0.0, MappingProxyType({})),
    direction: Direction | None = None,
    variation: Variation = PLAIN,
) -> dict[str, Tensor]:
    """The weights after step `number`, from 1, whatever loss the gradients are of; see `adapt` for the rest.

    pull: its strength, and what it pulls to.
    """
    raw = dict(zip(weights, gradients, strict=True))
    used = raw if clip is None else {name: g.clamp(-clip, clip) for name, g in raw.items()}
    strength, anchors = pull
    moves = {
        name: m + strength * (weights[name] - anchors[name]) if strength else m for name, m in used.items()
    }
    if direction is not None:
        moves = dict(direction(weights, moves))
    if callable(rate):
        rates = rate(number)
        moves, length = {name: rates[name] * move for name, move in moves.items()}, 1.0
    else:
        length = rate
    if variation.multipliers is not None:
        moves, length = {name: length * move for name, move in moves.items()}, 1.0
        factors = variation.multipliers(weights, moves)
        moves = {name: _scaled(m, factors[name]) if name in factors else m for name, m in moves.items()}
    after = {name: torch.sub(weight, moves[name], alpha=length) for name, weight in weights.items()}
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
