import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from harness.equivalence import FAILS, HOLDS, margin_tests
from harness.nested import NestedMean, nested_mean
from harness.sample_size import MOST_EPISODES, MOST_SEEDS, _rounded, power, what_would_settle
from simulated_studies import EPISODE_SD, studies


def found(mean, *, seeds=3, episodes=100, seed_sd=0.002, episode_sd=EPISODE_SD):
    """A measured difference with these components of variance, of `episodes` a seed."""
    error = episode_sd / np.sqrt(seeds * episodes)
    return NestedMean(
        mean=mean, episode_error=error, episode_df=seeds * (episodes - 1), seed_error=error,
        seed_df=seeds - 1, episode_variance=episode_sd**2,
        seed_variance=seed_sd**2 if seeds > 1 else float("nan"), n_episodes=seeds * episodes, n_seeds=seeds,
    )  # fmt: skip


@pytest.mark.parametrize("seeds", [2, 3, 5, 30])
@pytest.mark.parametrize("distance", [0.001, 0.01, 0.03])
def test_power_is_that_of_the_t_test_over_seeds(seeds, distance):
    spread = np.sqrt(0.004**2 + EPISODE_SD**2 / 600)
    reference = TTestPower().power(distance / spread, seeds, 0.05, alternative="larger")
    assert power(
        distance, seed_variance=0.004**2, episode_variance=EPISODE_SD**2, seeds=seeds, episodes=600
    ) == pytest.approx(reference, abs=1e-6)


def test_far_beyond_the_bound_the_chance_still_follows_the_degrees_of_freedom():
    def far(distance):
        return power(distance, seed_variance=1, episode_variance=0, seeds=2, episodes=9, alpha=0.005)

    rng = np.random.default_rng(0)
    values = 50 / np.sqrt(2) + rng.normal(size=(200_000, 2))
    t = values.mean(axis=1) / (values.std(axis=1, ddof=1) / np.sqrt(2))
    assert far(50 / np.sqrt(2)) == pytest.approx(np.mean(t > 63.6567), abs=0.004)
    assert far(29.9 / np.sqrt(2)) <= far(30.1 / np.sqrt(2)) + 1e-3
    assert power(0.0, seed_variance=1, episode_variance=1, seeds=2, episodes=9) == 0


def test_episodes_that_are_enough_are_the_fewest():
    need = what_would_settle(found(-0.003), 0.01)
    assert need.toward == HOLDS
    assert need.episodes is not None
    parts = {"seed_variance": 0.002**2, "episode_variance": EPISODE_SD**2, "seeds": 3}
    assert power(0.007, episodes=100 + need.episodes, **parts) >= 0.8
    assert power(0.007, episodes=100 + need.episodes - 1, **parts) < 0.8
    assert need.said.startswith(
        f"About {_rounded(need.episodes)} more episodes a seed would settle it (reuse holds)"
    )


def test_more_sources_need_more_for_a_failure():
    one, ten = (what_would_settle(found(-0.03), 0.01, n_sources=n) for n in (1, 10))
    assert one.toward == ten.toward == FAILS
    assert one.seeds < ten.seeds


def test_seeds_that_disagree_too_much_need_more_seeds_whatever_the_episodes():
    need = what_would_settle(found(-0.003, seed_sd=0.02), 0.01)
    assert need.episodes is None
    assert need.seeds is not None
    assert need.said == (
        f"No number of episodes would settle it with 3 seeds; about {need.seeds} more seeds would (reuse holds)."
    )


@pytest.mark.parametrize("mean", [-0.01, -0.0100001, -0.0099])
def test_a_difference_at_the_margin_is_given_up(mean):
    need = what_would_settle(found(mean, seed_sd=0.01), 0.01)
    assert (need.episodes, need.seeds) == (None, None)
    assert "too near the margin" in need.said
    assert f"{MOST_EPISODES:,}" in need.said
    assert f"{MOST_SEEDS} seeds" in need.said


def test_one_seed_cannot_say_how_many_seeds_it_takes():
    need = what_would_settle(found(-0.004, seeds=1), 0.01)
    assert need.seeds is None
    assert need.episodes is not None
    assert "for this trained network. How many seeds it takes cannot be said from one." in need.said


def test_too_few_episodes_plan_nothing():
    single = nested_mean(np.array([0.1, 0.2]), np.array([0, 1]))
    assert what_would_settle(single, 0.01).said == "Too few episodes to plan from."


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.0), (3, 0.003)])
def test_as_many_as_it_says_settle_four_studies_in_five(seeds, seed_sd):
    need = what_would_settle(found(-0.002, seeds=seeds, seed_sd=seed_sd), 0.01)
    assert need.episodes is not None
    again = studies(
        1000, difference=-0.002, seeds=seeds, seed_sd=seed_sd, episodes=min(100 + need.episodes, 20_000)
    )
    settled = [margin_tests(nested_mean(*study), 0.01).not_worse < 0.05 for study in again]
    assert np.mean(settled) == pytest.approx(0.8, abs=0.045)


def test_a_plan_is_no_surer_than_it_is():
    assert [_rounded(n) for n in (3, 97, 101, 98_438, 990_001)] == ["3", "97", "110", "99,000", "1,000,000"]
