"""Is the body's small change a coincidence of vanishing gradients? Measurements, and controls that tell them apart.

If the features stay put, and accuracy does not gain, even when the lower layers take equal relative steps, it is not
vanishing gradients.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from harness.cka import FEWEST_IMAGES, debiased_cka, hsic
from harness.episode import Episode, Spare
from harness.errors import ConfigError
from harness.evaluation import accuracy
from harness.head_gradients import has_linear_head
from harness.inner_loop import PLAIN, InnerStep, Multipliers, Variation, query_logits
from harness.layer_norms import (
    constant_factors,
    equal_relative_steps,
    layer_norms,
    layer_vectors,
    relative_changes,
    relative_norms,
)
from harness.layer_outputs import function_changes, paired_outputs
from harness.learner import HEAD, Learner, Weights
from harness.measured import Measured, measured, undefined
from harness.method import Method, can_adapt, starting_weights
from harness.parameters import check_fields, check_name, check_whole
from harness.probe import ProbeRow, Work, row
from harness.task_batch import TaskBatch, stack

AS_IS, EQUAL, ZEROED = "body x1", "equal relative steps", ", head zeroed"


@dataclass(frozen=True, kw_only=True)
class GradientFlow:
    """Gradients and steps per layer, and what happens when the body's steps are made larger.

    Every layer adapts, by the method's rate, steps and clipping, under these conditions:

    `body x1`               as it is
    `equal relative steps`  in each step the rate of each body layer is multiplied so that its step, over the norm of
                            its weights, is the head's (`layer_norms.equal_relative_steps`)
    `body x10`, ...         the rate of all body layers times one of `body_rates`
    `..., head zeroed`      each of these from a head of zeros: the body then gets no gradient in the first step. Not
                            where the head begins at zero in any case, nor for a cosine head, undefined there

    Quantities, with g the gradient of the support loss and w the weights before the step, a layer being one vector:
    - per layer and step, n the support images: `relative_step` ‖step‖ / ‖w‖; for `body x1` and its zeroed form also
      `gradient_norm` ‖g‖ (before clipping), `relative_gradient` ‖g‖ / ‖w‖, and from step 2 `step_cosine`, between this
      step and the one before;
    - per layer, after the last step against before the first: `weight_change` (n as above), and `function_change` and
      debiased `cka` of its output for the spare images;
    - the query `accuracy`.

    Definitions are in `layer_norms`, `layer_outputs` and `cka`. Spare images are normalised as `layer_outputs` says,
    queries as in evaluation. With a head of zeros what is relative to its first weights or logits is undefined: NaN.
    """

    name: str = "gradient_flow"
    n_episodes: int = 50
    n_spare: int = 50
    body_rates: Sequence[float] = (10.0, 100.0)

    def __post_init__(self) -> None:
        check_fields(self)
        check_name("GradientFlow", self.name)
        check_whole("GradientFlow.n_episodes", self.n_episodes, low=1)
        check_whole("GradientFlow.n_spare", self.n_spare, low=FEWEST_IMAGES)
        rates = self.body_rates if isinstance(self.body_rates, list | tuple) else [None]
        numbers = [
            r for r in rates if isinstance(r, int | float) and not isinstance(r, bool) and r > 0 and r != 1
        ]
        if len(set(numbers)) != len(rates):
            raise ConfigError(
                "GradientFlow.body_rates must be a list of different numbers above 0, without 1 which is measured in "
                f"any case; got {self.body_rates!r}."
            )
        object.__setattr__(self, "body_rates", tuple(map(float, numbers)))

    @property
    def needs_adaptation(self) -> bool:
        """It does."""
        return True

    def work(self, n_layers: int, steps: int) -> Work:  # noqa: ARG002
        """Each condition: an adaptation, four passes over the spare images, and their CKA."""
        conditions = 2 * (2 + len(self.body_rates))
        return Work(adaptations=conditions, spare_passes=6 * conditions)

    def measure(self, learner: Learner, method: Method, episode: Episode, spare: Spare) -> Iterator[ProbeRow]:
        """The rows of each condition in turn."""
        assert can_adapt(method)
        batch = stack([episode.task])
        start = starting_weights(method, learner, episode.task)
        for condition, variation in self._variations(learner, batch.n_way, start).items():
            steps: list[InnerStep] = []
            after = method.adapt(
                learner,
                episode.task,
                adapted=frozenset(learner.layers),
                variation=replace(variation, observe=steps.append),
            )
            logits = query_logits(learner, after, batch, training=False)[0]
            found = accuracy(logits, episode.query_y)
            yield row(found, condition=condition, quantity="accuracy", n=len(episode.query_y))
            yield from _step_rows(condition, learner, steps, batch)
            yield from _end_rows(condition, learner, [step.before for step in steps[:1]], after, batch, spare)

    def _variations(self, learner: Learner, n_way: int, start: Weights) -> dict[str, Variation]:
        """Condition -> how its inner loop departs from the plain one; `start` as `starting_weights` gives it."""
        multipliers: dict[str, Multipliers | None] = {
            AS_IS: None,
            EQUAL: partial(equal_relative_steps, learner, n_way=n_way),
        }
        for rate in self.body_rates:
            multipliers[f"body x{rate:g}"] = partial(
                constant_factors, layers=learner.body.layers, factor=rate
            )
        heads = {name: start.get(name, p[None]) for name, p in learner.adaptable({HEAD}).items()}
        zeros = {name: torch.zeros_like(head) for name, head in heads.items()}
        starts: dict[str, Weights] = {"": {}}
        if has_linear_head(learner) and any(bool(head.any()) for head in heads.values()):
            starts[ZEROED] = zeros
        return {
            condition + suffix: replace(PLAIN, multipliers=rule, initial=initial)
            for suffix, initial in starts.items()
            for condition, rule in multipliers.items()
        }


def _step_rows(
    condition: str, learner: Learner, steps: Sequence[InnerStep], batch: TaskBatch
) -> Iterator[ProbeRow]:
    """What each step was, layer by layer."""
    n, n_way = batch.support_y.shape[1], batch.n_way
    last: dict[str, torch.Tensor] = {}
    for step in steps:
        found = {"relative_step": relative_changes(learner, step.before, step.after, n_way)}
        if condition in (AS_IS, AS_IS + ZEROED):
            moves = {name: step.after[name] - step.before[name] for name in step.before}
            vectors = layer_vectors(learner, moves, n_way)
            slopes = layer_norms(learner, step.gradients, n_way)
            found["gradient_norm"] = {layer: measured(float(norm[0])) for layer, norm in slopes.items()}
            found["relative_gradient"] = relative_norms(learner, step.gradients, step.before, n_way)
            found["step_cosine"] = {
                layer: _cosine(last[layer], v) for layer, v in vectors.items() if layer in last
            }
            last = vectors
        for quantity, by_layer in found.items():
            for layer, value in by_layer.items():
                yield row(
                    value,
                    condition=condition,
                    quantity=quantity,
                    n=n,
                    layer=layer,
                    step=step.number,
                )


def _cosine(a: torch.Tensor, b: torch.Tensor) -> Measured:
    """Between vectors [1, P]; undefined where one is zero."""
    lengths = float(a.norm() * b.norm())
    return (
        undefined("One of the two steps is zero.")
        if lengths == 0
        else measured(float((a * b).sum()) / lengths)
    )


def _end_rows(
    condition: str,
    learner: Learner,
    before: Sequence[Weights],
    after: Weights,
    batch: TaskBatch,
    spare: Spare,
) -> Iterator[ProbeRow]:
    """What all steps together have changed; `before` is empty where none was taken."""
    first, n, x = (before or [after])[0], batch.support_y.shape[1], spare.x[None]
    for layer, change in relative_changes(learner, first, after, batch.n_way).items():
        yield row(change, condition=condition, quantity="weight_change", n=n, layer=layer)
    for _, layer, found in function_changes(learner, [first, after], batch, x):
        yield row(found, condition=condition, quantity="function_change", n=len(spare.x), layer=layer)
    if len(spare.x) < FEWEST_IMAGES:
        few = undefined(f"The episode has {len(spare.x)} spare images; CKA needs at least {FEWEST_IMAGES}.")
        for layer in learner.layers:
            yield row(few, condition=condition, quantity="cka", n=len(spare.x), layer=layer)
        return
    for layer, old, new in paired_outputs(learner, first, after, batch, x):
        found = debiased_cka([hsic(old[0], new[0])])
        yield row(found, condition=condition, quantity="cka", n=len(spare.x), layer=layer)
