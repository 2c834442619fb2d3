"""Augmentations of training images. None by default, as in Meta-Dataset and in the papers' settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.errors import ConfigError
from harness.parameters import check_fields, check_whole
from harness.seeds import counter_rng

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float32]
Draws = npt.NDArray[np.float64]
"""[n, ...]: numbers uniform on [0, 1), a row an image."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What happens to each training image, support and query alike; episode k's is fixed by (seed, k).

    flip: mirror left and right with probability 1/2. crop: pad by so many pixels on each side (edges
    repeated) and cut out the image size at a random place; 0 for none. jitter: brightness, contrast and
    saturation are each multiplied by a factor drawn uniformly from [1 - jitter, 1 + jitter).
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


def augment(x: Tensor, augmentation: Augmentation, *, ends: Floats, seed: int, stream: str) -> Tensor:
    """Images [n, C, H, W], each changed in its own way; `x` stays as it is. Channels last in memory.

    Image k's is pure in (its pixels, k, augmentation, ends, seed, stream), and what one augmentation draws does
    not depend on whether the others are on.
    ends: black and white of each channel [2, C], see `pixels.scaled_ends`; jitter never leaves them.
    """
    import torch

    images: Floats = np.array(x.permute(0, 2, 3, 1).numpy(), order="C")
    draws = counter_rng(seed, f"augment/{stream}", 0).random((len(images), 6))
    if augmentation.crop:
        images = _cropped(images, augmentation.crop, draws[:, :2])
    if augmentation.flip:
        mirrored = draws[:, 2] < 0.5
        images[mirrored] = images[mirrored, :, ::-1]
    if augmentation.jitter:
        factors = 1 + augmentation.jitter * (2 * draws[:, 3:] - 1)
        for image, own in zip(images, factors.astype(np.float32), strict=True):
            _jitter(image, own, ends)
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def _cropped(images: Floats, margin: int, draws: Draws) -> Floats:
    """Moved by -margin .. margin pixels up or down and to a side."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="edge")
    places = (draws * (2 * margin + 1)).astype(np.int64).tolist()
    for target, source, (top, left) in zip(images, padded, places, strict=True):
        target[...] = source[top : top + height, left : left + width]
    return images


def _jitter(image: Floats, factors: Floats, ends: Floats) -> None:
    """Brightness, contrast (about the image's mean) and saturation (about grey, the mean of the channels), in place.

    All of them act on what is above black. image: [H, W, C].
    """
    pixels = image.reshape(-1, image.shape[2])
    x = np.ascontiguousarray(pixels.T)  # [C, H * W]: no inner loop over three channels
    black, white = ends[..., np.newaxis]
    brightness, contrast, saturation = factors
    x -= black
    x *= brightness
    middle = x.mean()
    x *= contrast
    x += (1 - contrast) * middle
    if len(x) > 1:
        grey = x.mean(0)
        x *= saturation
        x += (1 - saturation) * grey
    x += black
    np.clip(x, black, white, out=x)
    for channel, values in enumerate(x):
        pixels[:, channel] = values
