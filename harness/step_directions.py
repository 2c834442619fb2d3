"""Where an inner step goes, other than straight down the gradient: the optimisers that fine-tuning is done with.

Each is made anew for an adaptation and called once a step; it remembers what it was told before.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from torch import Tensor

Tensors = Mapping[str, Tensor]


class Direction(Protocol):
    """Turns the gradients of a step into what is multiplied by the rate."""

    def __call__(self, weights: Tensors, gradients: Tensors) -> Tensors:
        """Both [T, ...] by parameter name, as is the result."""


class Momentum:
    """SGD with momentum, dampening and weight decay, as torch.optim.SGD has them."""

    def __init__(self, *, momentum: float, dampening: float = 0.0, weight_decay: float = 0.0) -> None:
        self._momentum, self._dampening, self._weight_decay = momentum, dampening, weight_decay
        self._velocity: dict[str, Tensor] = {}

    def __call__(self, weights: Tensors, gradients: Tensors) -> Tensors:
        """The velocity after this step's gradient."""
        for name, gradient in gradients.items():
            pull = gradient + self._weight_decay * weights[name]
            before = self._velocity.get(name)
            self._velocity[name] = (
                pull if before is None else self._momentum * before + (1 - self._dampening) * pull
            )
        return dict(self._velocity)


class Adam:
    """Adam (Kingma & Ba 2015, algorithm 1), as torch.optim.Adam has it.

    second, steps: the second moments, by parameter name, that `steps` steps before these have left; without momentum
    (β1 = 0) that is all it remembers. Both can be read after a step.
    """

    def __init__(
        self,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        second: Tensors = MappingProxyType({}),
        steps: int = 0,
    ) -> None:
        self._beta1, self._beta2, self._epsilon = beta1, beta2, epsilon
        self._first: dict[str, Tensor] = {}
        self.second, self.steps = dict(second), steps

    def __call__(self, weights: Tensors, gradients: Tensors) -> Tensors:  # noqa: ARG002
        """The first moment over the root of the second, both corrected for their start at zero."""
        self.steps += 1
        beta1, beta2 = self._beta1, self._beta2
        moves = {}
        for name, gradient in gradients.items():
            first = (1 - beta1) * gradient
            second = (1 - beta2) * gradient.square()
            if name in self._first:
                first = beta1 * self._first[name] + first
            if name in self.second:
                second = beta2 * self.second[name] + second
            self._first[name], self.second[name] = first, second
            root = (second / (1 - beta2**self.steps)).sqrt() + self._epsilon
            moves[name] = first / (1 - beta1**self.steps) / root
        return moves
