"""Sizes of what the inner loop changes, layer by layer: of weights, of gradients and of steps.

A layer is one vector: all its adapted parameters, end to end. Of a linear head only the rows of the episode's ways
count; the others stay as drawn, and their number is a setting of the experiment.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.head_gradients import has_linear_head
from harness.learner import HEAD, Learner, Weights, layer_of
from harness.measured import Measured, relative


def layer_vectors(learner: Learner, tensors: Weights, n_way: int) -> dict[str, Tensor]:
    """Layer -> [T, P] in float64, of weights or gradients [T, ...] by parameter name; layers input side first."""
    parts: dict[str, list[Tensor]] = {}
    for name, tensor in tensors.items():
        layer = layer_of(name)
        used = tensor[:, :n_way] if layer == HEAD and has_linear_head(learner) else tensor
        parts.setdefault(layer, []).append(used.detach().flatten(1).double())
    return {layer: torch.cat(parts[layer], dim=1) for layer in learner.layers if layer in parts}


def layer_norms(learner: Learner, tensors: Weights, n_way: int) -> dict[str, Tensor]:
    """Layer -> Euclidean norms [T] in float64."""
    return {layer: vector.norm(dim=1) for layer, vector in layer_vectors(learner, tensors, n_way).items()}


def relative_changes(learner: Learner, before: Weights, after: Weights, n_way: int) -> dict[str, Measured]:
    """Layer -> |after - before| / |before| of one task's weights; undefined where the layer's were all zero."""
    moved = {name: after[name] - before[name] for name in before}
    return relative_norms(learner, moved, before, n_way)


def relative_norms(learner: Learner, tensors: Weights, weights: Weights, n_way: int) -> dict[str, Measured]:
    """Layer -> |tensors| / |weights| of one task; undefined where the layer's weights are all zero."""
    sizes = layer_norms(learner, weights, n_way)
    each = layer_norms(learner, tensors, n_way)
    return {layer: relative(float(norm[0]), float(sizes[layer][0])) for layer, norm in each.items()}


def equal_relative_steps(
    learner: Learner, weights: Weights, steps: Weights, *, n_way: int, like: str = HEAD
) -> dict[str, Tensor]:
    """Factors on the steps, by parameter name, [T]: every layer's step over its weights is that of the layer `like`.

    With s the step and w the weights of a layer, primes for `like`, f = (|s'| / |w'|) / (|s| / |w|). 1 where that is
    undefined: a layer without gradient does not move whatever the factor, and weights of `like` that are all zero have
    no relative step.
    """
    sizes, lengths = (layer_norms(learner, tensors, n_way) for tensors in (weights, steps))
    paces = {layer: lengths[layer] / sizes[layer] for layer in sizes}
    factors = {}
    for name, weight in weights.items():
        wanted = paces[like] / paces[layer_of(name)]
        usable = wanted.isfinite() & (wanted > 0)
        factors[name] = torch.where(usable, wanted, torch.ones_like(wanted)).to(weight.dtype)
    return factors


def constant_factors(
    weights: Weights,
    steps: Weights,  # noqa: ARG001
    *,
    layers: Sequence[str],
    factor: float,
) -> dict[str, Tensor]:
    """`factor` for the parameters of `layers`, by name, [T]."""
    chosen = {name: weight for name, weight in weights.items() if layer_of(name) in layers}
    return {name: weight.new_full((len(weight),), factor) for name, weight in chosen.items()}
