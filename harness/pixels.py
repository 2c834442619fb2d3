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


def to_tensor(
    pixels: npt.NDArray[np.uint8], images: ImageSpec, *, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """uint8 [n, h, w, C] -> float32 [n, channels, size, size], channels last in memory.

    Images that are smaller in the pool are enlarged. Grey is repeated to three channels; colour becomes
    luminance where one channel is asked for. mean, std: of each channel of the pool, 0..255, which the scaling
    `source` takes to 0 and 1; the other scalings are in harness.experiment.Images.
    """
    x = torch.from_numpy(np.ascontiguousarray(pixels)).to(torch.float32)
    to_source = images.scaling == "source"
    x = (x - torch.tensor(mean)) / torch.tensor(std).clamp_min(1e-6) if to_source else x / 255.0
    if x.shape[3] == 3 and images.channels == 1:
        x = (x * torch.tensor(LUMINANCE)).sum(3, keepdim=True)
    if images.scaling == "signed":
        x = x * 2.0 - 1.0
    x = resize(x.permute(0, 3, 1, 2), images.size, images.resize)
    if x.shape[1] == 1 and images.channels == 3:
        x = x.expand(-1, 3, -1, -1)
    return x.contiguous(memory_format=torch.channels_last)
