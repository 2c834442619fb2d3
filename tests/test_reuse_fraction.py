import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

from harness.nested import half_width, nested_mean
from harness.pairing import Comparison
from harness.reuse_fraction import FRACTION_COLUMNS, reuse_fraction, reuse_fractions


def gains(seeds=3, episodes=100, full=0.1, fraction=0.7, seed_sd=0.01, stream=0):
    """Gains of adapting the head and everything; both have the episode's luck in common with none."""
    rng = np.random.default_rng([17, seeds, stream])
    own = rng.normal(0, seed_sd, (2, seeds, 1)) + rng.normal(0, 0.05, (2, seeds, episodes))
    none = rng.normal(0, 0.06, (seeds, episodes))
    head, all_of_it = fraction * full + own[0] - none, full + own[1] - none
    return head.ravel(), all_of_it.ravel(), np.repeat(np.arange(seeds), episodes)


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_the_ends_are_where_the_difference_is_just_not_told_from_nothing(seeds):
    head, full, labels = gains(seeds=seeds, seed_sd=0.002)
    found = reuse_fraction(head, full, labels)
    assert found.fraction == pytest.approx(head.mean() / full.mean())

    def beyond(ratio):
        mean = nested_mean(head - ratio * full, labels)
        return abs(mean.mean) - half_width(mean)

    assert found.low == pytest.approx(brentq(beyond, found.fraction - 20, found.fraction), abs=1e-6)
    assert found.high == pytest.approx(brentq(beyond, found.fraction, found.fraction + 20), abs=1e-6)


def test_noise_is_not_divided():
    head, full, labels = gains(full=0.004)
    found = reuse_fraction(head, full, labels)
    assert all(map(math.isnan, (found.fraction, found.low, found.high)))
    assert found.reason.startswith("full adaptation does not clearly gain over none: ")
    assert reuse_fraction(head[:1], full[:1], labels[:1]).reason == "too few episodes"


def test_a_loss_by_adaptation_has_no_fraction():
    head, full, labels = gains(full=-0.3)
    assert "does not clearly gain" in reuse_fraction(head, full, labels).reason


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 2, 3, 10])
def test_the_interval_covers_the_truth(seeds):
    found = [
        reuse_fraction(*gains(seeds=seeds, seed_sd=0.01 if seeds > 1 else 0, stream=stream))
        for stream in range(1000)
    ]
    defined = [one for one in found if not one.reason]
    assert sum(one.low <= 0.7 <= one.high for one in defined) >= 0.93 * len(defined)
    assert len(defined) > (300 if seeds == 2 else 900)


def rows(mask, values, seeds, source="glyphs", **more):
    columns = {"mask": mask, "source": source, "seed": seeds, "episode": range(len(values)), "version": 2}
    return pd.DataFrame({**columns, "accuracy": values, **more})


MASKS = Comparison(condition="mask", keys=("source",), must_agree=("version",))


def test_a_frame_has_a_row_a_source():
    head, full, labels = gains()
    none = np.full(len(head), 0.2)
    frame = pd.concat(
        [
            rows(mask, values, labels, source=source)
            for source in ("glyphs", "shapes")
            for mask, values in (("none", none), ("head", none + head), ("full", none + full))
        ]
    )
    frame = frame[~((frame["source"] == "shapes") & (frame["mask"] == "full") & (frame["episode"] > 0))]
    found = reuse_fractions(frame, MASKS, none="none", head="head", full="full")
    assert list(found.columns) == ["source", *FRACTION_COLUMNS]
    assert found["source"].tolist() == ["glyphs", "shapes"]
    reference = reuse_fraction(head, full, labels)
    assert found.iloc[0][["fraction", "low", "high"]].tolist() == pytest.approx(
        [reference.fraction, reference.low, reference.high]
    )
    assert found.iloc[0]["full_gain"] == pytest.approx(full.mean())
    assert found["n_episodes"].tolist() == [300, 1]
    assert found["reason"].tolist() == ["", "too few episodes"]
