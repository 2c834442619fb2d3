"""The mean of values nested in seeds, its two errors, and the tests that follow from them.

Value e of seed s is modelled as δ + b_s + ε_se, with variances τ² (seeds) and σ² (episodes): the episodes of one
trained network are not independent trials of the method. With S seeds of n episodes the variance of the mean
is (τ² + σ²/n) / S (Searle, Casella and McCulloch, Variance Components, 1992).

**Two errors, and the larger counts.** The seeds' error is std(seed means, ddof=1) / √S, with S - 1 degrees of
freedom: exact for normal seed effects, however few seeds. The episodes' error is σ̂ · √(Σ 1/n_s) / S, with N - S
degrees of freedom: seeds that agree by luck do not make a mean surer than its episodes do. A hypothesis is
rejected only when both t tests reject it: p is the larger of the two p-values, and an interval the wider of the
two. This is the rule of `statistics.interval`, for tests.

**One seed** leaves the episodes' error alone: all that follows is then *conditional on the trained networks*,
and says nothing about training again.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

ROUNDING = 1e-12
"""Spread and distances below it are those of floating point, not of accuracies."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class NestedMean:
    """A mean over seeds and its errors, all in the unit of the values; NaN where the data cannot say.

    mean: the mean of the seeds' means, each seed counting alike. episode_error, seed_error: its standard
    errors, with degrees of freedom episode_df and seed_df. episode_variance: σ̂², pooled within seeds.
    seed_variance: τ̂² by the method of moments, not below 0.
    """

    mean: float
    episode_error: float
    episode_df: int
    seed_error: float
    seed_df: int
    episode_variance: float
    seed_variance: float
    n_episodes: int
    n_seeds: int


def nested_mean(values: Floats, seeds: Ints) -> NestedMean:
    """The mean of `values` [n] measured under `seeds` [n] (labels), with its errors.

    With one seed the seeds' part is NaN; with no more values than seeds the episodes' part is.
    """
    names, index = np.unique(seeds, return_inverse=True)
    total, count = len(values), len(names)
    if not total:
        return _nothing()
    sizes = np.bincount(index)
    means = np.bincount(index, weights=values) / sizes
    df = total - count
    within = _cleared(float(np.sum((values - means[index]) ** 2)) / df) if df else float("nan")
    episode_error = float(np.sqrt(within * np.sum(1 / sizes))) / count
    between = _cleared(float(np.var(means, ddof=1))) if count > 1 else float("nan")
    return NestedMean(
        mean=float(np.mean(means)),
        episode_error=episode_error,
        episode_df=df,
        seed_error=float(np.sqrt(between / count)),
        seed_df=count - 1,
        episode_variance=within,
        seed_variance=_seed_variance(between, within, float(np.mean(1 / sizes))),
        n_episodes=total,
        n_seeds=count,
    )


def half_width(mean: NestedMean, level: float = 0.95) -> float:
    """Half the two-sided interval of `level`: the larger of the two t intervals."""
    upper = (1 + level) / 2
    episodes = mean.episode_error * float(stdtrit(mean.episode_df, upper)) if mean.episode_df else np.nan
    if mean.n_seeds < 2:
        return float(episodes)
    seeds = mean.seed_error * float(stdtrit(mean.seed_df, upper))
    return float(np.fmax(episodes, seeds))


def p_above(mean: NestedMean, bound: float) -> float:
    """One-sided p-value of the hypothesis that the true mean is at most `bound`; NaN where it cannot be tested.

    `half_width` at level 1 - 2α reaches from the mean to `bound` exactly when this is α.
    """
    return _tail(mean, mean.mean - bound)


def p_below(mean: NestedMean, bound: float) -> float:
    """One-sided p-value of the hypothesis that the true mean is at least `bound`; NaN where it cannot be tested."""
    return _tail(mean, bound - mean.mean)


def p_differs(mean: NestedMean) -> float:
    """Two-sided p-value of the hypothesis that the true mean is 0; 1 where it cannot be tested."""
    return min(1.0, 2 * min(p_above(mean, 0.0), p_below(mean, 0.0)))


def _tail(mean: NestedMean, distance: float) -> float:
    """P(T > distance / error), the larger of the two; a distance without any error is certain."""
    if not mean.episode_df:
        return float("nan")
    found = _upper(distance, mean.episode_error, mean.episode_df)
    if mean.n_seeds > 1:
        found = max(found, _upper(distance, mean.seed_error, mean.seed_df))
    return found


def _upper(distance: float, error: float, df: int) -> float:
    if error == 0:
        return float(distance <= ROUNDING)
    return float(stdtr(df, -distance / error))


def _cleared(variance: float) -> float:
    return 0.0 if variance < ROUNDING**2 else variance


def _seed_variance(between: float, within: float, inverse_size: float) -> float:
    """The variance of the seeds' means less what their episodes explain of it; all of it without `within`."""
    explained = 0.0 if np.isnan(within) else within * inverse_size
    return float(np.maximum(between - explained, 0))


def _nothing() -> NestedMean:
    nan = float("nan")
    return NestedMean(
        mean=nan,
        episode_error=nan,
        episode_df=0,
        seed_error=nan,
        seed_df=0,
        episode_variance=nan,
        seed_variance=nan,
        n_episodes=0,
        n_seeds=0,
    )
