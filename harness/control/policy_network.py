"""The body of a policy: fully connected layers, many tasks side by side."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.errors import ConfigError
from harness.layers import Statistics
from harness.networks import Body
from harness.parameters import as_list, check_above, check_fields, check_name, check_whole


class Dense(nn.Module):
    """A linear layer and tanh, with weights for all tasks or a set for each, drawn as Glorot & Bengio (2010)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(outputs, inputs)))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:  # noqa: ARG002
        """[T, N, inputs] -> [T, N, outputs]; weights shared, or [T, outputs, inputs] and [T, outputs]."""
        weight, bias = (
            parameter if parameter.ndim == ndim else parameter.expand(len(x), *parameter.shape)
            for parameter, ndim in ((self.weight, 3), (self.bias, 2))
        )
        # One product a task, whether its weights are its own or not: a task's bits do not depend on the others.
        return torch.tanh(torch.baddbmm(bias.unsqueeze(1), x, weight.mT))


@dataclass(frozen=True, kw_only=True)
class MLP:
    """Fully connected layers with tanh, named `hidden1`, `hidden2`, ... input side first, for a policy.

    hidden: units of each. initial_std: of the actions, before training. min_std: the policy never gets surer than that.
    """

    name: str = "mlp"
    hidden: tuple[int, ...] = (100, 100)
    initial_std: float = 1.0
    min_std: float = 1e-6

    def __post_init__(self) -> None:
        check_fields(self)
        check_name("MLP", self.name)
        object.__setattr__(self, "hidden", as_list("MLP.hidden", self.hidden, example="(100, 100)"))
        if not self.hidden:
            raise ConfigError("MLP.hidden must have at least one layer, for example (100, 100); got ().")
        for units in self.hidden:
            check_whole("MLP.hidden", units, low=1)
        check_above("MLP.min_std", self.min_std, 0)
        if not self.initial_std >= self.min_std:
            raise ConfigError(
                f"MLP.initial_std must be at least MLP.min_std, {self.min_std}; got {self.initial_std}."
            )

    def build_body(self, observation_size: int) -> Body:
        """A freshly drawn body (torch's global generator)."""
        sizes = (observation_size, *self.hidden)
        stages = {f"hidden{i}": Dense(sizes[i - 1], sizes[i]) for i in range(1, len(sizes))}
        return Body(stages, nn.Identity(), out_features=self.hidden[-1], batch_norm="transductive")
