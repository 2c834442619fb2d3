"""A published number beside one measured here: their difference, and whether it stays within a tolerance.

The two were measured on other episodes and trainings, so nothing is paired: the error of the difference is
√(half² + half²) of both 95 % intervals. A published deviation over n trainings counts as the t interval
t(0.975, n - 1) · sd / √n of their mean. What was published without an error, or with one of unknown kind, has the error
that is printed, or none, and the agreement says that it is not known.
"""

import math
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtrit

TOLERANCE_POINTS = 2.0
"""The default: the paper on ANIL calls differences of up to about two points none (its table on freezing layers)."""

WITHIN, ABOVE, BELOW, OPEN = "within", "above", "below", "cannot be told"
KEPT, BROKEN = "as published", "not as published"
"""Verdicts beside a published bound."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Here less there, in the unit of the number; half the 95 % interval of that, NaN where unknown; and the verdict.

    known: whether the published error is an interval, or can be made one.
    """

    difference: float
    half: float
    verdict: str
    known: bool


def published_half(value: dict[str, Any]) -> float:
    """Half the 95 % interval of a published mean, a row of `published_numbers`, as far as it is known."""
    plus_minus = float(value["plus_minus"])
    if math.isnan(plus_minus):
        return 0.0
    if value["spread"] == "seeds_sd":
        n = int(value["n_trainings"])
        return float(stdtrit(n - 1, 0.975)) * plus_minus / math.sqrt(n)
    return plus_minus


def agreement(here: float, half: float, published: dict[str, Any], tolerance: float) -> Agreement:
    """`within` where the whole interval of the difference lies within ± tolerance, `above` or `below` where all of it
    lies beyond, `cannot be told` otherwise.

    Where a bound was published, `as published` where the whole interval keeps it, `not as published` where all of it
    breaks it; no tolerance counts."""
    difference = here - float(published["value"])
    if published.get("bound"):
        beyond = difference if published["bound"] == "above" else -difference
        kept = KEPT if beyond - half > 0 else BROKEN if beyond + half < 0 else OPEN
        return Agreement(difference=difference, half=half, verdict=kept, known=True)
    width = math.hypot(half, published_half(published))
    if abs(difference) + width <= tolerance:
        verdict = WITHIN
    elif abs(difference) - width > tolerance:
        verdict = ABOVE if difference > 0 else BELOW
    else:
        verdict = OPEN
    known = published["spread"] != "unknown" and not math.isnan(float(published["plus_minus"]))
    return Agreement(difference=difference, half=width, verdict=verdict, known=known)
