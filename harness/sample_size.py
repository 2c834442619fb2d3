"""How many more episodes, or seeds, would settle a cell that is inconclusive.

The plan takes the difference and the variances as estimated, and asks for power 0.8 of the t test over S seeds of n
episodes: its statistic is noncentral t with S - 1 degrees of freedom and noncentrality
distance / √((τ² + σ²/n) / S), the distance being that from the difference to the margin (one seed: n - 1
degrees of freedom and τ = 0, for that trained network). τ from two or three seeds is rough, so the numbers are too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtr, nctdtr, stdtrit

from harness.equivalence import ALPHA, FAILS, HOLDS
from harness.nested import NestedMean

POWER = 0.8
MOST_EPISODES = 100_000
"""Episodes a seed beyond which a cell is given up."""
MOST_SEEDS = 100


@dataclass(frozen=True, kw_only=True)
class Need:
    """What would settle a cell: either number alone, beside what there is; None where it would not.

    toward: the verdict that the estimate points to. episodes: more episodes in each seed. seeds: more seeds of
    as many episodes. said: the sentence for a reader.
    """

    toward: str
    episodes: int | None
    seeds: int | None
    said: str


def power(
    distance: float,
    *,
    seed_variance: float,
    episode_variance: float,
    seeds: int,
    episodes: float,
    alpha: float = ALPHA,
) -> float:
    """The chance that the one-sided t test at `alpha` rejects when the mean lies `distance` > 0 from its bound.

    `seeds` seeds of `episodes` episodes each; variances in the unit of the values, squared.
    """
    df = seeds - 1 if seeds > 1 else episodes - 1
    error = np.sqrt(((seed_variance if seeds > 1 else 0.0) + episode_variance / episodes) / seeds)
    if df < 1 or distance <= 0:
        return 0.0
    if error == 0:
        return 1.0
    far, bound = distance / error, stdtrit(df, 1 - alpha)
    # Beyond 30 errors nctdtr loses its digits, and the normal part of t is small beside the distance.
    found = 1 - nctdtr(df, far, bound) if far < 30 else chdtr(df, df * (far / bound) ** 2)
    return float(found)


def what_would_settle(difference: NestedMean, margin: float, *, n_sources: int = 1) -> Need:
    """What would settle an inconclusive `difference`, a minus b, for a `margin` in the same unit (0..1).

    Where the estimate is above -margin the plan is for `reuse holds`; below, for `reuse fails`, whose p-value has
    to survive the correction for `n_sources` (ALPHA / n_sources: the first and hardest step of Holm's).
    """
    distance = difference.mean + margin
    toward, alpha = (HOLDS, ALPHA) if distance > 0 else (FAILS, ALPHA / n_sources)
    if not difference.episode_df:
        return Need(toward=toward, episodes=None, seeds=None, said="Too few episodes to plan from.")
    seeds, here = difference.n_seeds, difference.n_episodes // difference.n_seeds

    def reached(seeds: int, episodes: float) -> bool:
        found = power(
            abs(distance), seed_variance=difference.seed_variance,
            episode_variance=difference.episode_variance, seeds=seeds, episodes=episodes, alpha=alpha,
        )  # fmt: skip
        return found >= POWER

    episodes = _first(lambda n: reached(seeds, n), here + 1, MOST_EPISODES)
    more = _first(lambda s: reached(s, here), seeds + 1, MOST_SEEDS) if seeds > 1 else None
    never = seeds > 1 and not reached(seeds, np.inf)
    return Need(
        toward=toward,
        episodes=None if episodes is None else episodes - here,
        seeds=None if more is None else more - seeds,
        said=_said(seeds, episodes, more, here=here, toward=toward, never=never),
    )


def _said(seeds: int, episodes: int | None, more: int | None, *, here: int, toward: str, never: bool) -> str:
    """The plan in words."""
    if seeds == 1:
        settle = (
            f"Its difference seems too near the margin: {MOST_EPISODES:,} episodes would not settle it."
            if episodes is None
            else f"About {_rounded(episodes - here)} more episodes would settle it ({toward}) for this trained network."
        )
        return f"{settle} How many seeds it takes cannot be said from one."
    if episodes is None and more is None:
        return (
            f"The true difference seems too near the margin: neither {MOST_EPISODES:,} episodes a seed nor "
            f"{MOST_SEEDS} seeds would settle it."
        )
    by_episodes = (
        f"No number of episodes would settle it with {seeds} seeds"
        if never
        else f"Even {MOST_EPISODES:,} episodes a seed would not settle it with {seeds} seeds"
        if episodes is None
        else f"About {_rounded(episodes - here)} more episodes a seed would settle it ({toward})"
    )
    if more is None:
        by_seeds = f"even {MOST_SEEDS} seeds of {here:,} episodes would not"
    else:
        word = "seed" if more - seeds == 1 else "seeds"
        by_seeds = f"about {more - seeds} more {word} would" + (f" ({toward})" if episodes is None else "")
    return f"{by_episodes}; {by_seeds}."


def _rounded(number: int) -> str:
    """To two figures, upwards: an estimate from a few seeds knows no more."""
    step = 10 ** max(len(str(number)) - 2, 0)
    return f"{-(-number // step) * step:,}"


def _first(holds: Callable[[int], bool], low: int, high: int) -> int | None:
    """The least number in low..high for which `holds`, which stays true once it is; None if there is none."""
    if low > high or not holds(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
