"""How far apart the classes are in feature space: has the body specialised to the classes of a task?

With x the features of an image, μ_c the mean of class c, m_c its images, and averages over the classes that
have at least two images:

    within  = mean over classes c     of E‖x - μ_c‖²,    estimated by Σ_i ‖x_i - x̄_c‖² / (m_c - 1) = s_c²
    between = mean over pairs c ≠ c'  of ‖μ_c - μ_c'‖²,  estimated by ‖x̄_c - x̄_c'‖² - s_c² / m_c - s_c'² / m_c'

Both estimates are unbiased for images drawn independently from each class, however few: the plain distance
between the means of few images is too large, by what is taken off. `between` is therefore negative now and
then where classes do not differ; keep it so when averaging over episodes, and take ratios of the averages.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.measured import Measured, measured, undefined

FEWEST_IMAGES = 2
"""Of a class, to know how far its images lie apart; a class with fewer is left out."""

_TOO_FEW = f"Distances between classes need at least two classes of at least {FEWEST_IMAGES} images."
_CONSTANT = "The features are the same for every image."


@dataclass(frozen=True, kw_only=True)
class ClassDistances:
    """Mean squared distances, in squared units of the features: of images to their class mean, between means.

    `reason` is empty, or says why both are NaN.
    """

    within: float
    between: float
    reason: str = ""

    @property
    def spread(self) -> Measured:
        """within / between: 0 for collapsed classes; scale-free. Undefined where `between` is not above 0."""
        if self.reason:
            return undefined(self.reason)
        if self.between <= 0:
            return undefined("The class means are no farther apart than chance puts them.")
        return measured(self.within / self.between)

    @property
    def separation(self) -> Measured:
        """between / (between + 2 · within): 0 where classes do not differ, 1 for collapsed ones; scale-free.

        It is 1 - E‖x - x'‖² of two images of one class over that of two of different classes. Negative, a
        little, where chance puts the means closer than it would on average; never above 1.
        """
        if self.reason:
            return undefined(self.reason)
        apart = self.between + 2 * self.within
        return measured(self.between / apart) if apart > 0 else undefined(_CONSTANT)


def class_distances(features: Tensor, labels: Tensor) -> ClassDistances:
    """`within` and `between` of features [n, D], or [n, C, H, W] which are flattened, with labels [n].

    NaN with the reason for fewer than two classes of FEWEST_IMAGES images, for constant features, and for
    those that are not finite. Raises ValueError for labels of another number of images.
    """
    classes = _by_class(features, labels)
    reason = _unusable(classes)
    if reason:
        return ClassDistances(within=math.nan, between=math.nan, reason=reason)
    variances, counts = _variances(classes)
    spread = variances * counts / (counts - 1)
    error = spread / counts
    between = _over_pairs(_mean_distances(classes) - error[:, None] - error[None, :])
    return ClassDistances(within=float(spread.mean()), between=between)


def mean_distances(parts: Sequence[ClassDistances]) -> ClassDistances:
    """The averages over episodes, each weighing the same; those with a reason are left out.

    With none left, the reason is the first one's. Raises ValueError for no parts.
    """
    if not parts:
        raise ValueError("An average needs the distances of at least one episode; got none.")
    usable = [part for part in parts if not part.reason]
    if not usable:
        return parts[0]
    within, between = (
        sum(getattr(part, name) for part in usable) / len(usable) for name in ("within", "between")
    )
    return ClassDistances(within=within, between=between)


def class_distance_normalised_variance(features: Tensor, labels: Tensor) -> Measured:
    """Mean over pairs of classes of (Var_c + Var_c') / (2 ‖x̄_c - x̄_c'‖²) (Galanti et al. 2021).

    Var_c is the mean squared distance of the class's images to their mean: the plug-in form, as published.
    It is too small for few images, as Var_c is and the means' distance is too large: compare equal shots only.
    Shapes, classes and reasons are those of `class_distances`; undefined also where two class means coincide.
    """
    classes = _by_class(features, labels)
    reason = _unusable(classes)
    if reason:
        return undefined(reason)
    variances, _ = _variances(classes)
    distances = _mean_distances(classes)
    apart = distances[_pairs(len(classes))]
    if not (apart > 0).all():
        return undefined("The means of two classes coincide.")
    sums = (variances[:, None] + variances[None, :])[_pairs(len(classes))]
    return measured(float((sums / (2 * apart)).mean()))


def _by_class(features: Tensor, labels: Tensor) -> list[Tensor]:
    """Features [m_c, D] in float64 of each class that has images enough."""
    if features.ndim not in (2, 4) or labels.shape != features.shape[:1]:
        raise ValueError(
            "Class distances need features [n, D] or [n, C, H, W] and labels [n]; "
            f"got {list(features.shape)} and {list(labels.shape)}."
        )
    exact = features.flatten(1).double()
    groups = [exact[labels == label] for label in torch.unique(labels)]
    return [group for group in groups if len(group) >= FEWEST_IMAGES]


def _unusable(classes: Sequence[Tensor]) -> str:
    if len(classes) < 2:
        return _TOO_FEW
    everything = torch.cat(list(classes))
    if not torch.isfinite(everything).all():
        return "The features are not finite."
    return _CONSTANT if (everything == everything[0]).all() else ""


def _variances(classes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean squared distance to the class's own mean [K], biased, and the number of images [K]."""
    variances = [(group - group.mean(0)).square().sum(1).mean() for group in classes]
    counts = [float(len(group)) for group in classes]
    return torch.stack(variances), torch.stack(variances).new_tensor(counts)


def _mean_distances(classes: Sequence[Tensor]) -> Tensor:
    """Squared distances between class means [K, K]."""
    means = torch.stack([group.mean(0) for group in classes])
    return torch.stack([(means - mean).square().sum(1) for mean in means])


def _pairs(n_classes: int) -> tuple[Tensor, Tensor]:
    first, second = torch.triu_indices(n_classes, n_classes, offset=1)
    return first, second


def _over_pairs(matrix: Tensor) -> float:
    return float(matrix[_pairs(len(matrix))].mean())
