"""A step within a trust region: Schulman et al. 2015, "Trust Region Policy Optimization", arXiv 1502.05477, app. C."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from harness.control.fisher import Outputs, fisher_product, flat, split
from harness.errors import ConfigError
from harness.parameters import check_above, check_fields, check_whole

CONVERGED = 1e-10
"""Conjugate gradient stops at this squared length of the residual."""


class Objective(Protocol):
    """What a step improves, and how far it goes by it, as functions of parameters that it was built on."""

    def surrogate_and_divergence(self, *, graph: bool) -> tuple[Tensor, Tensor]:
        """What to minimise and the divergence from where it was built, scalars; with `graph`, differentiable."""
        ...

    def outputs(self) -> Sequence[Outputs]:
        """What the divergence is a sum over; asked before the parameters change."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrustRegion:
    """TRPO's outer step; defaults as in the reference implementation of MAML-TRPO.

    max_kl: the largest mean KL divergence of a step. cg_iterations: of conjugate gradient. damping: added to the
    diagonal of the Fisher matrix. line_search_steps, backtrack: how often a step is shortened, and by what factor.
    """

    max_kl: float = 0.01
    cg_iterations: int = 10
    damping: float = 1e-5
    line_search_steps: int = 15
    backtrack: float = 0.8

    def __post_init__(self) -> None:
        check_fields(self)
        check_above("TrustRegion.max_kl", self.max_kl, 0)
        check_whole("TrustRegion.cg_iterations", self.cg_iterations, low=1)
        check_whole("TrustRegion.line_search_steps", self.line_search_steps, low=1)
        if not self.damping >= 0:
            raise ConfigError(f"TrustRegion.damping must be a number of at least 0; got {self.damping}.")
        if not 0 < self.backtrack < 1:
            raise ConfigError(
                f"TrustRegion.backtrack must be a number between 0 and 1; got {self.backtrack}."
            )


@dataclass(frozen=True, kw_only=True)
class StepTaken:
    """What came of an outer step: the share of the full step that was taken (0 for none) and what it did.

    improvement: by how much the surrogate fell. kl: the divergence it made.
    """

    share: float
    improvement: float
    kl: float


def trust_region_step(
    parameters: Sequence[nn.Parameter], objective: Objective, settings: TrustRegion
) -> StepTaken:
    """Move the parameters, in place, to where the objective is smaller and the divergence within the limit.

    The direction is F⁻¹ g by conjugate gradient, F the Hessian of the divergence, which is the Fisher matrix where the
    divergence is 0; its length makes the quadratic model of the divergence `max_kl`. Where no shortening of it is
    accepted the parameters stay bit for bit as they were.
    """
    loss, _ = objective.surrogate_and_divergence(graph=True)
    gradient = flat(torch.autograd.grad(loss, parameters, allow_unused=True), parameters)
    if not gradient.isfinite().all() or not gradient.any():
        return StepTaken(share=0.0, improvement=0.0, kl=0.0)
    product = fisher_product(objective.outputs(), parameters, settings.damping)
    direction, residual = conjugate_gradient(product, gradient, settings.cg_iterations)
    curvature = float(direction @ (gradient - residual))
    if not (math.isfinite(curvature) and curvature > 0):
        return StepTaken(share=0.0, improvement=0.0, kl=0.0)
    step = math.sqrt(2 * settings.max_kl / curvature) * direction
    return _search(parameters, objective, step, float(loss.detach()), settings)


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], target: Tensor, iterations: int
) -> tuple[Tensor, Tensor]:
    """x with A x ≈ target for a positive definite A given by its products, from x = 0 (Hestenes & Stiefel 1952).

    Also what is missing, target - A x, so that A x costs no further product.
    """
    x, residual, direction = torch.zeros_like(target), target.clone(), target.clone()
    squared = residual @ residual
    for _ in range(iterations):
        if squared < CONVERGED:
            break
        curved = product(direction)
        length = squared / (direction @ curved)
        x = x + length * direction
        residual = residual - length * curved
        before, squared = squared, residual @ residual
        direction = residual + squared / before * direction
    return x, residual


def _search(
    parameters: Sequence[nn.Parameter],
    objective: Objective,
    step: Tensor,
    loss_before: float,
    settings: TrustRegion,
) -> StepTaken:
    """The longest of ever shorter steps that improves the surrogate and keeps to the limit."""
    start = [parameter.detach().clone() for parameter in parameters]
    share = 1.0
    for _ in range(settings.line_search_steps):
        _place(parameters, start, split(step, parameters), share)
        loss, kl = (float(value) for value in objective.surrogate_and_divergence(graph=False))
        # Values that are no numbers compare as false.
        if loss < loss_before and kl <= settings.max_kl:
            return StepTaken(share=share, improvement=loss_before - loss, kl=kl)
        share *= settings.backtrack
    _place(parameters, start, None, 0.0)
    return StepTaken(share=0.0, improvement=0.0, kl=0.0)


@torch.no_grad()
def _place(
    parameters: Sequence[nn.Parameter],
    start: Sequence[Tensor],
    step: Sequence[Tensor] | None,
    share: float,
) -> None:
    """Parameters at `start` minus `share` of the step."""
    for i, parameter in enumerate(parameters):
        parameter.copy_(start[i] if step is None else start[i] - share * step[i])
