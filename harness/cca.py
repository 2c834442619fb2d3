"""Canonical correlations between two sets of features: do both span the same directions?

A channel is a neuron, and each (image, position) is one data point (Raghu et al. 2017 and
2020): features [n, C, H, W] are N = n·H·W points of C neurons, features [n, D] are n points of D neurons. With
orthonormal bases U_x [N, a] and U_y [N, b] of the centred neurons, the canonical correlations are the min(a, b)
singular values of U_xᵀU_y; mean CCA is their mean. It does not change under any invertible linear map of the
neurons. SVCCA first keeps, of each, the leading principal directions that hold 99 % of the variance, and so is
invariant to rotation and scaling only.

**Few points.** Between independent Gaussian features the squared correlations sum to a·b / (N - 1) on average;
with N - 1 <= max(a, b) they are all 1, whatever the features. Cells with fewer than POINTS_PER_NEURON points
for each direction are therefore refused; at that bound, independent features still have a root mean square
correlation of about √(1 / POINTS_PER_NEURON) = 0.32. Neighbouring positions of an image are alike, so points
count for less than their number.

**Dead channels.** A channel that is constant spans no direction and is left out, and so is one that the others
give exactly; the mean is over the directions that are left in the smaller of the two.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from harness.measured import Measured, measured, undefined
from harness.similarity import CONSTANT, check_same_images, varies

POINTS_PER_NEURON = 10

_BLOCK = 16384
"""Data points that are held in float64 at a time."""


def mean_cca(x: Tensor, y: Tensor, *, points_per_neuron: float = POINTS_PER_NEURON) -> Measured:
    """Mean canonical correlation, 0..1, of [n, p] and [n, q], or of [n, C, H, W] and [n, C', H, W].

    Undefined where all channels of one are constant, and where there are fewer than `points_per_neuron` data
    points for each direction of the larger of the two.

    Raises ValueError for features of different images or positions.
    """
    return _mean(x, y, None, points_per_neuron)


def svcca(
    x: Tensor, y: Tensor, *, kept: float = 0.99, points_per_neuron: float = POINTS_PER_NEURON
) -> Measured:
    """`mean_cca` of the leading principal directions that hold the share `kept` of each one's variance."""
    return _mean(x, y, kept, points_per_neuron)


def canonical_correlations(x: Tensor, y: Tensor, *, kept: float | None = None) -> Tensor:
    """All canonical correlations [min(a, b)], largest first; none where all channels of one are constant.

    kept: None for CCA; for SVCCA the share of variance to keep.

    Raises ValueError for features of different images or positions.
    """
    a, b = _bases(x, y, kept)
    return _correlations(a, b)


def _mean(x: Tensor, y: Tensor, kept: float | None, points_per_neuron: float) -> Measured:
    a, b = _bases(x, y, kept)
    if not torch.isfinite(a).all() or not torch.isfinite(b).all():
        return measured(float("nan"))
    points, directions = x[:, :1].numel() if x.ndim == 4 else len(x), max(a.shape[1], b.shape[1])
    if not min(a.shape[1], b.shape[1]):
        return undefined(CONSTANT)
    if points < points_per_neuron * directions:
        return undefined(
            f"{points} data points are too few for {directions} directions: "
            f"CCA needs {points_per_neuron:g} for each, and is 1 whatever the features where there are no more "
            "points than directions."
        )
    return measured(float(_correlations(a, b).mean()))


def _correlations(a: Tensor, b: Tensor) -> Tensor:
    found: Tensor = torch.linalg.svdvals(a.T @ b)
    return found.clamp(max=1.0)


def _bases(x: Tensor, y: Tensor, kept: float | None) -> tuple[Tensor, Tensor]:
    """Orthonormal bases [r, a] and [r, b] of the neurons of x and of y, r = p + q at most."""
    check_same_images(x, y)
    if x.shape[2:] != y.shape[2:]:
        raise ValueError(
            f"CCA needs the same positions in both features; got shapes {list(x.shape)} and {list(y.shape)}."
        )
    both = _compressed(x, y)
    p = x.shape[1]
    precision = torch.finfo(x.dtype).eps
    return _basis(both[:, :p], kept, precision), _basis(both[:, p:], kept, precision)


def _basis(neurons: Tensor, kept: float | None, precision: float) -> Tensor:
    """Left singular vectors [r, a] of `neurons` [r, p]: all but those of rounding errors, or the share `kept`."""
    if not torch.isfinite(neurons).all():
        return torch.full_like(neurons, torch.nan)
    if kept is None:
        # CCA knows no scale, so a faint channel counts as much as any; a principal direction is about scale.
        neurons = neurons / neurons.norm(dim=0).clamp(min=torch.finfo(neurons.dtype).tiny)
    left: Tensor
    left, singular, _ = torch.linalg.svd(neurons, full_matrices=False)
    rank = int((singular > singular[0] * neurons.shape[1] * precision).sum())
    if kept is not None and rank:
        shares = singular.square().cumsum(0) / singular.square().sum()
        rank = min(rank, int((shares < kept).sum()) + 1)
    return left[:, :rank]


def _compressed(x: Tensor, y: Tensor) -> Tensor:
    """R [min(N, p + q), p + q] of [X Y] = QR, centred: what CCA needs of N data points, without Q.

    X = Q R[:, :p] and Y = Q R[:, p:], so inner products between neurons are those between columns of R. Blocks
    of points are folded in one after another, so that no float64 copy of all of them is made.
    """
    factor = x.new_zeros(0, x.shape[1] + y.shape[1], dtype=torch.float64)
    for points in zip(_blocks(x), _blocks(y), strict=True):
        factor = torch.linalg.qr(torch.cat([factor, torch.cat(points, dim=1)]), mode="r").R
    return factor


def _blocks(x: Tensor) -> Iterator[Tensor]:
    """Centred data points [b, C] in float64, some images at a time; constant channels are exactly zero."""
    grid = x if x.ndim == 4 else x[:, :, None, None]
    mean = grid.mean(dim=(0, 2, 3), dtype=torch.float64)
    live = varies(grid, (0, 2, 3))
    for images in torch.split(grid, max(1, _BLOCK // grid[0, 0].numel())):
        points = images.permute(0, 2, 3, 1).reshape(-1, grid.shape[1]).double()
        yield torch.where(live, points - mean, 0.0)
