"""Two sets of features of the same images, before they are compared: their shapes, and what counts as constant.

The measures are in `cka.py` (images as examples) and `cca.py` (channels as neurons, positions as data points);
the plain cosine is here. All compute in float64, whatever the features' type. Where a measure is undefined it
is a NaN with the reason (`Measured`); only what no features could mend, such as sets of different images,
raises ValueError.
"""

import torch
from torch import Tensor

from harness.measured import Measured, measured, undefined

CONSTANT = "All features of one of the two are the same for every image."


def check_same_images(x: Tensor, y: Tensor) -> None:
    """Raise ValueError unless `x` and `y` hold features [n, p] or [n, C, H, W] of the same number n of images."""
    for name, each in (("x", x), ("y", y)):
        if each.ndim not in (2, 4) or not each.numel() or not each.is_floating_point():
            raise ValueError(
                f"Features {name} must be a tensor of real numbers, [n, p] or [n, C, H, W]; "
                f"got {each.dtype} {list(each.shape)}."
            )
    if len(x) != len(y):
        raise ValueError(f"Both features must be of the same images; got {len(x)} and {len(y)}.")


def centred(x: Tensor) -> Tensor:
    """Columns [n, p] less their means, in float64; a column that varies by rounding only becomes zero.

    Exact zeros matter: a constant column would otherwise give rounding errors a direction.
    """
    exact = x.double()
    return torch.where(varies(x), exact - exact.mean(0), 0.0)


def varies(x: Tensor, dim: tuple[int, ...] = (0,)) -> Tensor:
    """Which features are more than a constant over `dim`: their range exceeds ten roundings of their values."""
    low, high = x.amin(dim), x.amax(dim)
    varied: Tensor = (high - low).double() > 10 * torch.finfo(x.dtype).eps * torch.maximum(
        low.abs(), high.abs()
    )
    # A comparison with NaN is false, which would pass for a constant.
    return varied | ~torch.isfinite(high - low)


def mean_cosine(x: Tensor, y: Tensor) -> Measured:
    """Mean over images of the cosine between an image's features in `x` and in `y`, flattened; -1..1.

    Unlike CKA and CCA it compares feature by feature: a rotation or permutation of features lowers it.
    Undefined where an image's features are all zero.

    Raises ValueError unless both are [n, p] or both [n, C, H, W], of one shape.
    """
    check_same_images(x, y)
    if x.shape != y.shape:
        raise ValueError(
            f"A cosine needs the same features in both; got shapes {list(x.shape)} and {list(y.shape)}."
        )
    a, b = x.flatten(1).double(), y.flatten(1).double()
    lengths = a.norm(dim=1) * b.norm(dim=1)
    zero = int((lengths == 0).sum())
    if zero:
        return undefined(
            f"The features of {zero} of the {len(x)} images are all zero, which has no direction."
        )
    cosines = (a * b).sum(1) / lengths
    return measured(float(cosines.mean().clamp(-1, 1)))
