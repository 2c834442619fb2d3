"""Products with the Fisher matrix of policies after their adaptation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What a divergence is a function of, where it is 0 and its slope with it.

    values: with a graph to the parameters. curvature: of the shape of each value, the second derivative of the
    divergence by each of its numbers; those by two different ones are 0.
    """

    values: Sequence[Tensor]
    curvature: Sequence[Tensor]


def fisher_product(
    outputs: Sequence[Outputs], parameters: Sequence[nn.Parameter], damping: float
) -> Callable[[Tensor], Tensor]:
    """v -> (F + damping I) v for flat v in float64; F, the Hessian of a divergence that is a sum over `outputs`.

    Where the divergence's slope in the outputs is 0, its Hessian in the parameters is Jᵀ C J, with J the outputs'
    Jacobian and C their curvature: how J changes does not matter, so that a product costs one derivative of the
    outputs forwards and one backwards, and with an inner loop between no third derivatives (Schulman et al. 2015,
    app. C, which has it for one policy).
    """
    factors = [_jacobian(each, parameters) for each in outputs]

    def product(vector: Tensor) -> Tensor:
        parts, total = split(vector, parameters), damping * vector
        for each, forwards in zip(outputs, factors, strict=True):
            along = forwards(parts)
            weighted = [c * a for c, a in zip(each.curvature, along, strict=True)]
            back = torch.autograd.grad(
                each.values, parameters, grad_outputs=weighted, retain_graph=True, allow_unused=True
            )
            total = total + flat(back, parameters)
        return total

    return product


def _jacobian(
    outputs: Outputs, parameters: Sequence[nn.Parameter]
) -> Callable[[Sequence[Tensor]], list[Tensor]]:
    """v -> J v, the outputs' change along v: Jᵀ u is linear in u, and its derivative by u along v is J v."""
    u = [torch.zeros_like(value, requires_grad=True) for value in outputs.values]
    back = torch.autograd.grad(
        outputs.values, parameters, grad_outputs=u, create_graph=True, allow_unused=True
    )
    matters = [i for i, each in enumerate(back) if each is not None]

    def forwards(parts: Sequence[Tensor]) -> list[Tensor]:
        along = torch.autograd.grad(
            [back[i] for i in matters],
            u,
            grad_outputs=[parts[i] for i in matters],
            retain_graph=True,
            materialize_grads=True,
        )
        return list(along)

    return forwards


def flat(tensors: Sequence[Tensor | None], parameters: Sequence[nn.Parameter]) -> Tensor:
    """One vector in float64; what does not matter to the result has a derivative of 0."""
    filled = (torch.zeros_like(p) if t is None else t for t, p in zip(tensors, parameters, strict=True))
    return torch.cat([tensor.detach().double().flatten() for tensor in filled])


def split(vector: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """The vector's parts, each of the shape and type of its parameter."""
    parts = torch.split(vector, [parameter.numel() for parameter in parameters])
    return [part.view_as(p).to(p.dtype) for part, p in zip(parts, parameters, strict=True)]
