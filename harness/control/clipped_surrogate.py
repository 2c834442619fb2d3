"""An outer step of clipped ratios: Schulman et al. 2017, "Proximal Policy Optimization" (arXiv 1707.06347), eq. 7."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from harness.control.trust_region import StepTaken
from harness.errors import ConfigError
from harness.parameters import check_above, check_fields, check_whole

if TYPE_CHECKING:
    from harness.control.meta_batch import MetaObjective


@dataclass(frozen=True, kw_only=True)
class ClippedSurrogate:
    """PPO's outer step in place of TRPO's: a few updates of Adam on ratios clipped to [1 - clip, 1 + clip].

    Every update takes the inner steps anew, so its gradient is of the adapted policy as in TRPO's. max_kl: no further
    update once the divergence is above it; None for all of them.
    """

    learning_rate: float = 1e-3
    updates: int = 5
    clip: float = 0.2
    max_kl: float | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        check_above("ClippedSurrogate.learning_rate", self.learning_rate, 0)
        check_above("ClippedSurrogate.max_kl", self.max_kl, 0)
        check_whole("ClippedSurrogate.updates", self.updates, low=1)
        if not 0 < self.clip < 1:
            raise ConfigError(f"ClippedSurrogate.clip must be a number between 0 and 1; got {self.clip}.")


def clipped_step(
    parameters: Sequence[nn.Parameter],
    objective: MetaObjective,
    optimiser: torch.optim.Optimizer,
    settings: ClippedSurrogate,
) -> StepTaken:
    """Update the parameters, in place; `share` is that of the updates that were made."""
    made, first = 0, None
    for _ in range(settings.updates):
        now = objective.compare(graph=True)
        surrogate = float(objective.mean(now.ratio.detach() * objective.advantages))
        first = surrogate if first is None else first
        if settings.max_kl is not None and float(objective.mean(now.kl.detach())) > settings.max_kl:
            break
        clipped = now.ratio.clamp(1 - settings.clip, 1 + settings.clip)
        loss = -objective.mean(
            torch.minimum(now.ratio * objective.advantages, clipped * objective.advantages)
        )
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        made += 1
    after, kl = (float(value) for value in objective.surrogate_and_divergence(graph=False))
    return StepTaken(share=made / settings.updates, improvement=-after - (first or 0.0), kl=kl)
