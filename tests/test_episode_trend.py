"""Trends over single episodes: ranks within sources, put together by Fisher's transform."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import spearmanr

from harness.episode_trend import FEWEST_EPISODES, episode_trend
from harness.errors import ConfigError

Floats = npt.NDArray[np.float64]


def source(rng: np.random.Generator, slope: float, n: int = 50, level: float = 0.0) -> tuple[Floats, Floats]:
    """Distances around `level` and differences of two accuracies of 25 queries, with ties."""
    x = rng.normal(size=n)
    better = np.clip(0.6 + 0.1 * (slope * x + rng.normal(size=n)), 0.05, 0.95)
    y: Floats = rng.binomial(25, better) / 25 - rng.binomial(25, 0.6, size=n) / 25
    return x + level, y


def test_one_source_has_the_known_correlation() -> None:
    x, y = source(np.random.default_rng(0), 0.8)
    found = episode_trend([(x, y)])
    assert found.spearman == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert (found.n_sources, found.n_episodes, found.reason) == (1, 50, "")


def test_levels_of_sources_do_not_count() -> None:
    """Far sources with high values would be a perfect trend over sources; within them there is a fall."""
    rng = np.random.default_rng(1)
    parts = [source(rng, -0.8, level=10.0 * k) for k in range(5)]
    parts = [(x, y + k) for k, (x, y) in enumerate(parts)]
    assert episode_trend(parts).spearman_high < 0


def test_sources_weigh_by_their_episodes_less_three() -> None:
    rng = np.random.default_rng(2)
    parts = [source(rng, 1.0, n=13), source(rng, 0.0, n=103)]
    z = np.arctanh([spearmanr(x, y).statistic for x, y in parts])
    assert episode_trend(parts).spearman == pytest.approx(np.tanh((10 * z[0] + 100 * z[1]) / 110), abs=1e-12)


def test_a_perfect_order_leaves_a_finite_doubt() -> None:
    x = np.arange(12.0)
    found = episode_trend([(x, x)])
    assert 0.9 < found.spearman < 1
    assert found.spearman_low < found.spearman < found.spearman_high < 1


def test_sources_that_say_nothing_are_left_out() -> None:
    rng = np.random.default_rng(3)
    x, y = source(rng, 0.5)
    few = FEWEST_EPISODES - 1
    found = episode_trend([(x, y), (x[:few], y[:few]), (x, np.ones_like(y)), (np.ones_like(x), y)])
    assert found == episode_trend([(x, y)])
    nothing = episode_trend([(x[:few], y[:few])])
    assert np.isnan(nothing.spearman)
    assert nothing.reason == f"no source has {FEWEST_EPISODES} episodes that differ"


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ConfigError, match="not all finite"):
        episode_trend([(np.full(20, np.nan), np.arange(20.0))])


@pytest.mark.slow
@pytest.mark.parametrize("slope", [0.0, 0.8])
def test_intervals_cover_and_false_trends_are_rare(slope: float) -> None:
    rng = np.random.default_rng(4)
    truth = episode_trend([source(rng, slope, n=200_000)]).spearman
    found = [episode_trend([source(rng, slope, level=k) for k in range(10)]) for _ in range(1000)]
    covered = np.mean([each.spearman_low <= truth <= each.spearman_high for each in found])
    assert 0.93 <= covered <= 0.98
    if slope == 0:
        assert 0.03 <= np.mean([each.p <= 0.05 for each in found]) <= 0.07
