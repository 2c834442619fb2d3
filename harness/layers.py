"""Layers that run one task at a time, with weights and normalisation statistics of its own.

A stored weight is shared by all tasks; the inner loop puts a task's own in its place through
`torch.func.functional_call`. Statistics of batch norm are always per task: over a batch that mixes tasks, or
mixes support and query, it would be a different algorithm.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Mode = Literal["batch", "track", "record", "replay", "running"]


class Statistics:
    """Which statistics the batch-norm layers use during one forward pass over one task's images.

    batch: those of the images passed. track: the same, and the running averages move towards them. record:
    the same, and kept in this object. replay: those recorded. running: the running averages.
    """

    def __init__(self, mode: Mode, recorded: dict[nn.Module, tuple[Tensor, Tensor]] | None = None) -> None:
        self.mode = mode
        self.recorded = {} if recorded is None else recorded

    def replay(self) -> "Statistics":
        """The statistics recorded so far, for use on other images of the same task."""
        return Statistics("replay", self.recorded)


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) with a learned offset and, if asked, a scale.

    Offset and scale are meta-learned but never adapted, as in the code base the ANIL paper built on. The
    running averages move by `momentum` with every forward pass that tracks, so they cover about the last
    1 / momentum passes: several tasks, each before and after adaptation.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, scale: bool, epsilon: float, momentum: float = 0.01) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))
        self.weight = nn.Parameter(torch.ones(channels)) if scale else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.epsilon, self.momentum = epsilon, momentum

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        """Normalise `x` [N, C, H, W] with the statistics asked for."""
        if statistics.mode in ("record", "replay"):
            return self._explicit(x, statistics)
        if statistics.mode == "running":
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.epsilon
            )
        if statistics.mode == "track":
            self._track(x)
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.epsilon)

    def _explicit(self, x: Tensor, statistics: Statistics) -> Tensor:
        """The formula itself, where mean and variance are handed from one set of images to another."""
        if statistics.mode == "record":
            variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
            statistics.recorded[self] = mean, variance
        mean, variance = statistics.recorded[self]
        factor = torch.rsqrt(variance + self.epsilon)
        if self.weight is not None:
            factor = factor * self.weight
        return x * factor[:, None, None] + (self.bias - mean * factor)[:, None, None]

    @torch.no_grad()
    def _track(self, x: Tensor) -> None:
        variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class Conv2d(nn.Module):
    """A convolution without bias: batch norm by the images' own statistics would cancel one exactly.

    Weights are drawn uniformly as Glorot & Bengio (2010) and kept channels-last, which CPUs convolve faster.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, stride: int, padding: int
    ) -> None:
        super().__init__()
        weight = nn.init.xavier_uniform_(torch.empty(out_channels, in_channels, kernel, kernel))
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `x` [N, C, H, W]."""
        return F.conv2d(x, self.weight, None, self.stride, self.padding)


class Head(nn.Module):
    """The last layer: one linear unit for each of up to `max_way` classes, drawn as torch.nn.Linear draws.

    An episode of n ways uses the first n rows. Rows beyond the ways of the training regime stay as drawn: a
    learner can be tested on more ways than it was trained on, with that handicap.
    """

    def __init__(self, features: int, max_way: int) -> None:
        super().__init__()
        drawn = nn.Linear(features, max_way)
        self.weight, self.bias = drawn.weight, drawn.bias

    def forward(self, features: Tensor, n_way: int) -> Tensor:
        """Features [T, N, D] -> logits [T, N, n_way]; weights shared, or [T, max_way, D] and [T, max_way]."""
        weight, bias = self.weight[..., :n_way, :], self.bias[..., :n_way]
        if weight.ndim == 2:
            return F.linear(features, weight, bias)
        return torch.baddbmm(bias.unsqueeze(1), features, weight.mT)
