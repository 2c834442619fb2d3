"""The inner loop of a policy: policy-gradient steps on the trajectories it sampled, for the layers a mask names.

Each step descends the surrogate of REINFORCE (Williams 1992) with the advantages A of the trajectories that were
sampled by θ_i (Finn et al. 2017, eq. 4 and section 5.3):

    θ_{i+1} = θ_i - α ∇ L_i(θ_i),    L_i(θ) = -mean over trajectories and their steps of log π_θ(a|s) A(s, a).

The trajectories are constants to the outer gradient, which runs through the log-densities: that θ also decided which
trajectories there are, the second derivatives leave out, as the reference implementations do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.control.experience import Experience
from harness.control.policy import Policy
from harness.errors import ConfigError
from harness.inner_loop import PLAIN, Rates, Variation, initial_weights, take_step
from harness.inner_loop_method import InnerLoopMethod
from harness.learner import LayerMask, Weights

if TYPE_CHECKING:
    from harness.method import Method

HOOKS = ("init", "outer_loss", "steps", "start", "direction", "pull", "n_steps")
"""Where a method of images departs from plain steps; a policy's inner loop knows none of it."""


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """How a policy adapts: which layers, in how many steps of what length; clip: see `inner_loop.adapt`.

    first_order: the steps are constants to the outer gradient.
    """

    mask: LayerMask
    steps: int
    rate: float | Rates
    first_order: bool = False
    clip: float | None = None


def adaptation_of(method: Method, policy: Policy, *, training: bool) -> Adaptation:
    """The inner loop of a method, MAML's for one, on a policy.

    Raises ConfigError for a method whose adaptation is more than gradient steps of given rates on given layers.
    """
    plain = isinstance(method, InnerLoopMethod)
    if not plain or any(getattr(type(method), hook) is not getattr(InnerLoopMethod, hook) for hook in HOOKS):
        raise ConfigError(
            f"{type(method).__name__} does not say how a policy adapts: it does more than gradient steps. "
            "Use MAML, FOMAML, ANIL, BOIL, NoAdaptation or RandomBody on control tasks."
        )
    assert isinstance(method, InnerLoopMethod)
    mask = method.adapted_layers(policy)
    steps = method.inner_steps if training else method.adaptation_steps
    return Adaptation(
        mask=mask,
        steps=steps if mask else 0,
        rate=method.rate(policy, training=training),
        first_order=method.first_order,
        clip=method.inner_gradient_clip,
    )


def inner_losses(policy: Policy, weights: Weights, experience: Experience) -> Tensor:
    """L of each task, [T]."""
    log_prob = policy.actions(weights, experience.observations).log_prob(experience.actions)
    return -experience.mean(log_prob * experience.advantages)


def inner_step(
    policy: Policy,
    weights: Weights,
    experience: Experience,
    adaptation: Adaptation,
    *,
    number: int,
    graph: bool,
    variation: Variation = PLAIN,
) -> dict[str, Tensor]:
    """The weights after step `number` (from 1), [T, ...] each; with `graph`, differentiable in those before."""
    loss = inner_losses(policy, weights, experience).sum()
    gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=graph)
    return take_step(
        number, weights, gradients, rate=adaptation.rate, clip=adaptation.clip, variation=variation
    )


def adapted(
    policy: Policy,
    experiences: Sequence[Experience],
    adaptation: Adaptation,
    *,
    graph: bool,
    variation: Variation = PLAIN,
) -> dict[str, Tensor]:
    """The weights after one step on each of `experiences`, [T, ...] each, from the policy as it is now.

    With experience from an earlier policy it is the adaptation that this policy would have made of it. Without `graph`
    the weights have no gradient.
    """
    tasks = len(experiences[0].shares) if experiences else 0
    if not adaptation.mask or not tasks:
        return {}
    second = graph and not adaptation.first_order
    with torch.enable_grad():  # the steps need gradients of their own, whoever asks
        weights = initial_weights(policy, adaptation.mask, tasks, variation=variation)
        for number, experience in enumerate(experiences, start=1):
            weights = inner_step(
                policy, weights, experience, adaptation, number=number, graph=second, variation=variation
            )
    return weights if graph else {name: weight.detach() for name, weight in weights.items()}
