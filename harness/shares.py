"""A meta-batch in shares: each share's part of the outer gradient, and their sum, which no number of workers changes.

The outer loss of an update is a mean over its episodes, so it is the mean of the shares' losses, weighted by their
sizes, and so is its gradient. Shares are added up in their order, whoever has computed them: one worker that computes
all of them and one worker for each give the same bits.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.errors import ConfigError
from harness.learner import Learner


def share_sizes(n_episodes: int, n_shares: int) -> list[int]:
    """The episodes of each share, as equal as can be, the larger ones first."""
    each, more = divmod(n_episodes, n_shares)
    return [each + (number < more) for number in range(n_shares)]


class ShareSum:
    """The shares of one update after another, of one learner.

    A share is a vector: its loss and gradient, times its weight, and the learner's buffers after it; last and times its
    weight, too, those that are means over the episodes.
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._parameters = list(learner.parameters())
        named = dict(learner.named_buffers())
        self._means = [buffer for name, buffer in named.items() if name in learner.mean_buffers]
        self._others = [buffer for name, buffer in named.items() if name not in learner.mean_buffers]
        self._before = self._buffers()

    @property
    def size(self) -> int:
        """The length of a vector."""
        n_values = sum(parameter.numel() for parameter in self._parameters)
        return 1 + len(self._parameters) + n_values + sum(b.numel() for b in self._learner.buffers())

    def begin(self) -> None:
        """An update begins: the buffers are as the last one has left them."""
        self._before = self._buffers()

    def undo(self) -> None:
        """The buffers are as at the beginning of the update."""
        with torch.no_grad():
            for buffer, before in zip([*self._others, *self._means], self._before, strict=True):
                buffer.copy_(before)

    def share(
        self, loss_of: Callable[[Learner, Sequence[Any]], Tensor], episodes: Sequence[Any], weight: float
    ) -> Tensor:
        """The vector of a share, on the CPU. The learner's gradients are gone after it.

        Raises ConfigError where the loss draws random numbers: they would be others than for the whole meta-batch.
        """
        self.undo()
        self._learner.zero_grad(set_to_none=True)
        before = torch.get_rng_state()
        loss = loss_of(self._learner, episodes)
        if not torch.equal(before, torch.get_rng_state()):
            raise ConfigError(
                "Compute.training_workers is above 1, but the outer loss of this method draws random numbers, which "
                "would be others in shares of a meta-batch. Leave training_workers out."
            )
        (loss * weight).backward()  # type: ignore[no-untyped-call]
        gradients = [parameter.grad for parameter in self._parameters]
        values = [
            torch.zeros_like(parameter) if gradient is None else gradient
            for parameter, gradient in zip(self._parameters, gradients, strict=True)
        ]
        kind = values[0].dtype
        there = torch.tensor([float(gradient is not None) for gradient in gradients], dtype=kind)
        means = [buffer * weight for buffer in self._means]
        pieces = [(loss.detach() * weight).view(1), *values, *self._others, *means]
        flat = [piece.detach().reshape(-1).to("cpu", kind) for piece in pieces]
        return torch.cat([flat[0], there, *flat[1:]])

    def take(self, vectors: Sequence[Tensor]) -> float:
        """Give the learner the gradient and the buffers that all shares, in their order, say; returns the loss.

        Raises ConfigError where a buffer that is no mean depends on the episodes: it would be another after shares.
        """
        total = _added(vectors)
        end = len(total) - sum(buffer.numel() for buffer in self._means)
        begin = end - sum(buffer.numel() for buffer in self._others)
        if any(not torch.equal(v[begin:end], vectors[0][begin:end]) for v in vectors[1:]):
            raise ConfigError(
                "Compute.training_workers is above 1, but training this learner keeps buffers that depend on the order "
                "of the episodes, as running averages do, and shares change it. Leave training_workers out."
            )
        place = 1 + len(self._parameters)
        for number, parameter in enumerate(self._parameters):
            gradient = total[place : place + parameter.numel()].view(parameter.shape)
            place += parameter.numel()
            if total[1 + number] == 0:
                parameter.grad = None
                continue
            parameter.grad = torch.empty_like(parameter)
            parameter.grad.copy_(gradient)
        with torch.no_grad():
            for buffers, source in ((self._others, vectors[0]), (self._means, total)):
                for buffer in buffers:
                    buffer.copy_(source[place : place + buffer.numel()].view(buffer.shape))
                    place += buffer.numel()
        return float(total[0])

    def _buffers(self) -> list[Tensor]:
        return [buffer.detach().clone() for buffer in (*self._others, *self._means)]


def _added(vectors: Sequence[Tensor]) -> Tensor:
    total = vectors[0].clone()
    for vector in vectors[1:]:
        total += vector
    return total
