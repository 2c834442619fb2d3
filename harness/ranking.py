"""Ranks of methods on each source, and over sources: by the rule of Meta-Dataset's leaderboard, and by paired tests.

Both take the best method that is left, let those tie with it that cannot be told from it, give all of them the average
of the next ranks, and go on with the others. They differ in what cannot be told apart. Meta-Dataset's rule compares
intervals of means, as if the methods had been tested on different episodes; here all are tested on the same ones, so
the paired rule tests their differences episode by episode, corrected for the number of pairs (Holm).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from harness.equivalence import ALPHA, holm
from harness.errors import ConfigError, named_choices
from harness.nested import Floats, Ints, NestedMean, nested_mean, p_differs

Ties = Callable[[int, int], bool]
"""(the best that is left, another) -> whether they cannot be told apart."""


def ranks(means: Sequence[float], tied: Ties) -> Floats:
    """The rank of each method, 1 for the best; tied ones share the average of their places.

    A method ties with the *best* that is left, not with its neighbour, so chains of ties do not grow.
    """
    order = sorted(range(len(means)), key=lambda i: -means[i])
    found = np.zeros(len(means))
    given = 0
    while order:
        best = order[0]
        group = [i for i in order if i == best or tied(best, i)]
        found[group] = given + (len(group) + 1) / 2
        given += len(group)
        order = [i for i in order if i not in group]
    return found


def published_ranks(means: Sequence[float], ci95: Sequence[float]) -> Floats:
    """Ranks on one source by Meta-Dataset's rule: tied where |difference| <= √(ci95² + ci95²) of the two.

    means and ci95 (half-widths) in any one unit. Raises ConfigError where they are not of one length or not numbers.
    """
    values, widths = np.asarray(means, dtype=np.float64), np.asarray(ci95, dtype=np.float64)
    if values.shape != widths.shape or not (np.isfinite(values).all() and np.isfinite(widths).all()):
        raise ConfigError("A ranking needs a mean and an interval, both numbers, of every method.")

    def tied(best: int, other: int) -> bool:
        return bool(abs(values[best] - values[other]) <= np.hypot(widths[best], widths[other]))

    return ranks(list(values), tied)


@dataclass(frozen=True, kw_only=True)
class PairedRanking:
    """The methods of one leaderboard by paired tests.

    methods: best average rank first, the higher mean first where ranks are equal. by_source: source -> rank of each
    method. average: over sources, each counting alike. p: of the hypothesis that two
    methods are equally good over all sources, Holm-corrected over the pairs. cliques: sets of methods, best first, in
    which no two can be told apart; only the largest such sets.
    """

    methods: tuple[str, ...]
    by_source: pd.DataFrame
    average: pd.Series
    p: pd.DataFrame
    cliques: tuple[tuple[str, ...], ...]


def paired_ranking(episodes: pd.DataFrame, value: str = "accuracy") -> PairedRanking:
    """Rank the methods of `episodes`, which has the columns method, source, seed, episode and `value`.

    Every method must have been tested on the same (source, seed, episode). On a source two methods tie where the paired
    difference is not significant at 5 %, corrected over all pairs on that source; over all sources the difference of a
    pair is that of its means over sources, with the seeds and the episodes of each source as its errors (`nested`).
    Raises ConfigError where a method lacks episodes that another has.
    """
    table = episodes.pivot_table(
        index=["source", "seed", "episode"],
        columns="method",
        values=value,
        aggfunc="first",
        observed=True,
    )
    methods = tuple(map(str, table.columns))
    lacking = [name for name in methods if table[name].isna().any()]
    if lacking:
        raise ConfigError(
            f"The methods {named_choices(lacking)} lack episodes that others have, so they cannot be ranked with them. "
            "Test all methods on the same episodes and seeds."
        )
    rows = {}
    for source, own in table.groupby(level="source", sort=True):
        seeds = own.index.get_level_values("seed").to_numpy(dtype=np.int64)
        values = own.to_numpy(dtype=np.float64)
        means = [nested_mean(values[:, i], seeds).mean for i in range(len(methods))]
        told = _told_apart(
            {
                (i, j): nested_mean(values[:, i] - values[:, j], seeds)
                for i, j in combinations(range(len(methods)), 2)
            }
        )
        rows[str(source)] = ranks(means, lambda best, other, told=told: not told[_pair(best, other)])  # type: ignore[misc]
    by_source = pd.DataFrame.from_dict(rows, orient="index", columns=pd.Index(methods))
    average, heights = by_source.mean(), table.groupby(level="source").mean().mean()
    order = sorted(methods, key=lambda name: (float(average[name]), -float(heights[name]), name))
    p = _over_sources(table, methods)
    return PairedRanking(
        methods=tuple(order),
        by_source=by_source[order],
        average=average[order],
        p=p.loc[order, order],
        cliques=_cliques(order, p),
    )


def _pair(i: int, j: int) -> tuple[int, int]:
    return (i, j) if i < j else (j, i)


def _told_apart(means: dict[tuple[int, int], NestedMean]) -> dict[tuple[int, int], bool]:
    corrected = holm([p_differs(mean) for mean in means.values()])
    return {pair: bool(value < ALPHA) for pair, value in zip(means, corrected, strict=True)}


def _over_sources(table: pd.DataFrame, methods: tuple[str, ...]) -> pd.DataFrame:
    """Corrected p-values of the pairs' mean differences over sources."""
    seeds, sources = (pd.factorize(table.index.get_level_values(name))[0] for name in ("seed", "source"))
    values = table.to_numpy(dtype=np.float64)
    pairs = list(combinations(range(len(methods)), 2))
    raw = [p_differs(_mean_over_sources(values[:, i] - values[:, j], seeds, sources)) for i, j in pairs]
    p = np.ones((len(methods), len(methods)))
    for (i, j), value in zip(pairs, holm(raw), strict=True):
        p[i, j] = p[j, i] = value
    return pd.DataFrame(p, index=pd.Index(methods), columns=pd.Index(methods))


