"""Residual backbones by name: ResNet-12, ResNet-18 and WRN-28-10, each running many tasks side by side.

Their stages are the layers that masks, freezing and probes speak of: a stem, where there is one, and the groups of
blocks. Convolutions have no bias, batch norm has offset and scale, and the read-out is the spatial mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from harness.errors import ConfigError
from harness.layers import BatchNorm, Conv2d, Statistics
from harness.networks import BATCH_NORM_POLICIES, Body, SpatialMean
from harness.parameters import check_above, check_choice, check_fields, check_name, check_whole

LEAK = 0.1
"""Slope below zero of ResNet-12's activations."""


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> Conv2d:
    return Conv2d(in_channels, out_channels, kernel=kernel, stride=stride, padding=kernel // 2)


def _max_pool(x: Tensor, kernel: int, stride: int, padding: int = 0) -> Tensor:
    """Of images [T, N, C, H, W]."""
    pooled = F.max_pool2d(x.flatten(0, 1), kernel, stride, padding)
    return pooled.view(*x.shape[:2], *pooled.shape[1:])


class _Row(nn.Module):
    """Stages one after another, as one stage."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        for part in self.parts:
            x = part(x, statistics)
        return x


class _PooledBlock(nn.Module):
    """ResNet-12's: three convolutions with batch norm, a projected shortcut, and 2x2 max pooling."""

    def __init__(self, in_channels: int, filters: int, epsilon: float) -> None:
        super().__init__()
        sizes = (in_channels, filters, filters)
        self.convs = nn.ModuleList(_conv(size, filters, 3) for size in sizes)
        self.norms = nn.ModuleList(BatchNorm(filters, scale=True, epsilon=epsilon) for _ in sizes)
        self.shortcut = _conv(in_channels, filters, 1)
        self.shortcut_norm = BatchNorm(filters, scale=True, epsilon=epsilon)

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        """[T, N, C, H, W] -> [T, N, filters, H/2, W/2], rounded down."""
        y = x
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = norm(conv(y), statistics)
            y = F.leaky_relu(y, LEAK) if number < 2 else y
        y = y + self.shortcut_norm(self.shortcut(x), statistics)
        return _max_pool(F.leaky_relu(y, LEAK), 2, 2)


class _BasicBlock(nn.Module):
    """ResNet-18's: two convolutions with batch norm, and a shortcut, projected where the shape changes."""

    def __init__(self, in_channels: int, filters: int, stride: int, epsilon: float) -> None:
        super().__init__()
        self.conv1, self.conv2 = _conv(in_channels, filters, 3, stride), _conv(filters, filters, 3)
        self.norm1, self.norm2 = (BatchNorm(filters, scale=True, epsilon=epsilon) for _ in range(2))
        changes = stride != 1 or in_channels != filters
        self.shortcut = _conv(in_channels, filters, 1, stride) if changes else None
        self.shortcut_norm = BatchNorm(filters, scale=True, epsilon=epsilon) if changes else None

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        """[T, N, C, H, W] -> [T, N, filters, H/stride, W/stride], rounded up."""
        y = F.relu(self.norm1(self.conv1(x), statistics))
        y = self.norm2(self.conv2(y), statistics)
        if self.shortcut is not None and self.shortcut_norm is not None:
            x = self.shortcut_norm(self.shortcut(x), statistics)
        return F.relu(y + x)


class _Stem(nn.Module):
    """ResNet-18's: a 7x7 convolution of stride 2, batch norm, and 3x3 max pooling of stride 2."""

    def __init__(self, in_channels: int, filters: int, epsilon: float) -> None:
        super().__init__()
        self.conv, self.norm = (
            _conv(in_channels, filters, 7, 2),
            BatchNorm(filters, scale=True, epsilon=epsilon),
        )

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        """[T, N, C, H, W] -> [T, N, filters, H/4, W/4], rounded up."""
        return _max_pool(F.relu(self.norm(self.conv(x), statistics)), 3, 2, 1)


class _FirstConv(nn.Module):
    """WRN's first convolution alone: its blocks begin with batch norm."""

    def __init__(self, in_channels: int, filters: int) -> None:
        super().__init__()
        self.conv = _conv(in_channels, filters, 3)

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:  # noqa: ARG002
        y: Tensor = self.conv(x)
        return y


class _WideBlock(nn.Module):
    """WRN's: batch norm and ReLU before each of two convolutions; the shortcut is projected where the width changes."""

    def __init__(self, in_channels: int, filters: int, stride: int, epsilon: float) -> None:
        super().__init__()
        self.norm1 = BatchNorm(in_channels, scale=True, epsilon=epsilon)
        self.conv1 = _conv(in_channels, filters, 3, stride)
        self.norm2 = BatchNorm(filters, scale=True, epsilon=epsilon)
        self.conv2 = _conv(filters, filters, 3)
        self.shortcut = _conv(in_channels, filters, 1, stride) if in_channels != filters else None

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        """[T, N, C, H, W] -> [T, N, filters, H/stride, W/stride], rounded up."""
        begun = F.relu(self.norm1(x, statistics))
        y = F.relu(self.norm2(self.conv1(begun), statistics))
        y = self.conv2(y)
        result: Tensor = y + (x if self.shortcut is None else self.shortcut(begun))
        return result


class _LastNorm(nn.Module):
    """Batch norm and ReLU, with which WRN ends."""

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.norm = BatchNorm(channels, scale=True, epsilon=epsilon)

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        return F.relu(self.norm(x, statistics))


@dataclass(frozen=True, kw_only=True)
class ResNet12:
    """Four blocks of three convolutions, the few-shot standard (Oreshkin et al. 2018; widths of Lee et al. 2019).

    filters: of the four blocks. batch_norm: what normalises the queries, see `networks.BATCH_NORM_POLICIES`.
    batch_norm_epsilon: added to the variance. DropBlock, which Lee et al. train with, is left out.
    """

    name: str = "resnet12"
    filters: tuple[int, ...] = (64, 160, 320, 640)
    batch_norm: str = "transductive"
    batch_norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_fields(self)
        _check("ResNet12", self.name, self.filters, 4, self.batch_norm, self.batch_norm_epsilon)

    def build(self, in_channels: int, image_size: int) -> Body:
        """A freshly drawn body; raises ConfigError for images too small for four halvings."""
        _check_image("ResNet12", in_channels, image_size, 16, "halves the image four times")
        sizes = (in_channels, *self.filters)
        stages = {
            f"block{i + 1}": _PooledBlock(sizes[i], sizes[i + 1], self.batch_norm_epsilon) for i in range(4)
        }
        return Body(stages, SpatialMean(), out_features=self.filters[-1], batch_norm=self.batch_norm)


@dataclass(frozen=True, kw_only=True)
class ResNet18:
    """He et al. 2016 (arXiv 1512.03385), table 1: a stem and four groups of two blocks; 512 features.

    filters: of the four groups; the stem has those of the first. batch_norm, batch_norm_epsilon: as in ResNet12.
    """

    name: str = "resnet18"
    filters: tuple[int, ...] = (64, 128, 256, 512)
    batch_norm: str = "transductive"
    batch_norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_fields(self)
        _check("ResNet18", self.name, self.filters, 4, self.batch_norm, self.batch_norm_epsilon)

    def build(self, in_channels: int, image_size: int) -> Body:
        """A freshly drawn body; raises ConfigError for images that leave a single position to normalise over."""
        _check_image("ResNet18", in_channels, image_size, 33, "leaves a single position of anything smaller")
        epsilon = self.batch_norm_epsilon
        stages: dict[str, nn.Module] = {"stem": _Stem(in_channels, self.filters[0], epsilon)}
        sizes = (self.filters[0], *self.filters)
        for i in range(4):
            first = _BasicBlock(sizes[i], sizes[i + 1], 1 if i == 0 else 2, epsilon)
            stages[f"group{i + 1}"] = _Row([first, _BasicBlock(sizes[i + 1], sizes[i + 1], 1, epsilon)])
        return Body(stages, SpatialMean(), out_features=self.filters[-1], batch_norm=self.batch_norm)


@dataclass(frozen=True, kw_only=True)
class WideResNet:
    """Zagoruyko & Komodakis 2016 (arXiv 1605.07146), table 1; WRN-28-10 by default: 640 features.

    depth: 6 n + 4 for n blocks a group. width: k, the groups have 16 k, 32 k and 64 k filters. Without dropout.
    batch_norm, batch_norm_epsilon: as in ResNet12.
    """

    name: str = "wrn_28_10"
    depth: int = 28
    width: int = 10
    batch_norm: str = "transductive"
    batch_norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_fields(self)
        filters = tuple(f * self.width for f in (16, 32, 64))
        _check("WideResNet", self.name, filters, 3, self.batch_norm, self.batch_norm_epsilon)
        if self.depth < 10 or (self.depth - 4) % 6:
            raise ConfigError(f"WideResNet.depth must be 6 n + 4, as 10, 16, 22 or 28; got {self.depth}.")

    def build(self, in_channels: int, image_size: int) -> Body:
        """A freshly drawn body; raises ConfigError for images too small for two halvings."""
        _check_image("WideResNet", in_channels, image_size, 8, "halves the image twice")
        epsilon, each = self.batch_norm_epsilon, (self.depth - 4) // 6
        stages: dict[str, nn.Module] = {"stem": _FirstConv(in_channels, 16)}
        before = 16
        for i in range(3):
            filters = 16 * 2**i * self.width
            blocks: list[nn.Module] = [_WideBlock(before, filters, 1 if i == 0 else 2, epsilon)]
            blocks += [_WideBlock(filters, filters, 1, epsilon) for _ in range(each - 1)]
            stages[f"group{i + 1}"] = _Row([*blocks, _LastNorm(filters, epsilon)] if i == 2 else blocks)
            before = filters
        return Body(stages, SpatialMean(), out_features=before, batch_norm=self.batch_norm)


def _check(
    plugin: str, name: str, filters: Sequence[int], count: int, batch_norm: str, epsilon: float
) -> None:
    check_name(plugin, name)
    check_choice(f"{plugin}.batch_norm", batch_norm, BATCH_NORM_POLICIES)
    check_above(f"{plugin}.batch_norm_epsilon", epsilon, 0)
    if len(filters) != count:
        raise ConfigError(f"{plugin}.filters must be {count} numbers; got {list(filters)}.")
    for each in filters:
        check_whole(f"{plugin}.filters", each, low=1)


def _check_image(plugin: str, channels: int, size: int, smallest: int, why: str) -> None:
    check_whole("in_channels", channels, low=1)
    if size < smallest:
        raise ConfigError(
            f"{plugin} {why}, so {size} pixels are too few. Set Images.size to at least {smallest}."
        )
