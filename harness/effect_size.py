"""How large a difference is beside its spread over episodes: Cohen's d of paired values."""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from harness.nested import ROUNDING, Floats, Ints, half_width, nested_mean


@dataclass(frozen=True, kw_only=True)
class EffectSize:
    """Cohen's d and its 95 % interval, without a unit; NaN where the differences do not vary."""

    d: float
    low: float
    high: float


def cohens_d(differences: Floats, seeds: Ints, level: float = 0.95) -> EffectSize:
    """Mean / standard deviation (ddof = 1) of paired `differences` [n] under `seeds` [n] (labels).

    This is d_z (Cohen 1988, section 2.3.5): of the pairs, not of the accuracies. The variance of d is that of
    the mean, as `nested.half_width` has it, plus d² / (2 df) for the standard deviation (Hedges and Olkin 1985),
    df being the number of values less one. With one seed this is close to the interval from the
    noncentral t distribution.
    """
    nan = EffectSize(d=float("nan"), low=float("nan"), high=float("nan"))
    if len(differences) < 2 or not (spread := float(np.std(differences, ddof=1))) > ROUNDING:
        return nan
    mean = nested_mean(differences, seeds)
    d, df = mean.mean / spread, len(differences) - 1
    of_spread = float(stdtrit(df, (1 + level) / 2)) * d / np.sqrt(2 * df)
    reach = float(np.hypot(half_width(mean, level) / spread, of_spread))
    return EffectSize(d=d, low=d - reach, high=d + reach)
