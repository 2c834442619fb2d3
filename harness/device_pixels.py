"""Pool pixels -> network input on a GPU: pools kept there, episodes put together there.

The formulas are those of `harness.pixels`, whose values they equal to rounding.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from harness.pixels import LUMINANCE, SMALLEST_DEVIATION, scaled_ends
from harness.pools import Pool
from harness.resizing import resize
from harness.sampling import IntArray
from harness.spec import ImageSpec

RESIDENT_SHARE = 0.5
"""A pool larger than this share of the free memory of its device stays on disk."""


class DevicePool:
    """A pool whose rows become tensors on `device`; its pixels stay there where there is room for them."""

    def __init__(self, pool: Pool, images: ImageSpec, device: str) -> None:
        self._pool, self._images, self._device = pool, images, device
        self._resident = self._upload() if _fits(pool, device) else None

    def __getitem__(self, rows: IntArray) -> Tensor:
        """Images float32 [n, channels, size, size], channels last in memory."""
        if self._resident is None:
            pixels = torch.from_numpy(np.ascontiguousarray(self._pool.images[rows])).to(self._device)
        else:
            pixels = self._resident[torch.from_numpy(rows).to(self._device)]
        return to_device_tensor(pixels, self._images, mean=self._pool.mean, std=self._pool.std)

    def _upload(self) -> Tensor:
        every = np.arange(int(self._pool.class_sizes.sum()), dtype=np.int64)
        return torch.from_numpy(np.ascontiguousarray(self._pool.images[every])).to(self._device)


def _fits(pool: Pool, device: str) -> bool:
    if device == "cpu":
        return True
    one = int(np.prod(pool.images[np.zeros(1, dtype=np.int64)].shape))
    free, _ = torch.cuda.mem_get_info()
    return one * int(pool.class_sizes.sum()) <= RESIDENT_SHARE * free


def to_device_tensor(
    pixels: Tensor, images: ImageSpec, *, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """uint8 [n, h, w, C] -> float32 [n, channels, size, size] on the same device, as `pixels.to_tensor` makes it."""
    x = pixels.to(torch.float32)
    if images.scaling == "source":
        deviation = [max(value, SMALLEST_DEVIATION) for value in std]
        x = (x - x.new_tensor(list(mean))) / x.new_tensor(deviation)
    elif images.scaling == "signed":
        x = x / 127.5 - 1
    else:
        x = x / 255
    if x.shape[3] == 3 and images.channels == 1:
        red, green, blue = (x[..., c] * weight for c, weight in enumerate(LUMINANCE))
        x = (red + green + blue)[..., None]
    if x.shape[1:3] != (images.size, images.size):
        black, white = scaled_ends(images, mean=mean, std=std)[:, : x.shape[3]]
        sized = resize(x.permute(0, 3, 1, 2), images.size, images.resize).permute(0, 2, 3, 1)
        x = sized.clamp(
            torch.from_numpy(black.copy()).to(x.device), torch.from_numpy(white.copy()).to(x.device)
        )
    return x.contiguous().permute(0, 3, 1, 2).expand(-1, images.channels, -1, -1)
