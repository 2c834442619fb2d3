"""What may be ranked together, and its two rankings.

Methods are ranked within one regime (what they were trained on) and one kind of episodes, on the sources that all of
them were tested on. Rows that were measured under other conditions are refused, unless the user asks to have each
condition ranked by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.equivalence import holm
from harness.errors import ConfigError, did_you_mean, named_choices
from harness.leaderboard.scores import ACCURACY, Score
from harness.nested import half_width, nested_mean, p_differs
from harness.pairing import refuse_repeats
from harness.ranking import PairedRanking, paired_ranking, published_ranks
from harness.report.panels import natural
from harness.report.settings import unshared

FEWEST_PAIRS = 20
"""Episodes or tasks of a source that all methods share; with fewer there is no paired ranking."""


@dataclass(frozen=True, kw_only=True)
class RankedGroup:
    """Methods that were measured alike.

    conditions: what all rows share, by column; apart: those of them that set the group apart. cells: a row a method
    and source, with the score's value and ci95, n_episodes, n_seeds, and what its rows share that concerns the source.
    sources: that all methods have, in which they are ranked; not_shared: the others. published: source by method, ranks
    by Meta-Dataset's rule. paired: None where it cannot be made, and `unpaired` says why. against: rows of each
    method's difference from the baseline on each source.
    """

    score: Score
    trained_on: str
    conditions: dict[str, object]
    apart: tuple[str, ...]
    cells: pd.DataFrame
    sources: tuple[str, ...]
    not_shared: tuple[str, ...]
    published: pd.DataFrame
    paired: PairedRanking | None
    unpaired: str
    against: pd.DataFrame | None

    @property
    def methods(self) -> tuple[str, ...]:
        """Best average rank first, by the paired ranking where there is one."""
        if self.paired:
            return self.paired.methods
        average = self.published.mean()
        return tuple(sorted(map(str, average.index), key=lambda name: (float(average[name]), natural(name))))


def ranked_groups(
    episodes: pd.DataFrame,
    *,
    group_by: Sequence[str] = (),
    baseline: str | None = None,
    score: Score = ACCURACY,
) -> list[RankedGroup]:
    """The groups of `episodes` (as `merging.merge` gives them), in the order of regime, shape and conditions.

    Raises ConfigError for a `group_by` that is no condition, rows that differ in a condition and may not be ranked
    together, a baseline that is no method, and an episode that was measured twice.
    """
    for name in group_by:
        if name not in score.conditions:
            raise ConfigError(
                f"--group-by {name!r} is no condition.{did_you_mean(name, score.conditions)} Conditions: "
                f"{named_choices(score.conditions)}."
            )
    methods = episodes["method"].unique().tolist()
    if baseline is not None and baseline not in methods:
        raise ConfigError(
            f"--baseline {baseline!r} is no method here.{did_you_mean(baseline, methods)} Methods: "
            f"{named_choices(methods)}."
        )
    apart = ["trained_on", *score.shape, *(c for c in group_by if c not in score.of_source)]
    frame = _sources_apart(episodes, [c for c in group_by if c in score.of_source])
    frame = frame.sort_values(apart, key=lambda column: column.map(lambda v: natural(str(v))), kind="stable")
    groups = []
    for values, rows in frame.groupby(apart, sort=False, dropna=False):
        conditions = dict(zip(apart, values, strict=True))
        _refuse_unlike(rows, group_by, conditions, score)
        groups.append(_ranked(rows, apart, baseline, score))
    return groups


def _sources_apart(episodes: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """A source of several contents is several sources, told apart by the columns."""
    frame = episodes
    for column in columns:
        several = (
            frame.groupby("source", observed=True)[column].transform(lambda v: v.nunique(dropna=False)) > 1
        )
        mark = _marks(frame[column])
        source = frame["source"].astype("string")
        frame = frame.assign(source=source.mask(several, source + " [" + mark + "]"))
    return frame


def _marks(values: "pd.Series[Any]") -> "pd.Series[str]":
    """What is told behind a source's name."""
    texts = values.astype("string")
    if values.name == "n_query":
        return (texts + " queries").fillna("drawn queries")
    return texts.str.slice(0, 8) if values.name == "fingerprint" else texts.fillna("all")


def _refuse_unlike(
    rows: pd.DataFrame, group_by: Sequence[str], conditions: dict[str, object], score: Score
) -> None:
    """Raise ConfigError, naming them, where conditions differ within the group."""
    differing = []
    for column in (c for c in score.conditions if c not in group_by):
        sources = map(str, rows["source"].unique()) if column in score.of_source else [""]
        for source in sources:
            own = rows[rows["source"] == source] if source else rows
            values = own[column].unique().tolist()
            if len(values) > 1:
                shown = ", ".join(_told(column, values, score))
                differing.append((column, f"{column} ({shown}{f', on {source}' if source else ''})"))
                break
    if not differing:
        return
    what = f"trained on {conditions['trained_on']}, {conditions['split']} split"
    flags = " ".join(f"--group-by {column}" for column, _ in differing)
    raise ConfigError(
        f"Rows that were not measured alike are not ranked together ({what}): they differ in "
        f"{'; '.join(said for _, said in differing)}. Leave some experiments out, or rank each by itself: `{flags}`."
    )


