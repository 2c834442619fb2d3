"""Backbones by name. A network plugin is a frozen dataclass whose `build` makes a `Body`.

A body is a row of named stages and a read-out. The names are the layers that masks, freezing and probes speak
of; the batch-norm policy is part of the body because it changes every number measured on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from harness.errors import ConfigError
from harness.layers import ConvBlock, Statistics
from harness.parameters import check_above, check_choice, check_fields, check_name, check_whole

BATCH_NORM_POLICIES = ("transductive", "support", "running")
"""What normalises the queries. `transductive`: the queries' own statistics, as MAML's code does, so the queries
of an episode inform one another. `support`: the adapted network's statistics on the support set, as
Meta-Dataset does. `running`: averages kept during training, for support and queries alike."""


class Stage(Protocol):
    """One named layer of a body."""

    def __call__(self, x: Tensor, statistics: Statistics) -> Tensor:
        """T tasks' [T, N, C, H, W] -> [T, N, C', H', W'], each task by itself."""


class Body(nn.Module):
    """Everything below the head.

    Args:
        stages: the layers in order; each is called as `Stage`.
        readout: what turns the last stage's [T, N, C, H, W] into features [T, N, out_features].
        out_features: D.
        batch_norm: one of BATCH_NORM_POLICIES.
    """

    def __init__(
        self, stages: Mapping[str, nn.Module], readout: nn.Module, *, out_features: int, batch_norm: str
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleDict(stages)
        self.readout = readout
        self.out_features, self.batch_norm = out_features, batch_norm
        self._largest: dict[tuple[int, ...], int] = {}

    @property
    def layers(self) -> tuple[str, ...]:
        """The stages' names, input side first."""
        return tuple(self.stages)

    def forward(self, x: Tensor, statistics: Statistics, start: int = 0, stop: int | None = None) -> Tensor:
        """Run stages `start` to `stop` (exclusive) on images [T, N, C, H, W], or on what stage `start - 1` gave.

        With `stop=None` the read-out follows: features [T, N, out_features].
        """
        for stage in list(self.stages.values())[start:stop]:
            x = stage(x, statistics)
        return x if stop is not None else self.readout(x)

    def largest_layer(self, image: Tensor) -> int:
        """The values of the largest stage's output for one image [C, H, W], or of the image if that is larger.

        Found once for each shape by running the body; that changes neither its buffers nor the random numbers.
        """
        shape = tuple(image.shape)
        if shape not in self._largest:
            x = torch.zeros_like(image)[None, None]
            sizes = [x.numel()]
            with torch.no_grad(), torch.random.fork_rng():
                for stage in self.stages.values():
                    x = stage(x, Statistics("batch"))
                    sizes.append(x.numel())
            self._largest[shape] = max(sizes)
        return self._largest[shape]


@runtime_checkable
class Network(Protocol):
    """A network plugin, registered under `harness.networks`."""

    @property
    def name(self) -> str:
        """The network's name in every row."""

    @property
    def batch_norm(self) -> str:
        """The body's batch-norm policy, in every row."""

    def build(self, in_channels: int, image_size: int) -> Body:
        """A freshly drawn body (torch's global generator). Raises ConfigError for an image it cannot take."""


class SpatialMean(nn.Module):
    """The mean over positions: [T, N, C, H, W] -> [T, N, C]."""

    def forward(self, x: Tensor) -> Tensor:
        """Average each channel."""
        return x.mean(dim=(3, 4))


@dataclass(frozen=True, kw_only=True)
class Conv4:
    """Four 3x3 convolution blocks, in the two forms of the ANIL paper (arXiv 1909.09157, appendix).

    Omniglot: `filters=64, downsample='stride', readout='mean'` (the default; 28x28 -> 64 features).
    miniImageNet: `filters=32, downsample='max_pool', readout='flatten'` (84x84 -> 800 features).

    batch_norm: what normalises the queries, see BATCH_NORM_POLICIES. batch_norm_scale: learn a scale beside
    the offset. batch_norm_epsilon: added to the variance.
    """

    name: str = "conv4"
    filters: int = 64
    downsample: str = "stride"
    readout: str = "mean"
    batch_norm: str = "transductive"
    batch_norm_scale: bool = False
    batch_norm_epsilon: float = 1e-3

    def __post_init__(self) -> None:
        check_fields(self)
        check_name("Conv4", self.name)
        check_choice("Conv4.downsample", self.downsample, ("stride", "max_pool"))
        check_choice("Conv4.readout", self.readout, ("mean", "flatten"))
        check_choice("Conv4.batch_norm", self.batch_norm, BATCH_NORM_POLICIES)
        check_whole("Conv4.filters", self.filters, low=1)
        check_above("Conv4.batch_norm_epsilon", self.batch_norm_epsilon, 0)

    def build(self, in_channels: int, image_size: int) -> Body:
        """A freshly drawn body; raises ConfigError for images without channels or too small for four halvings."""
        check_whole("in_channels", in_channels, low=1)
        strided = self.downsample == "stride"
        side = image_size
        for _ in range(4):
            side = (side + 1) // 2 if strided else side // 2
        if side < 1:
            raise ConfigError(
                f"Conv4 halves the image four times, so {image_size} pixels are too few. "
                "Set Images.size to at least 16."
            )
        blocks = {
            f"conv{i + 1}": ConvBlock(
                in_channels if i == 0 else self.filters,
                self.filters,
                stride=2 if strided else 1,
                pool=not strided,
                scale=self.batch_norm_scale,
                epsilon=self.batch_norm_epsilon,
            )
            for i in range(4)
        }
        mean = self.readout == "mean"
        return Body(
            blocks,
            SpatialMean() if mean else nn.Flatten(2),
            out_features=self.filters if mean else self.filters * side * side,
            batch_norm=self.batch_norm,
        )
