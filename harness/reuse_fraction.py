"""What share of the gain of adaptation comes without adapting the body.

    reuse fraction = (head only - none) / (full - none)

in mean accuracies on the same episodes: 1 when adapting the head alone gains as much as adapting everything, 0
when it gains nothing. It may lie outside 0..1: it is not clipped.

**Interval** (Fieller 1954): the fractions r for which the mean of (head only - none) - r · (full - none) cannot
be told from 0 at 5 %, by the tests of `nested`; so it knows how few the seeds are, and needs no approximation
of a ratio. It is bounded exactly where the 95 % interval of full - none leaves out 0. Elsewhere the fraction is
a quotient of noise and is left undefined.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from harness.nested import Floats, Ints, half_width, nested_mean
from harness.pairing import Comparison, paired_cells

FRACTION_COLUMNS = {
    "fraction": "float64",
    "low": "float64",
    "high": "float64",
    "head_gain": "float64",  # mean accuracy with the head alone adapted, less that with nothing adapted
    "full_gain": "float64",
    "n_episodes": "int64",
    "n_seeds": "int64",
    "reason": "string",  # why the fraction is undefined, else empty
}
"""Columns of `reuse_fractions` after the keys of the comparison; accuracies are -1..1."""


@dataclass(frozen=True, kw_only=True)
class ReuseFraction:
    """The fraction and its interval, without a unit; NaN, with the `reason`, where it is undefined."""

    fraction: float
    low: float
    high: float
    reason: str = ""


def reuse_fraction(head_gain: Floats, full_gain: Floats, seeds: Ints, level: float = 0.95) -> ReuseFraction:
    """The mean of `head_gain` [n] over that of `full_gain` [n], episode by episode, under `seeds` [n] (labels).

    The gains are accuracy less that without adaptation, on the same episode (-1..1); means are of the seeds' means.
    Undefined unless the interval of the mean of `full_gain` at `level` lies above 0.
    """
    full = nested_mean(full_gain, seeds)
    reach = half_width(full, level)
    if not full.mean - reach > 0:
        return _undefined(full.mean, reach, level, full.episode_df)
    head = nested_mean(head_gain, seeds)
    ends = [
        _fieller(head.mean, full.mean, covariance, float(stdtrit(df, (1 + level) / 2)))
        for covariance, df in _covariances(head_gain, full_gain, seeds)
    ]
    lows, highs = zip(*ends, strict=True)
    return ReuseFraction(fraction=head.mean / full.mean, low=min(lows), high=max(highs))


def reuse_fractions(
    frame: pd.DataFrame, comparison: Comparison, *, none: str, head: str, full: str
) -> pd.DataFrame:
    """One row per keys of `comparison` where all three conditions have episodes in common.

    Columns are those keys and FRACTION_COLUMNS; where the fraction is undefined it is NaN and `reason` says
    why. Raises ConfigError as `pairing.paired_cells` does.
    """
    rows: list[dict[str, object]] = []
    heads = {str(key): cell for key, cell in paired_cells(frame, head, none, comparison)}
    for key, full_cell in paired_cells(frame, full, none, comparison):
        if str(key) not in heads:
            continue
        both = full_cell.merge(heads[str(key)], on=["seed", "episode"], suffixes=("_full", "_head"))
        head_gains = both["difference_head"].to_numpy(dtype=np.float64)
        full_gains = both["difference_full"].to_numpy(dtype=np.float64)
        seeds = both["seed"].to_numpy(dtype=np.int64)
        found = reuse_fraction(head_gains, full_gains, seeds)
        head_gain, full_gain = nested_mean(head_gains, seeds), nested_mean(full_gains, seeds)
        rows.append(
            {
                **key, "fraction": found.fraction, "low": found.low, "high": found.high,
                "head_gain": head_gain.mean, "full_gain": full_gain.mean,
                "n_episodes": full_gain.n_episodes, "n_seeds": full_gain.n_seeds, "reason": found.reason,
            }
        )  # fmt: skip
    types = {key: frame[key].dtype for key in comparison.keys}
    columns = pd.Index([*comparison.keys, *FRACTION_COLUMNS])
    return pd.DataFrame(rows, columns=columns).astype({**types, **FRACTION_COLUMNS})


def _undefined(mean: float, reach: float, level: float, df: int) -> ReuseFraction:
    reason = (
        f"full adaptation does not clearly gain over none: {100 * mean:.1f} ± {100 * reach:.1f} points "
        f"({100 * level:g} % interval)"
        if df
        else "too few episodes"
    )
    return ReuseFraction(fraction=float("nan"), low=float("nan"), high=float("nan"), reason=reason)


def _covariances(x: Floats, y: Floats, seeds: Ints) -> list[tuple[npt.NDArray[np.float64], int]]:
    """Covariance [2, 2] of the two means, with degrees of freedom: from the episodes, and from several seeds."""
    names, index = np.unique(seeds, return_inverse=True)
    both = np.stack([x, y])
    sizes, count = np.bincount(index), len(names)
    means = np.stack([np.bincount(index, weights=row) for row in both]) / sizes
    residual, df = both - means[:, index], len(x) - count
    found = [(residual @ residual.T / df * np.sum(1 / sizes) / count**2, df)]
    if count > 1:
        found.append((np.cov(means, ddof=1) / count, count - 1))
    return found


def _fieller(x: float, y: float, covariance: npt.NDArray[np.float64], t: float) -> tuple[float, float]:
    """The r with (x - r y)² <= t² Var(x - r y), for y² > t² Var(y): between the roots of a quadratic."""
    a = y**2 - t**2 * covariance[1, 1]
    b = x * y - t**2 * covariance[0, 1]
    c = x**2 - t**2 * covariance[0, 0]
    root = float(np.sqrt(max(b**2 - a * c, 0.0)))
    return float((b - root) / a), float((b + root) / a)
