"""The hierarchical bootstrap: draw seeds, then episodes within each drawn seed, and see how the mean moves.

**Made honest for few seeds.** Drawing S of S seeds has (S - 1)/S of their variance, and drawing episodes adds a
variance that the seeds' means already hold (Davison and Hinkley, Bootstrap Methods and their Application, 1997,
section 3.8). So seeds' means are first shrunk towards their mean until only the variance τ̂² between seeds is
left, and deviations are stretched by √(S/(S - 1)) between seeds and by √(n/(n - 1)) within: the draws then have
the variance (τ̂² + σ̂²/n) / S. No resampling of three seeds knows the tails that three seeds leave open, so the
interval is the hull of the bootstrap's percentiles and the t interval of `nested.half_width`.

**Coverage of the nominal 95 %**, 2,000 simulated studies a cell, S seeds of 600 episodes, accuracies in steps of
1/75 (differences then have σ of 8 points), τ in points; beside it that of plain percentiles of seeds, then
episodes:

    τ      1 seed      2 seeds     3 seeds     5 seeds     10 seeds
    0      94.5|93.6   98.9|95.9   98.9|98.2   98.0|98.2   96.6|99.1
    0.5                97.2|83.8   96.7|88.2   95.0|91.7   95.1|94.7
    2                  94.8|60.9   94.6|76.6   95.6|85.4   95.7|90.7

One seed has no τ: its interval is for that trained network. Where seed effects dominate and are far from normal, it
covers less: exponential ones of 2 points, 4,000 studies, 92.5 % (2 seeds), 89.5 % (3), 88.5 % (5), 90.7 % (10).
"""

import numpy as np

from harness.nested import Floats, Ints, half_width, nested_mean
from harness.seeds import counter_rng

DRAWS = 4000
"""Draws of an interval: its ends then move by about a fiftieth of its width from stream to stream."""

FEW_REPEATS = 36
"""Values that repeat less often than this are drawn one by one; there, both ways are equally fast (of 300 to 1,200)."""

AT_ONCE = 4_000_000
"""Values whose places are drawn at once: 8 MB of 16-bit numbers."""

IN_CACHE = 100_000
"""Values that are looked up at once: 800 kB stay in the cache, where tens of MB would wait for new pages."""


def bootstrap_interval(
    values: Floats, seeds: Ints, *, level: float = 0.95, draws: int = DRAWS
) -> tuple[float, float]:
    """The interval of the mean of the seeds' means of `values` [n], measured under `seeds` [n] (labels).

    The hull of the percentiles of `hierarchical_means` and the t interval of `nested.half_width`; for one seed
    conditional on that trained network. Pure in its arguments, and the same for any order of the values.
    NaN where there are no more values than seeds.
    """
    mean = nested_mean(values, seeds)
    if not mean.episode_df:
        return float("nan"), float("nan")
    rng = counter_rng(0, "bootstrap/mean", 0)
    picks = rng.integers(mean.n_seeds, size=(draws, mean.n_seeds))
    found = hierarchical_means(values, seeds, picks, rng)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    reach = half_width(mean, level)
    return min(float(low), mean.mean - reach), max(float(high), mean.mean + reach)


def hierarchical_means(values: Floats, seeds: Ints, picks: Ints, rng: np.random.Generator) -> Floats:
    """Bootstrap draws [draws] of the mean of the seeds' means of `values` [n] under `seeds` [n] (labels).

    `picks` [draws, S] are the seeds of each draw, by their position among the sorted labels: given from
    outside, so that several sources measured on the same networks can draw the same seeds. Variances are
    corrected as the module's docstring says.
    """
    names, index = np.unique(seeds, return_inverse=True)
    moments = nested_mean(values, seeds)
    means = np.bincount(index, weights=values) / np.bincount(index)
    centres = moments.mean + _kept(means, moments.seed_variance) * (means - moments.mean)
    drawn = np.empty(picks.shape)
    for position in range(len(names)):
        here = picks == position
        own = values[index == position]
        stretch = np.sqrt(len(own) / (len(own) - 1)) if len(own) > 1 else 0.0
        moved = _resampled_means(own, int(np.count_nonzero(here)), rng) - means[position]
        drawn[here] = centres[position] + stretch * moved
    found: Floats = drawn.mean(axis=1)
    return found


def _means_by_index(values: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """The same for values that hardly repeat, some draws at a time to save memory."""
    count = len(values)
    kind = np.uint16 if count <= 2**16 else np.int64  # small numbers are drawn several times as fast
    found = np.empty(draws)
    step = max(AT_ONCE // count, 1)
    for start in range(0, draws, step):
        picks = rng.integers(count, size=(min(step, draws - start), count), dtype=kind)
        few = max(IN_CACHE // count, 1)
        for first in range(0, len(picks), few):
            here = slice(start + first, start + min(first + few, len(picks)))
            found[here] = values.take(picks[first : first + few]).mean(axis=1)
    return found


def _kept(means: Floats, seed_variance: float) -> float:
    """The factor on the seeds' deviations that leaves τ̂² of their variance, and draws all of that."""
    count = len(means)
    if count < 2 or seed_variance == 0:
        return 0.0
    return float(np.sqrt(seed_variance / np.var(means, ddof=1) * count / (count - 1)))


def _resampled_means(values: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Means [draws] of as many of `values`, drawn with replacement.

    Accuracies come in steps where all episodes are of one size: it is then cheaper to draw how often each distinct
    value occurs than to draw the values.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if FEW_REPEATS * len(distinct) > len(values):
        return _means_by_index(np.repeat(distinct, counts), draws, rng)
    often = rng.multinomial(len(values), counts / len(values), size=draws)
    found: Floats = often @ distinct / len(values)
    return found
