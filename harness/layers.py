"""Layers that run many tasks side by side, each with weights and normalisation statistics of its own.

A stored weight is shared by all tasks; the inner loop puts one a task in its place through
`torch.func.functional_call`. Statistics of batch norm are always per task: over a batch that mixes tasks, or
mixes support and query, it would be a different algorithm.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.conv_block import conv_block
from harness.conv_parts import Block
from harness.task_convolutions import Geometry, convolve

Mode = Literal["batch", "track", "record", "replay", "running"]


class Statistics:
    """Which statistics the batch-norm layers use during one forward pass over the tasks' images.

    batch: those of each task's images passed. track: the same, and the running averages move towards them,
    task after task. record: the same, and kept in this object. replay: those recorded. running: the running
    averages.
    """

    def __init__(
        self,
        mode: Mode,
        recorded: dict[nn.Module, tuple[Tensor, Tensor]] | None = None,
        by_task: "dict[int, Statistics] | None" = None,
    ) -> None:
        self.mode = mode
        self.recorded = {} if recorded is None else recorded
        self._by_task: dict[int, Statistics] = {} if by_task is None else by_task

    def replay(self) -> "Statistics":
        """The statistics recorded so far, for use on other images of the same tasks."""
        by_task = {number: statistics.replay() for number, statistics in self._by_task.items()}
        return Statistics("replay", self.recorded, by_task)

    def of_task(self, number: int) -> "Statistics":
        """Those of one of the tasks, for layers that work on one task at a time."""
        return self._by_task.setdefault(number, Statistics(self.mode))


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) with a learned offset and, if asked, a scale.

    Offset and scale are [C], or [T, C] where the inner loop adapts them: for a learner that `adapts_norms`; in others
    they are meta-learned alone, as in the code base the ANIL paper built on. The running averages move by `momentum`
    with every task of a forward pass that tracks, so they cover about the last 1 / momentum: several tasks, each before
    and after adaptation.
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
        """Normalise `x` [T, N, C, H, W] with the statistics asked for."""
        mean, variance = self._moments(x, statistics)
        factor = torch.rsqrt(variance + self.epsilon)
        if self.weight is not None:
            factor = factor * self.weight
        shift = self.bias - mean * factor
        return torch.addcmul(shift[:, None, :, None, None], x, factor[:, None, :, None, None])

    def _moments(self, x: Tensor, statistics: Statistics) -> tuple[Tensor, Tensor]:
        """Mean and variance of each task, [T, C], or of all tasks, [1, C]."""
        if statistics.mode == "running":
            return self.running_mean[None], self.running_var[None]
        if statistics.mode == "replay":
            return statistics.recorded[self]
        mean = x.mean(dim=(1, 3, 4))
        variance = (x - mean[:, None, :, None, None]).square().mean(dim=(1, 3, 4))
        if statistics.mode == "record":
            statistics.recorded[self] = mean, variance
        if statistics.mode == "track":
            self._track(mean.detach(), variance.detach())
        return mean, variance

    def _track(self, means: Tensor, variances: Tensor) -> None:
        for mean, variance in zip(means, variances, strict=True):
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)


class Conv2d(nn.Module):
    """A convolution without bias: batch norm by the images' own statistics would cancel one exactly.

    Weights are drawn uniformly as Glorot & Bengio (2010) and kept channels-last, which CPUs convolve faster. `low`:
    convolve in bfloat16.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, stride: int, padding: int
    ) -> None:
        super().__init__()
        weight = nn.init.xavier_uniform_(torch.empty(out_channels, in_channels, kernel, kernel))
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.stride, self.padding = stride, padding
        self.low = False

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `x` [T, N, C, H, W] with weights for all tasks, or one set a task, [T, O, C, k, k]."""
        every = Block(0, len(x), (slice(0, x.shape[1]),))
        geometry = Geometry(stride=self.stride, padding=self.padding, low=self.low)
        weight: Tensor = self.weight
        if weight.ndim == 5 and weight.requires_grad:
            # One weight repeated for all tasks is convolved once, and its gradient would be that of the first task.
            weight = weight.contiguous()
        y = convolve(x, weight, every, every.images[0], geometry)
        return y.view(*x.shape[:2], *y.shape[1:])


class ConvBlock(nn.Module):
    """Convolution, batch norm, ReLU, then 2x2 max pooling if asked."""

    def __init__(
        self, in_channels: int, filters: int, *, stride: int, pool: bool, scale: bool, epsilon: float
    ):
        super().__init__()
        self.conv = Conv2d(in_channels, filters, kernel=3, stride=stride, padding=1)
        self.norm = BatchNorm(filters, scale=scale, epsilon=epsilon)
        self.pool = pool

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        """[T, N, C, H, W] -> [T, N, filters, H/2, W/2], rounded up for strides and down for pooling.

        By each task's own statistics it is one operation on the parameters of `conv` and `norm`, whose own `forward`
        (and hooks on it) is then passed over; a convolution or norm of another class is called.
        """
        plain = type(self.conv) is Conv2d and type(self.norm) is BatchNorm
        if statistics.mode == "batch" and plain:
            geometry = Geometry(
                stride=self.conv.stride,
                padding=self.conv.padding,
                pool=self.pool,
                epsilon=self.norm.epsilon,
                low=self.conv.low,
            )
            return conv_block(x, self.conv.weight, self.norm.weight, self.norm.bias, geometry)
        x = F.relu(self.norm(self.conv(x), statistics))
        if not self.pool:
            return x
        pooled = F.max_pool2d(x.flatten(0, 1), 2)
        return pooled.view(*x.shape[:2], *pooled.shape[1:])


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
