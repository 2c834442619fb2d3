import math

import numpy as np
import pytest

from harness import bootstrap
from harness.bootstrap import bootstrap_interval, hierarchical_means
from harness.nested import half_width, nested_mean
from simulated_studies import highest_rate, studies


@pytest.fixture(params=["one by one", "by how often each occurs"])
def way(request, monkeypatch):
    """Of drawing values that repeat."""
    counted = request.param == "by how often each occurs"
    monkeypatch.setattr(bootstrap, "FEW_REPEATS", 0 if counted else 10**9)
    if counted:
        monkeypatch.setattr(bootstrap, "_means_by_index", None)


@pytest.mark.usefixtures("way")
def test_draws_have_the_variance_of_the_mean():
    """(τ̂² + σ̂²/n) / S: neither too little for few seeds, nor the episodes' part twice."""
    rng = np.random.default_rng(3)
    for seed_sd in (0.0, 0.004, 0.05):
        values, seeds = next(studies(1, difference=0.02, seed_sd=seed_sd, seeds=3, episodes=200))
        mean = nested_mean(values, seeds)
        draws = hierarchical_means(values, seeds, rng.integers(3, size=(40_000, 3)), rng)
        wanted = (mean.seed_variance + mean.episode_variance / 200) / 3
        assert draws.var() == pytest.approx(wanted, rel=0.03)
        assert draws.mean() == pytest.approx(values.mean(), abs=4 * math.sqrt(wanted / 40_000))


@pytest.mark.usefixtures("way")
def test_one_seed_has_the_variance_of_its_episodes():
    values = np.random.default_rng(4).choice([0.0, 0.1, 0.9], 12)
    rng = np.random.default_rng(5)
    draws = hierarchical_means(values, np.zeros(12, dtype=int), np.zeros((40_000, 1), dtype=int), rng)
    assert draws.var() == pytest.approx(values.var(ddof=1) / 12, rel=0.03)


def test_draws_of_seeds_are_the_given_ones():
    values, seeds = np.repeat([0.1, 0.4], 5), np.repeat([0, 1], 5)
    picks = np.array([[0, 0], [0, 1], [1, 1]])
    # No spread within: all of the variance of the means is kept, and stretched by √2.
    found = hierarchical_means(values, seeds, picks, np.random.default_rng(0))
    assert found == pytest.approx([0.25 - 0.15 * math.sqrt(2), 0.25, 0.25 + 0.15 * math.sqrt(2)])


def test_how_many_values_are_looked_up_at_once_does_not_matter(monkeypatch):
    values, seeds = np.random.default_rng(0).normal(size=150), np.repeat([0, 1, 2], 50)
    whole = bootstrap_interval(values, seeds)
    monkeypatch.setattr(bootstrap, "IN_CACHE", 333)
    assert bootstrap_interval(values, seeds) == whole
    monkeypatch.setattr(bootstrap, "IN_CACHE", 1)
    assert bootstrap_interval(values, seeds) == whole


def test_it_is_pure_and_knows_no_order():
    values, seeds = next(studies(1, difference=0.02, seed_sd=0.01, episodes=50))
    mixed = np.random.default_rng(0).permutation(len(values))
    assert bootstrap_interval(values, seeds) == bootstrap_interval(values, seeds)
    assert bootstrap_interval(values[mixed], seeds[mixed]) == pytest.approx(
        bootstrap_interval(values, seeds), abs=1e-12
    )


def test_it_is_never_narrower_than_the_t_interval_and_follows_skewed_values():
    values = np.random.default_rng(1).exponential(1.0, 25) ** 3
    mean = nested_mean(values, np.zeros(25, dtype=int))
    low, high = bootstrap_interval(values, np.zeros(25, dtype=int))
    assert low <= mean.mean - half_width(mean)
    assert high > mean.mean + half_width(mean) * 1.01


def test_too_few_values_have_no_interval():
    assert all(map(math.isnan, bootstrap_interval(np.array([0.1, 0.2]), np.array([0, 1]))))


def naive(values, seeds, rng, draws=200):
    """Seeds with replacement, then episodes: percentiles as they are."""
    count = len(np.unique(seeds))
    groups = values.reshape(count, -1)
    picked = groups[rng.integers(count, size=(draws, count))].reshape(draws * count, -1)
    columns = rng.integers(groups.shape[1], size=picked.shape)
    means = np.take_along_axis(picked, columns, axis=1).reshape(draws, -1).mean(axis=1)
    return np.quantile(means, [0.025, 0.975])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "seed_sd"),
    [(1, 0.0), (2, 0.0), (2, 0.02), (3, 0.0), (3, 0.005), (3, 0.02), (5, 0.02), (10, 0.0), (10, 0.02)],
)
def test_the_interval_covers_the_truth(seeds, seed_sd):
    """At least 93 % of 1,000 studies; one seed speaks of its own training, so its truth is without seeds' spread."""
    covered = 0
    for values, labels in studies(
        1000, difference=0.02, seed_sd=seed_sd, seeds=seeds, episodes=600 if seeds < 4 else 100
    ):
        low, high = bootstrap_interval(values, labels, draws=100)
        covered += low <= 0.02 <= high
    assert covered >= 930
    # Where seeds dominate it is exact, not merely wide.
    assert covered <= 975 or seed_sd < 0.02


def test_the_plain_bootstrap_of_three_seeds_does_not_cover():
    rng = np.random.default_rng(8)
    covered = 0
    for values, labels in studies(200, difference=0.02, seed_sd=0.02, episodes=300):
        low, high = naive(values, labels, rng)
        covered += low <= 0.02 <= high
    assert 200 - covered > 200 * highest_rate(0.07, 200)
