"""Pool pixels -> network input."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.resizing import resize
from harness.spec import ImageSpec

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""

SMALLEST_DEVIATION = 1e-6
"""In grey levels: a channel that is constant over its pool becomes 0, not a division by 0."""

AT_ONCE = 1 << 16
"""Pixels in one step: what is made of them stays in the processor's cache until it is written out once."""

Floats = npt.NDArray[np.float32]
Levels = npt.NDArray[np.uint8]


def to_tensor(pixels: Levels, images: ImageSpec, *, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """uint8 [n, h, w, C] -> float32 [n, channels, size, size], channels last in memory.

    Resized where the pool has another size, never leaving 0..255; then scaled; then brought to `channels`: grey
    is repeated to three, colour becomes luminance where one is asked for. mean, std: of each channel of the
    pool, 0..255, which the scaling `source` takes to 0 and 1; the others are in harness.experiment.Images.
    """
    size, channels = images.size, images.channels
    out = torch.empty(len(pixels), size, size, channels)
    filled = out.numpy()
    step = max(1, AT_ONCE // (size * size))
    for start in range(0, len(pixels), step):
        target = filled[start : start + step]
        fits = pixels.shape[3] == channels
        x = target if fits else np.empty((*target.shape[:3], pixels.shape[3]), np.float32)
        x[...] = _resized(pixels[start : start + step], images)
        _scale(x, images.scaling, mean, std)
        if not fits:
            _recolour(x, target)
    return out.permute(0, 3, 1, 2)


def _resized(pixels: Levels, images: ImageSpec) -> Levels | Floats:
    """Grey levels [n, size, size, C]."""
    if pixels.shape[1:3] == (images.size, images.size):
        return pixels
    levels = torch.from_numpy(np.ascontiguousarray(pixels)).to(torch.float32).permute(0, 3, 1, 2)
    sized: Floats = resize(levels, images.size, images.resize).clamp_(0, 255).permute(0, 2, 3, 1).numpy()
    return sized


def _scale(x: Floats, scaling: str, mean: Sequence[float], std: Sequence[float]) -> None:
    """Scale grey levels [n, size, size, C] in place."""
    if scaling == "source":
        rows, size = x.reshape(*x.shape[:2], -1), x.shape[2]  # long rows: no inner loop over three channels
        rows -= np.tile(np.asarray(mean, np.float32), size)
        rows /= np.tile(np.maximum(np.asarray(std, np.float32), SMALLEST_DEVIATION), size)
    elif scaling == "signed":
        x /= np.float32(127.5)  # divided, not multiplied by the inverse: 255 becomes 1 exactly
        x -= np.float32(1)
    else:
        x /= np.float32(255)


def _recolour(x: Floats, out: Floats) -> None:
    """Write grey [n, size, size, 1] as three channels, or colour [n, size, size, 3] as one."""
    if x.shape[3] == 1:
        for channel in range(3):  # three strided copies: faster than one that repeats within 12 bytes
            out[..., channel] = x[..., 0]
    else:
        red, green, blue = (x[..., c] * np.float32(weight) for c, weight in enumerate(LUMINANCE))
        out[..., 0] = red + green + blue
