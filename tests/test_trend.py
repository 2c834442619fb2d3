import itertools
import math

import numpy as np
import pytest
from scipy import stats

from harness.errors import ConfigError
from harness.trend import SourceValues, trend


def sources(x, level, *, seeds=3, episodes=50, noise=0.02, tilt=0.0, stream=0):
    """Sources at `x` whose means are `level`; each seed turns the line by its own slope of std `tilt`."""
    rng = np.random.default_rng([23, stream])
    labels, own = np.repeat(np.arange(seeds), episodes), rng.normal(0, tilt, seeds)
    return [
        SourceValues(
            x=place, values=y + own[labels] * place + rng.normal(0, noise, len(labels)), seeds=labels
        )
        for place, y in zip(x, level, strict=True)
    ]


X = np.array([0.1, 0.2, 0.4, 0.4, 0.7, 0.9])
Y = np.array([0.00, -0.01, 0.02, -0.05, -0.04, -0.06])


def test_estimates_are_scipys():
    given = sources(X, Y)
    y = [source.values.mean() for source in given]
    found = trend(given)
    assert found.spearman == pytest.approx(stats.spearmanr(X, y).statistic)
    assert found.slope == pytest.approx(stats.linregress(X, y).slope)
    assert (found.n_sources, found.n_seeds, found.reason) == (6, 3, "")


def test_p_is_that_of_all_orders():
    x, given = X[[0, 1, 2, 4, 5]], sources(X[[0, 1, 2, 4, 5]], Y[[0, 1, 2, 4, 5]])
    y = [source.values.mean() for source in given]
    rho = abs(stats.spearmanr(x, y).statistic)
    every = [abs(stats.spearmanr(order, y).statistic) for order in itertools.permutations(x)]
    assert trend(given).p == pytest.approx(np.mean(np.array(every) >= rho - 1e-12), abs=0.015)


def test_the_slopes_interval_is_never_narrower_than_that_of_least_squares():
    given = sources(X, Y, seeds=1)
    line = stats.linregress(X, [source.values.mean() for source in given])
    reach = stats.t.ppf(0.975, 4) * line.stderr
    found = trend(given)
    assert found.slope_low <= line.slope - reach + 1e-12
    assert found.slope_high >= line.slope + reach - 1e-12


def test_seeds_with_other_slopes_widen_the_slopes_interval():
    alike, unlike = (trend(sources(X, Y, tilt=tilt, stream=2)) for tilt in (0.0, 0.5))
    assert unlike.slope_high - unlike.slope_low > 3 * (alike.slope_high - alike.slope_low)


def test_a_perfect_order_of_few_sources_is_not_certain():
    found = trend(sources([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], noise=0.001))
    assert found.spearman == pytest.approx(-1)
    assert found.spearman_high > -0.5
    many = trend(sources(range(12), -np.arange(12.0), noise=0.001))
    assert many.spearman_high < -0.8


def test_it_is_pure_and_knows_no_order_of_values():
    given = sources(X, Y)
    mixed = [SourceValues(x=s.x, values=s.values[::-1], seeds=s.seeds[::-1]) for s in given]
    assert trend(given, draws=200) == trend(given, draws=200)
    found, other = trend(given, draws=200), trend(mixed, draws=200)
    assert other.slope_low == pytest.approx(found.slope_low, abs=1e-9)


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([1, 2, 3], [0, 1, 2], "3 sources; a trend needs at least 4"),
        ([], [], "0 sources; a trend needs at least 4"),
        ([2, 2, 2, 2], [0, 1, 2, 3], "all sources have the same dissimilarity"),
    ],
)
def test_what_has_no_trend_says_why(x, y, reason):
    found = trend(sources(x, y))
    assert found.reason == reason
    assert math.isnan(found.slope)
    assert math.isnan(found.spearman_low)


def test_values_that_are_all_the_same_have_no_trend():
    assert trend(sources(X, 0 * Y, noise=0)).reason == "all sources have the same value"


def test_only_seeds_common_to_all_sources_count():
    given = sources(X, Y)
    short = SourceValues(x=given[0].x, values=given[0].values[:100], seeds=given[0].seeds[:100])
    assert trend([short, *given[1:]]).n_seeds == 2
    other = SourceValues(x=0.1, values=given[0].values, seeds=given[0].seeds + 10)
    with pytest.raises(ConfigError, match="No seed was measured on all 6 sources"):
        trend([other, *given[1:]])


def test_a_dissimilarity_that_is_not_a_number_is_refused():
    with pytest.raises(ConfigError, match=r"nan.*not all finite"):
        trend(sources([0.1, 0.2, math.nan, 0.4], [1, 2, 3, 4]))


@pytest.mark.slow
@pytest.mark.parametrize(("count", "seeds"), [(5, 1), (10, 3)])
def test_intervals_cover_and_p_keeps_its_level(count, seeds):
    """1,000 studies: sources off a line by 2 points, seeds that turn it; and no relation at all."""
    covered = ranked = called = 0
    for study in range(1000):
        rng = np.random.default_rng([29, study])
        x, off = rng.uniform(0, 1, count), rng.normal(0, 0.02, count)
        tilt = 0.02 if seeds > 1 else 0.0
        sloped = sources(x, -0.05 * x + off, seeds=seeds, tilt=tilt, episodes=20, stream=study)
        found = trend(sloped, draws=100)
        covered += found.slope_low <= -0.05 <= found.slope_high
        flat = trend(sources(x, off, seeds=seeds, episodes=20, stream=study), draws=100)
        ranked += flat.spearman_low <= 0 <= flat.spearman_high
        called += flat.p <= 0.05
    assert covered >= 930
    assert ranked >= 930
    assert called <= 50 + 21
