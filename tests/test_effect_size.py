import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import nct

from harness.effect_size import cohens_d
from simulated_studies import studies


def test_it_is_the_mean_over_the_spread_of_the_pairs():
    found = cohens_d(np.array([1.0, 2.0, 3.0]), np.zeros(3, dtype=int))
    assert found.d == pytest.approx(2.0)


@pytest.mark.parametrize("difference", [0.0, -0.03, 0.1])
def test_one_seed_is_close_to_the_noncentral_t_interval(difference):
    values, seeds = next(studies(1, difference=difference, seeds=1))
    found, root = cohens_d(values, seeds), math.sqrt(len(values))
    t, df = found.d * root, len(values) - 1
    ends = [
        brentq(lambda nc, tail=tail: nct.cdf(t, df, nc) - tail, t - 4, t + 4) / root
        for tail in (0.975, 0.025)
    ]
    assert (found.low, found.high) == pytest.approx(ends, abs=0.003)


def test_seeds_that_disagree_widen_it():
    values, seeds = next(studies(1, difference=0.02, seed_sd=0.03))
    found, alone = cohens_d(values, seeds), cohens_d(values, np.zeros_like(seeds))
    assert found.d == pytest.approx(alone.d)
    assert found.high - found.low > 3 * (alone.high - alone.low)


@pytest.mark.parametrize("values", [[], [0.1], [0.1, 0.1, 0.1]])
def test_no_spread_has_no_size(values):
    assert math.isnan(cohens_d(np.array(values), np.zeros(len(values), dtype=int)).d)
