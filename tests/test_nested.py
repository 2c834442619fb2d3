import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.nested import half_width, nested_mean, p_above, p_below


def drawn(seeds=3, episodes=40, seed_sd=0.05, stream=0):
    rng = np.random.default_rng([5, stream])
    values = 0.02 + rng.normal(0, seed_sd, (seeds, 1)) + rng.normal(0, 0.08, (seeds, episodes))
    return values.ravel(), np.repeat(np.arange(seeds), episodes)


@pytest.mark.parametrize("bound", [-0.01, 0.0, 0.03])
def test_one_seed_is_the_t_test_over_its_episodes(bound):
    values, seeds = drawn(seeds=1, seed_sd=0)
    mean = nested_mean(values, seeds)
    assert p_above(mean, bound) == pytest.approx(
        stats.ttest_1samp(values, bound, alternative="greater").pvalue, rel=1e-9
    )
    assert p_below(mean, bound) == pytest.approx(
        stats.ttest_1samp(values, bound, alternative="less").pvalue, rel=1e-9
    )
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert half_width(mean, 0.9) == pytest.approx((high - low) / 2, rel=1e-9)
    assert math.isnan(mean.seed_variance)


def test_seeds_that_disagree_make_it_the_t_test_over_their_means():
    values, seeds = drawn(seeds=4, seed_sd=0.2)
    means = values.reshape(4, -1).mean(axis=1)
    mean = nested_mean(values, seeds)
    bound = float(means.mean()) - 0.3
    reference = stats.ttest_1samp(means, bound, alternative="greater")
    assert p_above(mean, bound) == pytest.approx(reference.pvalue, rel=1e-9)
    assert half_width(mean) == pytest.approx(stats.t.ppf(0.975, 3) * stats.sem(means), rel=1e-9)


def test_seeds_that_agree_do_not_make_it_surer_than_its_episodes():
    own = np.tile([0.0, 0.2], 10)
    mean = nested_mean(np.tile(own, 3), np.repeat([0, 1, 2], 20))
    # Within seeds: deviations of 0.1, 60 of them, 57 degrees of freedom; seed means are all 0.1.
    error = math.sqrt(60 * 0.01 / 57 / 60)
    assert (mean.seed_error, mean.seed_variance) == (0, 0)
    assert mean.episode_error == pytest.approx(error)
    assert p_above(mean, 0.08) == pytest.approx(stats.t.sf(0.02 / error, 57))


def test_variance_components_are_those_of_the_analysis_of_variance():
    values, seeds = drawn(seeds=5, episodes=30)
    groups = values.reshape(5, 30)
    within = groups.var(axis=1, ddof=1).mean()
    ratio = stats.f_oneway(*groups).statistic
    mean = nested_mean(values, seeds)
    assert mean.episode_variance == pytest.approx(within)
    assert mean.seed_variance == pytest.approx(within * (ratio - 1) / 30)


def test_seeds_count_alike_however_many_episodes_they_have():
    mean = nested_mean(np.array([1.0, 0.0, 0.0, 0.0, 0.2, -0.2]), np.array([7, 3, 3, 3, 3, 3]))
    assert mean.mean == pytest.approx(0.5)
    within = 0.08 / 4
    assert mean.episode_error == pytest.approx(math.sqrt(within * (1 + 1 / 5)) / 2)


def test_nothing_and_single_episodes_say_nothing_of_episodes():
    assert math.isnan(half_width(nested_mean(np.array([]), np.array([], dtype=np.int64))))
    single = nested_mean(np.array([0.1]), np.array([0]))
    assert math.isnan(half_width(single))
    assert math.isnan(p_above(single, 0.0))


def test_differences_without_spread_are_certain_except_at_the_bound():
    mean = nested_mean(np.zeros(30), np.repeat([0, 1], 15))
    assert (p_above(mean, -0.01), p_above(mean, 0.01), p_above(mean, 0.0)) == (0, 1, 1)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 5), st.integers(2, 12), st.floats(0.001, 0.4), st.integers(0, 99))
def test_the_interval_ends_where_the_test_is_at_its_level(seeds, episodes, alpha, stream):
    mean = nested_mean(*drawn(seeds=seeds, episodes=episodes, stream=stream))
    reach = half_width(mean, 1 - 2 * alpha)
    assert p_above(mean, mean.mean - reach) == pytest.approx(alpha, rel=1e-6)
    assert p_below(mean, mean.mean + reach) == pytest.approx(alpha, rel=1e-6)
