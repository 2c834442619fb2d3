"""Images to another size. The method's name is part of a run's identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

RESIZES = ("bilinear", "antialias")
"""`bilinear`: Meta-Dataset's, the corners' centres on one another and no smoothing, so that a strong reduction
skips pixels. `antialias`: bicubic, smoothed as far as the reduction asks, as Pillow does (within 0.01 grey
levels of its mode F; of its 8-bit modes within one level, but where those clip an overshoot half-way)."""


def resize(x: Tensor, size: int, method: str) -> Tensor:
    """Float [n, C, H, W] -> [n, C, size, size], whatever the aspect ratio.

    `antialias` overshoots the range of `x` at sharp edges: clamp where that matters. Raises ValueError for a
    method that is none of RESIZES.
    """
    import torch.nn.functional as F

    if x.shape[2:] == (size, size):
        return x
    if method == "bilinear":
        return F.interpolate(x, (size, size), mode="bilinear", align_corners=True)
    if method == "antialias":
        return F.interpolate(x, (size, size), mode="bicubic", align_corners=False, antialias=True)
    raise ValueError(f"there is no way {method!r} of resizing, only {RESIZES}")


def resize_pixels(
    images: npt.NDArray[np.uint8], size: int, method: str, *, at_once: int = 1 << 22
) -> npt.NDArray[np.uint8]:
    """uint8 [n, H, W, C] -> uint8 [n, size, size, C], rounded to the nearest.

    at_once: about so many values are floats at a time, or those of one image where it has more.
    """
    import torch

    if images.shape[1:3] == (size, size):
        return images
    out = np.empty((len(images), size, size, images.shape[3]), dtype=np.uint8)
    step = max(1, at_once // max(images[:1].size, out[:1].size, 1))
    for start in range(0, len(images), step):
        part = torch.from_numpy(np.ascontiguousarray(images[start : start + step])).permute(0, 3, 1, 2)
        sized = resize(part.to(torch.float32), size, method).clamp_(0, 255).round_()
        out[start : start + step] = sized.to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return out
