"""Is less adaptation as good as full adaptation, up to a margin? Tests that can accept equality.

d is the true mean of (accuracy of a) - (accuracy of b), where a adapts less and b adapts everything; the margin m > 0
is declared before the data is seen. Three claims, each the rejection of a null hypothesis (Schuirmann 1987):

- *not worse*, what `reuse holds` needs: rejects d <= -m. It is non-inferiority, half of TOST: a that is better
  than b also reuses its features.
- *equivalent*, reported beside it: rejects d <= -m and d >= m; p is the larger of the two (TOST).
- *worse beyond the margin*, what `reuse fails` needs: rejects d >= -m. It implies that b is better (d < 0) and that the
  estimate lies beyond the margin. To ask only for d < 0 and an estimate beyond the margin would call half of
  all true differences of exactly m failures, however many the episodes.

So the 90 % interval of d decides: wholly above -m, `reuse holds`; wholly below it, `reuse fails`, once the p-values
are corrected for the number of sources; otherwise `inconclusive`. Errors, degrees of freedom and what one seed
can say are those of `nested`.

**Measured** over 4,000 simulated studies of S seeds of 600 episodes (σ 8 points, τ from seed to seed), m = 1
point: false `reuse holds` at d = -m, power of `reuse holds` at d = 0, and power of `reuse fails` at d = -5 points
on each of ten sources, in %:

    τ      1 seed           2 seeds          3 seeds          5 seeds          10 seeds
    0      5.2 | 92 | 100   1.1 | 51 | 30    2.1 | 94 | 100   2.3 | 100 | 100  3.2 | 100 | 100
    0.5                     3.2 | 28 | 14    4.1 | 59 | 100   4.8 | 92 | 100   4.5 | 100 | 100
    2                       4.9 | 10 | 4     4.7 | 15 | 15    5.2 | 22 | 83    4.4 | 41 | 100

A false `reuse fails` on any of ten sources: 0 to 1 % at d = 0; at d = -m 3.0 % (4,000 families, 3 seeds, τ = 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.errors import ConfigError
from harness.nested import Floats, NestedMean, p_above, p_below

HOLDS, FAILS, INCONCLUSIVE = "reuse holds", "reuse fails", "inconclusive"
VERDICTS = (HOLDS, FAILS, INCONCLUSIVE)

ALPHA = 0.05
"""The error rate of each claim; that of `reuse fails` is over all sources together."""

DEFAULT_MARGIN_POINTS = 1.0

TWO_SIDED = (
    "The intervals are two-sided and not corrected, the tests one-sided: a verdict and the interval beside it need not "
    "agree."
)
"""How intervals and verdicts are to be read beside one another, for reports."""


@dataclass(frozen=True, kw_only=True)
class MarginTests:
    """One-sided p-values of one cell, NaN where nothing can be tested.

    not_worse: of d <= -m. equivalent: of |d| >= m. b_better: of d >= 0. worse: of d >= -m.
    """

    not_worse: float
    equivalent: float
    b_better: float
    worse: float


UNTESTED = MarginTests(
    not_worse=float("nan"), equivalent=float("nan"), b_better=float("nan"), worse=float("nan")
)


def checked_margin(points: object) -> float:
    """The margin as a share of accuracy (0..1), from percentage points.

    Raises ConfigError unless `points` is a number above 0 and at most 100.
    """
    number = isinstance(points, int | float | np.integer | np.floating) and not isinstance(points, bool)
    if not number or not 0 < float(points) <= 100:  # type: ignore[arg-type]
        raise ConfigError(
            f"The margin of equivalence is {points!r}; it must be a number of percentage points above 0 and at "
            f"most 100. Declare the largest difference in accuracy that does not matter, such as "
            f"{DEFAULT_MARGIN_POINTS:g}."
        )
    return float(points) / 100  # type: ignore[arg-type]


def checked_return_margin(units: float) -> float:
    """The margin in units of return. Raises ConfigError unless it is a finite number above 0."""
    if not 0 < units < float("inf"):
        raise ConfigError(
            f"The margin of equivalence is {units!r}; it must be a number of units of return above 0. Declare the "
            "largest difference in return that does not matter."
        )
    return units


def margin_tests(difference: NestedMean, margin: float) -> MarginTests:
    """The tests of the module's docstring for `difference`, a minus b; `margin` in the same unit (0..1)."""
    not_worse = p_above(difference, -margin)
    return MarginTests(
        not_worse=not_worse,
        equivalent=float(np.fmax(not_worse, p_below(difference, margin))),
        b_better=p_below(difference, 0.0),
        worse=p_below(difference, -margin),
    )


def holm(p: Sequence[float] | Floats) -> Floats:
    """p-values corrected for their number by Holm (1979); NaN stays NaN and does not count."""
    values = np.asarray(p, dtype=np.float64)
    corrected = np.full(values.shape, np.nan)
    known = ~np.isnan(values)
    order = np.argsort(values[known], kind="stable")
    # statsmodels' `multipletests` gives the same, and collects garbage at each of thousands of calls (see the tests).
    scaled = values[known][order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    corrected[known] = adjusted
    return corrected


def verdict_of(test: MarginTests, worse_corrected: float) -> str:
    """The verdict on one cell of a family: the sources of one pair and one regime.

    `reuse fails` takes p-values `worse` that the family has corrected by `holm`, since one source among many would be
    news. `reuse holds` takes each source's own: the claim that reuse holds on all of several sources needs each of them
    to reject, and then has at most the error of one (Berger 1982).
    """
    if test.not_worse < ALPHA:
        return HOLDS
    return FAILS if worse_corrected < ALPHA else INCONCLUSIVE
