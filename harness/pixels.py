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


def to_tensor(
    pixels: npt.NDArray[np.uint8], images: ImageSpec, *, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """uint8 [n, h, w, C] -> float32 [n, channels, size, size], channels last in memory.

    Scaled, then resized where the pool has another size, never leaving the range of 0..255 scaled. Grey becomes
    three channels that share their memory, which must not be written to: convolutions give the same bits, and
    writing each value three times would take most of the time. Colour becomes luminance where one channel is
    asked for. mean, std: of each channel of the pool, 0..255, which the scaling `source` takes to 0 and 1; the
    other scalings are in harness.experiment.Images.
    """
    channels = min(images.channels, pixels.shape[3])
    out = torch.empty(len(pixels), images.size, images.size, channels)
    filled = out.numpy()
    ends = scaled_ends(images, mean=mean, std=std)
    step = max(1, AT_ONCE // images.size**2)
    for start in range(0, len(pixels), step):
        part, target = pixels[start : start + step], filled[start : start + step]
        if part.shape == target.shape:
            _levels(part, images, mean, std, out=target)
            continue
        x = _levels(part, images, mean, std)
        if x.shape[1:3] != target.shape[1:3]:
            x = _resized(x, images).clip(*ends[:, :channels])
        target[...] = x
    return out.permute(0, 3, 1, 2).expand(-1, images.channels, -1, -1)


def scaled_ends(images: ImageSpec, *, mean: Sequence[float], std: Sequence[float]) -> Floats:
    """Black and white as `to_tensor` scales them: float32 [2, channels]."""
    black_white = np.repeat(np.array([0, 255], np.uint8), len(mean)).reshape(2, 1, 1, -1)
    return np.broadcast_to(_levels(black_white, images, mean, std)[:, 0, 0], (2, images.channels))


def _levels(
    pixels: npt.NDArray[np.uint8],
    images: ImageSpec,
    mean: Sequence[float],
    std: Sequence[float],
    out: Floats | None = None,
) -> Floats:
    """Pixels [n, h, w, C] scaled, in `out` if given; colour as luminance where one channel is asked for."""
    x = np.empty(pixels.shape, np.float32) if out is None else out
    x[...] = pixels
    if images.scaling == "source":
        rows, width = x.reshape(*x.shape[:2], -1), x.shape[2]  # long rows: no inner loop over three channels
        rows -= np.tile(np.asarray(mean, np.float32), width)
        rows /= np.tile(np.maximum(np.asarray(std, np.float32), SMALLEST_DEVIATION), width)
    elif images.scaling == "signed":
        x /= np.float32(127.5)  # divided, not multiplied by the inverse: 255 becomes 1 exactly
        x -= np.float32(1)
    else:
        x /= np.float32(255)
    if x.shape[3] == images.channels or images.channels == 3:
        return x
    red, green, blue = (x[..., c] * np.float32(weight) for c, weight in enumerate(LUMINANCE))
    return np.asarray(red + green + blue)[..., np.newaxis]


def _resized(x: Floats, images: ImageSpec) -> Floats:
    """[n, h, w, C] -> [n, size, size, C]."""
    sized = resize(torch.from_numpy(x).permute(0, 3, 1, 2), images.size, images.resize)
    return np.asarray(sized.permute(0, 2, 3, 1).numpy())
