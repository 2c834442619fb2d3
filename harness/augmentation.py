"""Augmentations of training images. None by default, as in Meta-Dataset and in the papers' settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ConfigError
from harness.parameters import check_fields, check_whole
from harness.seeds import torch_seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What happens to each training image, support and query alike; episode k's is fixed by (seed, k).

    flip: mirror left and right with probability 1/2. crop: pad by so many pixels on each side (edges
    repeated) and cut out the image size at a random place; 0 for none. jitter: brightness, contrast and
    saturation are each multiplied by a factor drawn uniformly from [1 - jitter, 1 + jitter].
    Raises ConfigError for values out of range.
    """

    flip: bool = False
    crop: int = 0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("Augmentation.crop", self.crop, low=0, high=64)
        if not 0 <= self.jitter < 1:
            raise ConfigError(f"Augmentation.jitter must be at least 0 and below 1; got {self.jitter!r}.")


def augment(x: Tensor, augmentation: Augmentation, *, seed: int, stream: str) -> Tensor:
    """Images [n, C, H, W], each changed in its own way; pure in (x, augmentation, seed, stream)."""
    import torch

    generator = torch.Generator().manual_seed(torch_seed(seed, f"augment/{stream}"))
    if augmentation.crop:
        x = _crop(x, augmentation.crop, generator)
    if augmentation.flip:
        mirrored = torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5
        x = torch.where(mirrored, x.flip(3), x)
    if augmentation.jitter:
        x = _jitter(x, augmentation.jitter, generator)
    return x.contiguous(memory_format=torch.channels_last)


def _crop(x: Tensor, margin: int, generator: torch.Generator) -> Tensor:
    import torch
    import torch.nn.functional as F

    n, _, height, width = x.shape
    padded = F.pad(x, (margin,) * 4, mode="replicate")
    top, left = torch.randint(0, 2 * margin + 1, (2, n, 1), generator=generator)
    rows = (top + torch.arange(height))[:, :, None]
    columns = (left + torch.arange(width))[:, None, :]
    return padded[torch.arange(n)[:, None, None], :, rows, columns].permute(0, 3, 1, 2)


def _jitter(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Brightness, contrast, saturation by factors of their own, within the range the images had.

    The darkest value of `x` is its black: the scalings [0, 1] and [-1, 1] are treated alike.
    """
    import torch

    low, high = x.min(), x.max()
    factors = 1 + strength * (2 * torch.rand(3, len(x), 1, 1, 1, generator=generator) - 1)
    x = low + (x - low) * factors[0]
    middle = x.mean((1, 2, 3), keepdim=True)
    x = middle + (x - middle) * factors[1]
    grey = x.mean(1, keepdim=True)
    return (grey + (x - grey) * factors[2]).clamp(low, high)
