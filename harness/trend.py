"""Does a measure of reuse change with the distance from the training sources? Rank correlation and slope.

Each source has one x (its dissimilarity) and values of many episodes under some seeds (a paired difference, say);
its y is the mean of its seeds' means. Sources count alike.

**What the intervals say.** They are for the relation between x and y over sources like these: every bootstrap draw
takes sources, then seeds (the same for all sources, since one network was measured on all of them), then
episodes, each with replacement. Another choice of sources, another training and other episodes are in it;
that x is measured with error is not, and draws weaken a correlation as noise does. Few sources
leave much open that resampling them cannot see, so an interval is the hull of the bootstrap's percentiles and a
t or normal interval for that many sources:

- slope: ± t(k - 2) · its standard error in least squares, and for several seeds ± t(S - 1) · the standard error
  of the seeds' own slopes;
- Spearman's ρ: tanh(artanh ρ ± z · √((1 + ρ²/2) / (k - 3))) (Bonett and Wright 2000).

`p` is the two-sided permutation p-value of ρ: the x of the sources in other orders.

**Measured** over 1,000 simulated studies (sources 2 points off a line of slope -0.05, seeds of their own slopes): the
slope's interval covers in 98 % (4 sources, 3 seeds), 96 % (5, 1), 96 % (10, 1) and 97 % (10, 3); that of ρ in
97 % or more; p <= 0.05 without any relation in 0, 1.7, 4.7 and 4.3 %. Four sources can never give p <= 0.05,
and their interval of ρ leaves almost everything open.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from harness.bootstrap import DRAWS, hierarchical_means
from harness.errors import ConfigError
from harness.nested import ROUNDING, Floats, Ints
from harness.seeds import counter_rng

FEWEST_SOURCES = 4
"""With three, no order of the sources is rarer than one in six, and a line has one degree of freedom."""


@dataclass(frozen=True, kw_only=True)
class Trend:
    """Spearman's correlation and the slope (unit of y per unit of x) with 95 % intervals.

    NaN, with the `reason`, where they are undefined. p: two-sided, by permutation, of no rank correlation.
    """

    spearman: float
    spearman_low: float
    spearman_high: float
    p: float
    slope: float
    slope_low: float
    slope_high: float
    n_sources: int
    n_seeds: int
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class SourceValues:
    """One source: its `x`, and `values` [n] measured under `seeds` [n] (labels)."""

    x: float
    values: Floats
    seeds: Ints


def trend(sources: Sequence[SourceValues], *, level: float = 0.95, draws: int = DRAWS) -> Trend:
    """How y follows x over `sources` (see the module's docstring); pure, and the same for any order of values.

    Values under seeds that some source lacks are left out. Undefined, with a reason, for fewer than
    FEWEST_SOURCES sources, or an x or y that is the same for all of them.
    Raises ConfigError where no seed is common to all sources, or an x is not a finite number.
    """
    common = _common_seeds(sources)
    x = np.array([source.x for source in sources], dtype=np.float64)
    if not np.isfinite(x).all():
        raise ConfigError(
            f"The dissimilarities {x.tolist()} are not all finite numbers. Leave out sources without one."
        )
    per_seed = _seed_means(sources, common)
    y: Floats = per_seed.mean(axis=1) if len(x) else x
    if reason := _why_undefined(x, y):
        return _undefined(len(sources), len(common), reason)
    rng = counter_rng(0, "bootstrap/trend", 0)
    rho, slope = float(_spearman(x[None], y[None])[0]), float(_slope(x[None], y[None])[0])
    rhos, slopes = _draws(sources, x, common, draws, rng)
    tails = [(1 - level) / 2, (1 + level) / 2]
    rho_hull = _hull(np.quantile(rhos, tails), _rank_interval(rho, len(x), level))
    slope_hull = _hull(np.quantile(slopes, tails), _slope_interval(x, per_seed, level))
    return Trend(
        spearman=rho, spearman_low=rho_hull[0], spearman_high=rho_hull[1], p=_permutation_p(x, y, rho),
        slope=slope, slope_low=slope_hull[0], slope_high=slope_hull[1],
        n_sources=len(x), n_seeds=len(common),
    )  # fmt: skip


def _common_seeds(sources: Sequence[SourceValues]) -> Ints:
    labels = [set(source.seeds.tolist()) for source in sources]
    common = sorted(set.intersection(*labels)) if labels else []
    if labels and not common:
        raise ConfigError(
            f"No seed was measured on all {len(labels)} sources, so the trend over them cannot be followed. "
            f"Run the missing evaluations, or leave sources out."
        )
    return np.array(common, dtype=np.int64)


def _seed_means(sources: Sequence[SourceValues], common: Ints) -> Floats:
    """Mean of each source under each seed, [k, S]."""
    means = [[float(np.mean(s.values[s.seeds == seed])) for seed in common] for s in sources]
    return np.array(means, dtype=np.float64).reshape(len(sources), len(common))


def _why_undefined(x: Floats, y: Floats) -> str:
    """What keeps the trend from being defined, or nothing."""
    if len(x) < FEWEST_SOURCES:
        return f"{len(x)} source{'' if len(x) == 1 else 's'}; a trend needs at least {FEWEST_SOURCES}"
    if np.ptp(x) == 0:
        return "all sources have the same dissimilarity"
    return "all sources have the same value" if np.ptp(y) < ROUNDING else ""


def _undefined(n_sources: int, n_seeds: int, reason: str) -> Trend:
    nan = float("nan")
    return Trend(
        spearman=nan, spearman_low=nan, spearman_high=nan, p=nan, slope=nan, slope_low=nan, slope_high=nan,
        n_sources=n_sources, n_seeds=n_seeds, reason=reason,
    )  # fmt: skip


def _draws(
    sources: Sequence[SourceValues], x: Floats, common: Ints, draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Bootstrap draws of ρ and of the slope; draws in which x or y is constant are left out."""
    picks = rng.integers(len(common), size=(draws, len(common)))
    found = []
    for source in sources:
        used = np.isin(source.seeds, common)
        found.append(hierarchical_means(source.values[used], source.seeds[used], picks, rng))
    chosen = rng.integers(len(x), size=(draws, len(x)))
    xs, ys = x[chosen], np.take_along_axis(np.stack(found, axis=1), chosen, axis=1)
    varied = (np.ptp(xs, axis=1) > 0) & (np.ptp(ys, axis=1) > ROUNDING)
    return _spearman(xs[varied], ys[varied]), _slope(xs[varied], ys[varied])


def _slope(x: Floats, y: Floats) -> Floats:
    """Least squares, row by row of [draws, k]."""
    x = x - x.mean(axis=1, keepdims=True)
    found: Floats = np.sum(x * y, axis=1) / np.sum(x**2, axis=1)
    return found


def _spearman(x: Floats, y: Floats) -> Floats:
    """Pearson's correlation of the ranks, ties sharing their mean, row by row of [draws, k]."""
    from scipy.stats import rankdata  # takes a third of a second, and most reports have no trends

    x, y = rankdata(x, axis=1), rankdata(y, axis=1)
    found: Floats = _slope(x, y) * np.std(x, axis=1) / np.std(y, axis=1)
    return found


def _slope_interval(x: Floats, per_seed: Floats, level: float) -> tuple[float, float]:
    """The wider of the least-squares t interval over sources and the t interval over the seeds' slopes."""
    y, upper = per_seed.mean(axis=1), (1 + level) / 2
    slope = float(_slope(x[None], y[None])[0])
    centred = x - x.mean()
    residual = y - y.mean() - slope * centred
    df = len(x) - 2
    reach = float(stdtrit(df, upper) * np.sqrt(np.sum(residual**2) / df / np.sum(centred**2)))
    if (count := per_seed.shape[1]) > 1:
        own = _slope(np.broadcast_to(x, per_seed.T.shape), per_seed.T)
        reach = max(reach, float(stdtrit(count - 1, upper) * np.std(own, ddof=1) / np.sqrt(count)))
    return slope - reach, slope + reach


def _rank_interval(rho: float, count: int, level: float) -> tuple[float, float]:
    """Bonett and Wright's interval. A perfect order is taken as one that lacks one swap of neighbours.

    The transform of ±1 is infinite and would leave no doubt at all, even with four sources.
    """
    nearest = 1 - 12 / (count * (count**2 - 1))
    inside = float(np.clip(rho, -nearest, nearest))
    reach = float(ndtri((1 + level) / 2) * np.sqrt((1 + inside**2 / 2) / (count - 3)))
    return float(np.tanh(np.arctanh(inside) - reach)), float(np.tanh(np.arctanh(inside) + reach))


def _permutation_p(x: Floats, y: Floats, rho: float) -> float:
    """Share of orders of x, drawn ones and the given, whose |ρ| is as large (Phipson and Smyth 2010)."""
    from scipy.stats import rankdata

    rng = counter_rng(0, "permutation/trend", 0)
    ranks_x, ranks_y = (rankdata(values) - (len(values) + 1) / 2 for values in (x, y))
    orders = rng.permuted(np.tile(ranks_x, (9999, 1)), axis=1)
    found = orders @ ranks_y / np.sqrt(np.sum(ranks_x**2) * np.sum(ranks_y**2))
    return float((1 + np.count_nonzero(np.abs(found) >= abs(rho) - 1e-12)) / (1 + len(found)))


def _hull(first: Floats, second: tuple[float, float]) -> tuple[float, float]:
    return min(float(first[0]), second[0]), max(float(first[1]), second[1])
