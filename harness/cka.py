"""Linear centred kernel alignment: are the same images near one another in both sets of features?

With X [n, p] and Y [n, q] centred over the images (Kornblith et al. 2019)

    CKA = ‖YᵀX‖²_F / (‖XᵀX‖_F ‖YᵀY‖_F).

It does not change when either is rotated, scaled or shifted, and does under other invertible maps. It is
biased upwards where features outnumber images: independent noise comes near 1. The debiased form replaces
each ‖·‖² by HSIC₁, the unbiased estimate of Song et al. (2012), as Nguyen et al. (2021) do:

    HSIC₁(K, L) = [tr(K̃L̃) + 1ᵀK̃1 · 1ᵀL̃1 / ((n-1)(n-2)) - 2/(n-2) · 1ᵀK̃L̃1] / (n(n-3)),

K̃ and L̃ being XXᵀ and YYᵀ with zeros on the diagonal. Only the three HSIC₁ are unbiased, not their ratio, so
over many episodes the ratio of sums (`debiased_cka` of all their parts) is nearer the truth than the mean of
the episodes' ratios; the two differ, and a row should say which it holds.

Features of a convolution are flattened, [n, C·H·W], as in the ANIL paper (Raghu et al. 2020).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.measured import Measured, measured, undefined
from harness.similarity import CONSTANT, centred, check_same_images

FEWEST_IMAGES = 4
"""HSIC₁ divides by n - 3."""

_BLOCK = 4096
"""Features that are held in float64 at a time."""


@dataclass(frozen=True, kw_only=True)
class Hsic:
    """HSIC₁ of x with y, of x with itself and of y with itself: what debiased CKA is made of."""

    xy: float
    xx: float
    yy: float


@dataclass(frozen=True, kw_only=True)
class _Products:
    """‖XᵀY‖²_F, ‖XᵀX‖²_F and ‖YᵀY‖²_F of centred features, and the images' squared norms [n] in each."""

    xy: float
    xx: float
    yy: float
    x_norms: Tensor
    y_norms: Tensor


def biased_cka(x: Tensor, y: Tensor) -> Measured:
    """Linear CKA, 0..1, of features [n, p] and [n, q], or [n, C, H, W] which are flattened.

    Undefined where one of the two is constant. Raises ValueError for features of different images.
    """
    products = _products(x, y)
    if products.xx == 0 or products.yy == 0:
        return undefined(CONSTANT)
    return measured(min(products.xy / products.xx**0.5 / products.yy**0.5, 1.0))


def hsic(x: Tensor, y: Tensor) -> Hsic:
    """The parts of debiased CKA for one set of images: [n, p] and [n, q], or [n, C, H, W], flattened.

    Raises ValueError for fewer than FEWEST_IMAGES images, and for features of different images.
    """
    check_same_images(x, y)
    if len(x) < FEWEST_IMAGES:
        raise ValueError(f"Debiased CKA needs at least {FEWEST_IMAGES} images; got {len(x)}.")
    found = _products(x, y)
    k, l = found.x_norms, found.y_norms  # noqa: E741 - the letters of the formula
    return Hsic(
        xy=_unbiased(found.xy, k, l),
        xx=max(_unbiased(found.xx, k, k), 0.0),
        yy=max(_unbiased(found.yy, l, l), 0.0),
    )


def debiased_cka(parts: Iterable[Hsic]) -> Measured:
    """Σ HSIC₁(x, y) / √(Σ HSIC₁(x, x) · Σ HSIC₁(y, y)) over the parts, one an episode; -1..1.

    Of one part it is the CKA of that episode. About 0 for independent features, and then negative as often as
    positive. Undefined where one side does not vary, or only so that all images are equally far apart.

    Raises ValueError for no parts.
    """
    each = list(parts)
    if not each:
        raise ValueError("Debiased CKA needs the parts of at least one episode; got none.")
    xy, xx, yy = (sum(getattr(part, name) for part in each) for name in ("xy", "xx", "yy"))
    if xx == 0 or yy == 0:
        return undefined(CONSTANT[:-1] + ", or equally far apart for all pairs of images.")
    # Within an episode |xy| <= √(xx · yy), as for any inner product; so it is for the sums.
    return measured(max(min(xy / xx**0.5 / yy**0.5, 1.0), -1.0))


def _unbiased(product: float, k: Tensor, l: Tensor) -> float:  # noqa: E741
    """HSIC₁ from ‖XᵀY‖²_F and squared norms [n].

    HSIC₁ does not change when features are shifted, so they may be centred, and the rows of K then sum to
    zero: K̃1 is minus its diagonal k, and tr(K̃L̃) = ‖XᵀY‖²_F - kᵀl. No [n, n] matrix is needed.
    """
    n = len(k)
    diagonal, total = float(k @ l), float(k.sum() * l.sum())
    terms = (product - diagonal, total / ((n - 1) * (n - 2)), -2 * diagonal / (n - 2))
    value = sum(terms) / (n * (n - 3))
    # What rounding leaves of a zero is a zero.
    return 0.0 if abs(value) * n * (n - 3) <= 1e-13 * sum(map(abs, terms)) else value


def _products(x: Tensor, y: Tensor) -> _Products:
    """By [n, n] matrices or by [p, q] ones, whichever are cheaper: they agree to rounding."""
    check_same_images(x, y)
    x, y = x.flatten(1), y.flatten(1)
    (n, p), q = x.shape, y.shape[1]
    if n * (p + q) < p * p + p * q + q * q:
        k, l = _gram(x), _gram(y)  # noqa: E741
        xy, xx, yy = (float((a * b).sum()) for a, b in ((k, l), (k, k), (l, l)))
        return _Products(xy=xy, xx=xx, yy=yy, x_norms=k.diagonal(), y_norms=l.diagonal())
    a, b = centred(x), centred(y)
    xy, xx, yy = (float((left.T @ right).square().sum()) for left, right in ((a, b), (a, a), (b, b)))
    return _Products(xy=xy, xx=xx, yy=yy, x_norms=a.square().sum(1), y_norms=b.square().sum(1))


def _gram(x: Tensor) -> Tensor:
    """XXᵀ [n, n] of centred features; a block of features at a time, as those of a convolution are many."""
    gram = x.new_zeros(len(x), len(x), dtype=torch.float64)
    for block in torch.split(x, _BLOCK, dim=1):
        columns = centred(block)
        gram.addmm_(columns, columns.T)
    return gram
