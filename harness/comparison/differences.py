"""Differences between two sides on the same episodes: how large, how sure, and whether they matter."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.bootstrap import bootstrap_interval
from harness.comparison.measures import ACCURACY, Measure
from harness.comparison.sides import A, B
from harness.effect_size import cohens_d
from harness.equivalence import ALPHA, UNTESTED, checked_margin, checked_return_margin, holm, margin_tests
from harness.nested import nested_mean, p_differs
from harness.pairing import paired_cells
from harness.verdicts import FEWEST_PAIRS

EQUAL, A_BETTER, B_BETTER, OPEN = "equally good", "A is better", "B is better", "cannot be told"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A less B on one source, in the unit of the rows (accuracies are shares); `names`: the comparison's keys.

    low, high: the 95 % interval of the mean. d: Cohen's, of the pairs. p_equivalent: by TOST. p_differ: two-sided, Holm
    over all rows. NaN where there are too few pairs to test.
    """

    names: dict[str, object]
    mean: float
    low: float
    high: float
    d: float
    p_equivalent: float
    p_differ: float
    n_episodes: int
    n_seeds: int

    @property
    def said(self) -> str:
        """In words; a difference may be sure and yet within the margin, and is then both."""
        better = A_BETTER if self.mean > 0 else B_BETTER
        if self.p_equivalent < ALPHA:
            within = f"{EQUAL}, up to the margin"
            return f"{within}; {better} within it" if self.p_differ < ALPHA else within
        return better if self.p_differ < ALPHA else OPEN


def differences(rows: pd.DataFrame, margin: float, measure: Measure = ACCURACY) -> list[Difference]:
    """Of every method, training and source that both sides have, in that order.

    margin: as it is shown, in percentage points or units of return. Raises ConfigError for one that is no positive
    number, and where the sides' episodes or tasks are not the same.
    """
    least = checked_margin(margin) if measure is ACCURACY else checked_return_margin(margin)
    cells = list(paired_cells(rows, A, B, measure.comparison))
    measured = []
    for names, cell in cells:
        values = cell["difference"].to_numpy(dtype=np.float64)
        seeds = cell["seed"].to_numpy(dtype=np.int64)
        mean = nested_mean(values, seeds)
        testable = len(values) >= FEWEST_PAIRS and mean.episode_df > 0
        p = p_differs(mean) if testable else float("nan")
        tests = margin_tests(mean, least) if testable else UNTESTED
        low, high = bootstrap_interval(values, seeds)
        measured.append((names, mean, (low, high), cohens_d(values, seeds).d, tests.equivalent, p))
    corrected = holm([p for *_, p in measured])
    return [
        Difference(
            names=names,
            mean=mean.mean,
            low=ends[0],
            high=ends[1],
            d=d,
            p_equivalent=equivalent,
            p_differ=float(p),
            n_episodes=mean.n_episodes,
            n_seeds=mean.n_seeds,
        )
        for (names, mean, ends, d, equivalent, _), p in zip(measured, corrected, strict=True)
    ]