def _told(column: str, values: Sequence[object], score: Score) -> list[str]:
    """Values as they are named: fingerprints by their beginning, lists in words by what they do not share."""
    texts = [str(value) for value in values]
    if column == "fingerprint":
        texts = [text[:12] for text in texts]
    elif column in score.in_words:
        parts = unshared(texts)
        keys = sorted({part.partition(" ")[0] for own in parts for part in own})
        texts = [" and ".join(own) or f"without {' and '.join(keys)}" for own in parts]
    return sorted(texts)


def _ranked(rows: pd.DataFrame, apart: Sequence[str], baseline: str | None, score: Score) -> RankedGroup:
    refuse_repeats(rows, ["method", "trained_on", "source", *score.shape])
    cells = _cells(rows, score)
    methods = sorted(cells["method"].unique(), key=natural)
    counts = cells.groupby("source")["method"].nunique()
    sources = tuple(sorted((str(s) for s, n in counts.items() if n == len(methods)), key=natural))
    ranked = {
        source: published_ranks(own[score.value].tolist(), own["ci95"].tolist())
        for source in sources
        if len(own := cells[cells["source"] == source].set_index("method").loc[methods])
    }
    published = pd.DataFrame.from_dict(ranked, orient="index", columns=pd.Index(methods))
    paired, unpaired = _paired(rows[rows["source"].isin(sources)], methods, score)
    named = baseline if baseline in methods else None
    kept = (key for key in (*score.shape, *score.conditions) if key not in score.of_source)
    return RankedGroup(
        score=score,
        trained_on=str(rows["trained_on"].iloc[0]),
        conditions={key: rows[key].iloc[0] for key in kept},
        apart=tuple(key for key in apart if key in score.conditions),
        cells=cells,
        sources=sources,
        not_shared=tuple(sorted(set(map(str, counts.index)) - set(sources), key=natural)),
        published=published,
        paired=paired,
        unpaired=unpaired,
        against=_against(rows, named, [m for m in methods if m != named], score) if named else None,
    )


def _cells(rows: pd.DataFrame, score: Score) -> pd.DataFrame:
    found = []
    for (method, source), own in rows.groupby(["method", "source"], observed=True):
        values, seeds = own[score.value].to_numpy(dtype=np.float64), own["seed"].to_numpy(dtype=np.int64)
        found.append(
            (method, source, float(values.mean()), score.ci95(values, seeds), len(values), len(set(seeds)))
        )
    cells = pd.DataFrame(found, columns=["method", "source", score.value, "ci95", "n_episodes", "n_seeds"])
    alike = rows.groupby(["method", "source"], observed=True)[list(score.of_source)].first()
    return cells.merge(alike.reset_index(), on=["method", "source"])


def _paired(rows: pd.DataFrame, methods: Sequence[str], score: Score) -> tuple[PairedRanking | None, str]:
    """The paired ranking on what all methods share, or why there is none."""
    if len(methods) < 2:
        return None, "There is one method only."
    place = ["source", "seed", "episode"]
    everywhere = rows.groupby(place, observed=True)["method"].transform("nunique") == len(methods)
    shared = rows[everywhere]
    per_source = shared.groupby("source", observed=True).size() / len(methods)
    lacking = sorted(set(rows["source"]) - set(per_source[per_source >= FEWEST_PAIRS].index))
    if not len(shared) or lacking:
        where = f" of {named_choices(map(str, lacking))}" if lacking else ""
        return None, (
            f"The methods do not share {FEWEST_PAIRS} test {score.row}s{where}: test them with the same seeds and "
            f"numbers of {score.row}s to have them ranked in pairs."
        )
    return paired_ranking(shared, score.value), ""


def _against(rows: pd.DataFrame, baseline: str, methods: Sequence[str], score: Score) -> pd.DataFrame:
    """Each method less the baseline on shared episodes of each source, p corrected over all of them (Holm)."""
    keys = ["source", "seed", "episode"]
    base = rows[rows["method"] == baseline].set_index(keys)[score.value]
    found: list[dict[str, object]] = []
    for method in methods:
        own = rows[rows["method"] == method].set_index(keys)[score.value]
        both = (own - base).dropna()
        for source, values in both.groupby(level="source", observed=True):
            seeds = values.index.get_level_values("seed").to_numpy(dtype=np.int64)
            mean = nested_mean(np.asarray(values, dtype=np.float64), seeds)
            found.append(
                {
                    "method": method,
                    "source": str(source),
                    "difference": mean.mean,
                    "ci95": half_width(mean),
                    "p": p_differs(mean),
                    "n_episodes": mean.n_episodes,
                    "n_seeds": mean.n_seeds,
                }
            )
    frame = pd.DataFrame(
        found, columns=["method", "source", "difference", "ci95", "p", "n_episodes", "n_seeds"]
    )
    return frame.assign(p_holm=holm(frame["p"].to_numpy(dtype=np.float64)))
