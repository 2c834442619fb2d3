"""Fréchet distance between the Gaussians fitted to two sets of features.

For means μ₁, μ₂ and covariances C₁, C₂ (Dowson & Landau 1982; Heusel et al. 2017)

    d² = ‖μ₁ - μ₂‖² + tr C₁ + tr C₂ - 2 tr (C₁ C₂)^{1/2}.

With roots R, C = RᵀR, the last trace is the sum of the singular values of R₁R₂ᵀ: no matrix square root, no
product whose eigenvalues rounding makes negative, and no more than [n, n] for n images of many features.

**Few images.** The plain d² of n images is too large, by about as much for two samples of one source as for
two of different ones: 1.0 of a total variance of 4.7 for n = 100 images of 64 features with a variance of 1/k
in direction k. `frechet_distance` takes that off: samples are halved, and what the halves of one sample are
apart, they are by chance. For those n = 100 images, true distances of 0, 0.24 (another scale), 0.43 (another
mean) and 2.73 (other directions) came out as 0.98, 1.39, 1.35 and 3.76 plain and as 0.00, 0.17, 0.38 and 2.77
corrected; with n = 400, the 0.24 as 0.23. So what remains is that differences of scale are somewhat too small
where images are not many more than features. Extrapolation to infinite n from subsamples (Chong & Forsyth 2020)
scattered more, and fails for n below the number of features. The corrected distance may be slightly negative
where the two do not differ: leave it so in averages.

Features of all sets must come from one network in one fixed state (`task2vec.fixed_statistics`): batch norm by
each set's own images would take away much of what sets them apart.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.measured import Measured, measured, undefined

FEWEST_IMAGES = 4
"""Of a set, to be halved and still have a variance."""


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """A mean [D] and a root [r, D] of the covariance, which is rootᵀ root; float64."""

    mean: Tensor
    root: Tensor


def fitted_gaussian(features: Tensor) -> Gaussian:
    """Mean and unbiased covariance of features [n, D]; r is the smaller of n and D.

    Raises ValueError for fewer than two images.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(
            f"A Gaussian is fitted to features [n, D] of at least 2 images; got {list(features.shape)}."
        )
    exact = features.double()
    mean = exact.mean(0)
    root = (exact - mean) / (len(exact) - 1) ** 0.5
    return Gaussian(mean=mean, root=root if len(root) <= root.shape[1] else torch.linalg.qr(root, mode="r").R)


def squared_distance(a: Gaussian, b: Gaussian) -> float:
    """d² of two Gaussians over the same features, in squared units of the features; never below 0.

    Raises ValueError for Gaussians over different numbers of features.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(
            f"Fréchet distance needs the same features in both; got {len(a.mean)} and {len(b.mean)} of them."
        )
    common = float(torch.linalg.svdvals(a.root @ b.root.T).sum())
    spread = float(a.root.square().sum() + b.root.square().sum()) - 2 * common
    return float((a.mean - b.mean).square().sum()) + max(spread, 0.0)


def plain_frechet_distance(x: Tensor, y: Tensor) -> Measured:
    """d² of the Gaussians fitted to features [n, D] and [m, D], as is: too large for few images.

    Undefined for features that are not finite. Raises ValueError for fewer than two images, and for different
    numbers of features.
    """
    if not _finite(x, y):
        return measured(float("nan"))
    return measured(squared_distance(fitted_gaussian(x), fitted_gaussian(y)))


def frechet_distance(x: Tensor, y: Tensor, *, splits: int = 4, seed: int = 0) -> Measured:
    """d² of features [n, D] and [m, D] less what few images add to it, in squared units of the features.

    The smaller number of images is used of both. Each of `splits` times both samples are halved at random,
    giving x₁, x₂, y₁, y₂: the mean of the four d²(x_i, y_j), less the mean of d²(x₁, x₂) and d²(y₁, y₂).
    The same features and `seed` give the same number.

    Undefined with fewer than FEWEST_IMAGES images, and for features that are not finite. Raises ValueError
    for different numbers of features, and for no splits.
    """
    if splits < 1:
        raise ValueError(f"Fréchet distance needs at least 1 split; got {splits}.")
    n = min(len(x), len(y))
    if n < FEWEST_IMAGES:
        return undefined(f"{n} images are too few for a Fréchet distance: it needs {FEWEST_IMAGES} of both.")
    if not _finite(x, y):
        return measured(float("nan"))
    generator = torch.Generator().manual_seed(seed)
    return measured(
        sum(_excess(*_halves(x, n, generator), *_halves(y, n, generator)) for _ in range(splits)) / splits
    )


def _excess(x1: Gaussian, x2: Gaussian, y1: Gaussian, y2: Gaussian) -> float:
    across = sum(squared_distance(x, y) for x in (x1, x2) for y in (y1, y2)) / 4
    return across - (squared_distance(x1, x2) + squared_distance(y1, y2)) / 2


def _halves(x: Tensor, n: int, generator: torch.Generator) -> tuple[Gaussian, Gaussian]:
    """Gaussians of two disjoint random sets of n // 2 of the images."""
    order = torch.randperm(len(x), generator=generator).to(x.device)
    half = n // 2
    return fitted_gaussian(x[order[:half]]), fitted_gaussian(x[order[half : 2 * half]])


def _finite(x: Tensor, y: Tensor) -> bool:
    return bool(torch.isfinite(x).all() and torch.isfinite(y).all())
