"""iMAML, MAML with implicit gradients: Rajeswaran et al. 2019 (arXiv 1909.04630), algorithms 1 and 2."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.episode import Episode
from harness.errors import ConfigError
from harness.inner_loop import query_logits, task_losses
from harness.inner_loop_method import InnerLoopMethod
from harness.learner import Learner, Weights, support_statistics
from harness.parameters import check_above, check_whole
from harness.surrogate import with_gradient
from harness.task_batch import TaskBatch, equal_shapes

Vectors = Mapping[str, Tensor]
"""A vector a task: weight's name -> [T, ...]."""


@dataclass(frozen=True, kw_only=True)
class IMAML(InnerLoopMethod):
    """Adapt with a pull back to the initialisation, and differentiate the solution rather than the way to it.

    The inner problem is φ = argmin L_S(φ) + λ/2 · ‖φ - θ‖², approached by `inner_steps` gradient steps. The outer
    gradient of a task is x = (I + ∇²L_S(φ) / λ)⁻¹ ∇L_Q(φ) (lemma 1), by `cg_steps` of conjugate gradients. What the
    inner loop leaves alone, such as batch-norm offsets, moves the solution, too: a parameter ψ gets
    ∂L_Q/∂ψ - ∂/∂ψ ⟨∇L_S(φ), x⟩ / λ.

    proximal: λ. inner_steps: enough of them to come near the solution.

    released: as the authors' published code computes it, which their numbers come from, but that its conjugate
    gradients begin at 0 and these at ∇L_Q(φ). Its steps have no pull, in training one step of the pull alone follows
    them, and the gradient is damped: (2 I + ∇²L_S(φ) / (λ + 10))⁻¹ ∇L_Q(φ). What is left alone, nothing there, gets the
    query loss's plain gradient. With λ = 2 the equations leave about as much adaptation as one step of rate 1/2, and
    learn slowly. first_order is refused: there is no second order along the steps to leave out.
    """

    name: str = "imaml"
    inner_lr: float = 0.1
    inner_steps: int = 16
    test_inner_steps: int | None = None
    proximal: float = 2.0
    cg_steps: int = 5
    released: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_above("IMAML.proximal", self.proximal, 0)
        check_whole("IMAML.cg_steps", self.cg_steps, low=0)
        if self.first_order:
            raise ConfigError(
                "IMAML does not differentiate through its steps, so that first_order means nothing: leave it alone. "
                "IMAML.cg_steps = 0 leaves out the curvature."
            )

    @property
    def pull(self) -> float:
        """λ in the steps."""
        return 0.0 if self.released else self.proximal

    def outer_loss(self, learner: Learner, episodes: Sequence[Episode]) -> Tensor:
        """Its value is the mean query loss at the solutions, its gradient the implicit one."""
        mask = self.adapted_layers(learner)
        parameters = dict(learner.named_parameters())
        stored = set(learner.adaptable(mask))
        total = {name: torch.zeros_like(p) for name, p in parameters.items()}
        losses = []
        for batch, query_y in equal_shapes(episodes, learner.tasks_at_once):
            weights = {name: w.requires_grad_() for name, w in self._solved(learner, batch).items()}
            own = task_losses(query_logits(learner, weights, batch, training=True), query_y)
            losses.append(own.detach())
            others = {name: p for name, p in parameters.items() if name not in stored}
            asked = {**weights, **others}
            found = torch.autograd.grad(own.sum(), list(asked.values()), allow_unused=True)
            slopes = {
                n: torch.zeros_like(asked[n]) if g is None else g for n, g in zip(asked, found, strict=True)
            }
            support = self._support_slopes(learner, batch, weights)
            implicit = conjugate_gradients(
                self._curvature(weights, support), {name: slopes[name] for name in weights}, self.cg_steps
            )
            moved = {} if self.released else _mixed(support, implicit, others)
            for name in total:
                own_part = implicit[name].sum(0) if name in implicit else slopes[name]
                total[name] += (own_part - moved.get(name, 0.0) / self.proximal) / len(episodes)
        return with_gradient(torch.cat(losses).mean(), {parameters[name]: g for name, g in total.items()})

    def _solved(self, learner: Learner, batch: TaskBatch) -> Weights:
        found = self.steps(learner, batch, self.inner_steps, training=True, graph=False)
        if self.released:
            stored, kept = learner.adaptable(self.adapted_layers(learner)), 1 - self.inner_lr * self.proximal
            found = {name: stored[name] + kept * (weight - stored[name]) for name, weight in found.items()}
        return {name: weight.detach() for name, weight in found.items()}

    def _support_slopes(self, learner: Learner, batch: TaskBatch, weights: Weights) -> Weights:
        """∇L_S(φ) of each task, with a graph."""
        features = learner.features(weights, batch.support_x, support_statistics(learner, training=True))
        loss = task_losses(learner.logits(weights, features, batch.n_way), batch.support_y).sum()
        slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        return dict(zip(weights, slopes, strict=True))

    def _curvature(self, weights: Weights, slopes: Weights) -> Callable[[Vectors], Vectors]:
        """v -> v + ∇²L_S(φ) v / λ, or as damped as in the published code, task by task."""
        own, pull = (2.0, self.proximal + 10.0) if self.released else (1.0, self.proximal)

        def product(v: Vectors) -> Vectors:
            against = [v[name] for name in weights]
            hv = torch.autograd.grad(
                list(slopes.values()), list(weights.values()), against, retain_graph=True
            )
            return {name: own * v[name] + h / pull for name, h in zip(weights, hv, strict=True)}

        return product


def _mixed(slopes: Weights, x: Vectors, others: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """∂/∂ψ ⟨∇L_S(φ), x⟩ of each other parameter ψ that the support loss depends on, summed over tasks."""
    if not others:
        return {}
    found = torch.autograd.grad(
        list(slopes.values()),
        list(others.values()),
        [x[name] for name in slopes],
        retain_graph=True,
        allow_unused=True,
    )
    return {name: each for name, each in zip(others, found, strict=True) if each is not None}


def conjugate_gradients(product: Callable[[Vectors], Vectors], b: Vectors, steps: int) -> Vectors:
    """x with A x ≈ b after `steps` of conjugate gradients from x = b, each task by itself; `product` is v -> A v."""
    x = dict(b)
    if steps == 0:
        return x
    residual = {name: b[name] - a for name, a in product(x).items()}
    direction, size = dict(residual), _dot(residual, residual)
    for _ in range(steps):
        moved = product(direction)
        along = _ratio(size, _dot(direction, moved))
        x = {name: x[name] + _times(along, direction[name]) for name in x}
        residual = {name: residual[name] - _times(along, moved[name]) for name in x}
        new = _dot(residual, residual)
        share = _ratio(new, size)
        direction = {name: residual[name] + _times(share, direction[name]) for name in x}
        size = new
    return x


def _dot(a: Vectors, b: Vectors) -> Tensor:
    """The inner product of each task, [T]."""
    return torch.stack([(a[name] * b[name]).flatten(1).sum(1) for name in a]).sum(0)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is: that task is solved."""
    return torch.where(b == 0, 0.0, a / torch.where(b == 0, 1.0, b))


def _times(factor: Tensor, vector: Tensor) -> Tensor:
    return factor.view(-1, *[1] * (vector.ndim - 1)) * vector