def _mean_over_sources(difference: Floats, seeds: Ints, sources: Ints) -> NestedMean:
    """Of the differences of one pair [n]: sources are fixed and count alike, seeds and episodes are drawn.

    A seed's value is the mean over sources of its means; the episodes' error is that of the sources together.
    seeds, sources: [n], counted from 0.
    """
    n_seeds, n_sources = int(seeds.max()) + 1, int(sources.max()) + 1
    cells = seeds * n_sources + sources
    sizes = np.bincount(cells)
    means = np.bincount(cells, weights=difference) / sizes
    squares = np.bincount(cells, weights=(difference - means[cells]) ** 2)
    errors = squares / np.maximum(sizes - 1, 1) / sizes
    of_seeds = means.reshape(n_seeds, n_sources).mean(axis=1)
    between = float(np.var(of_seeds, ddof=1)) if n_seeds > 1 else float("nan")
    return NestedMean(
        mean=float(of_seeds.mean()),
        episode_error=float(np.sqrt(errors.sum())) / (n_seeds * n_sources),
        episode_df=len(difference) - n_seeds * n_sources,
        seed_error=float(np.sqrt(between / n_seeds)),
        seed_df=n_seeds - 1,
        episode_variance=float("nan"),
        seed_variance=between,
        n_episodes=len(difference),
        n_seeds=n_seeds,
    )


def _cliques(order: Sequence[str], p: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """The largest sets of at least two methods of which no two are told apart, each in the order, the best first.

    Not only neighbours in the order: where methods tie in their ranks, the order says nothing of their differences.
    """
    values = p.reindex(index=list(order), columns=list(order)).to_numpy(dtype=np.float64)
    near = [{j for j in range(len(order)) if j != i and values[i, j] >= ALPHA} for i in range(len(order))]
    found: list[tuple[int, ...]] = []

    def grow(clique: set[int], may: set[int], done: set[int]) -> None:
        """Bron & Kerbosch 1973, with a pivot."""
        if not may and not done:
            if len(clique) > 1:
                found.append(tuple(sorted(clique)))
            return
        pivot = max(may | done, key=lambda i: len(near[i] & may))
        for i in sorted(may - near[pivot]):
            grow(clique | {i}, may & near[i], done & near[i])
            may, done = may - {i}, done | {i}

    grow(set(), set(range(len(order))), set())
    return tuple(tuple(order[i] for i in clique) for clique in sorted(found))
