"""Multinomial logistic regression with a penalty: one minimum, found in float64."""

import torch
import torch.nn.functional as F
from torch import Tensor

GRADIENT = 1e-6
"""The largest derivative of the loss that counts as its minimum."""


def fitted(points: Tensor, labels: Tensor, n_way: int, penalty: float) -> tuple[Tensor, Tensor, float]:
    """W [n_way, D] and b [n_way] that minimise the mean cross-entropy of W x + b, plus penalty / 2 · ‖W‖².

    Found by L-BFGS. The third number is the largest derivative that is left, to be compared with GRADIENT; NaN for
    points [n, D] that are not finite.
    """
    exact = points.detach().double()
    weight = exact.new_zeros(n_way, exact.shape[1], requires_grad=True)
    bias = exact.new_zeros(n_way, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=2000,
        tolerance_grad=GRADIENT / 1000,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        return F.cross_entropy(F.linear(exact, weight, bias), labels) + penalty / 2 * weight.square().sum()

    def closure() -> float:
        optimiser.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    with torch.enable_grad():
        optimiser.step(closure)  # type: ignore[no-untyped-call]
        slopes = torch.autograd.grad(loss(), [weight, bias])
    return weight.detach(), bias.detach(), float(torch.cat([s.flatten() for s in slopes]).abs().max())
