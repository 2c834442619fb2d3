"""A measured number, or the reason why there is none."""

import math
from dataclasses import dataclass

NOT_FINITE = "The value is not finite, as after an inner loop that diverged."


@dataclass(frozen=True, kw_only=True)
class Measured:
    """`value`, and an empty `reason`; or NaN, and one sentence that says why the measure is undefined."""

    value: float
    reason: str = ""


def measured(value: float) -> Measured:
    """`value` itself; undefined where it is not a finite number, as after an inner loop that diverged."""
    return Measured(value=value) if math.isfinite(value) else undefined("The features are not finite.")


def relative(change: float, size: float) -> Measured:
    """`change` / `size`, of what changed and what was there before; undefined where there was nothing but zeros."""
    if size == 0:
        return undefined("What the change is relative to is all zero.")
    value = change / size
    return Measured(value=value) if math.isfinite(value) else undefined(NOT_FINITE)


def undefined(reason: str) -> Measured:
    """No number, for `reason`."""
    return Measured(value=math.nan, reason=reason)
