"""Outer gradients that are not the gradient of a loss: Reptile's direction, iMAML's implicit gradient."""

from collections.abc import Mapping

import torch
from torch import Tensor


def with_gradient(value: Tensor, gradients: Mapping[torch.nn.Parameter, Tensor]) -> Tensor:
    """A scalar that equals `value`, and whose gradient by each parameter is the tensor given for it.

    So a method whose outer update is a formula fits a training loop that calls `backward`.
    """
    pull = torch.stack(
        [(parameter * gradient.detach()).sum() for parameter, gradient in gradients.items()]
    ).sum()
    return value.detach() + pull - pull.detach()
