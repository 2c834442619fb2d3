"""Does reuse change with the distance from the training? Measures of reuse by source, and their trends."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from harness.episode_trend import EpisodeTrend, episode_trend
from harness.errors import ConfigError
from harness.nested import half_width, nested_mean
from harness.pairing import Comparison
from harness.report.gather import Gathered
from harness.report.reuse_axes import Axis, axes_of, dials, episode_distances
from harness.report.reuse_numbers import fractions, with_places
from harness.report.reuse_verdicts import (
    ALIKE,
    EVERYTHING,
    FREEZING,
    HEAD,
    HEAD_ONLY,
    Judging,
    Refusal,
    comparable,
    freezing,
    pairs,
    reference,
)
from harness.statistics import with_shots
from harness.trend import SourceValues, Trend, trend
from harness.verdicts import METHODS

POINTS, SHARE = "points", "share"
"""Units of a measure: differences of accuracy are shown in points, all else as it is."""

TREND_COLUMNS = (
    "trained_on", "split", "n_way", "shots", *ALIKE, "measure", "axis", "n_sources", "n_seeds",
    "spearman", "spearman_low", "spearman_high", "p", "slope", "slope_low", "slope_high", "x_low", "x_high",
    "change", "change_low", "change_high", "n_episodes", "reason",
)  # fmt: skip
"""Columns of trends.csv. n_episodes: of a trend over single episodes within sources, which has no slope; empty for a
trend over sources. slope: unit of the measure (accuracies are -1..1) per unit of the axis; change: what that
makes from x_low to x_high, the nearest and the farthest source."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A measure on one source: the mean of its seeds' means and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A measure of reuse on the sources of a place: a number and its values a source.

    cells: rows of (seed, episode, `y`) a source, where there is a value an episode.
    """

    name: str
    unit: str
    points: dict[str, Point]
    values: dict[str, tuple[Any, Any]]
    cells: dict[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Against:
    """A measure against an axis. `counted`: the sources that the trend is of."""

    measure: Measure
    axis: Axis
    counted: tuple[str, ...]
    trend: Trend


@dataclass(frozen=True, kw_only=True)
class Within:
    """A measure against the distances of single episodes, within sources."""

    measure: Measure
    axis: str
    trend: EpisodeTrend


@dataclass(frozen=True, kw_only=True)
class PlaceTrends:
    """All measures of a place against all its axes, in the order of the measures, then the axes.

    within: the same episode by episode, where episodes have distances of their own.
    """

    place: str
    key: dict[str, Any]
    measures: tuple[Measure, ...]
    axes: tuple[Axis, ...]
    found: tuple[Against, ...]
    within: tuple[Within, ...] = ()


def trends(
    gathered: Gathered, judging: Judging, frame: pd.DataFrame, titles: dict[tuple[object, ...], str]
) -> list[PlaceTrends]:
    """The trends of each place that has an axis and a measure.

    frame: the probes, as `reuse_numbers.prepared` gives them, with places. titles: of places.
    """
    found = []
    episodes = with_places(with_shots(gathered.episodes), titles)
    freeze = freezing(gathered.probes)
    freeze = with_places(freeze, titles) if len(freeze) else freeze.assign(place="")
    full = reference(gathered.runs, judging)
    for place, own in episodes.groupby("place", sort=False, observed=True):
        first = own.iloc[0]
        key = {name: first[name] for name in ("trained_on", "split", "n_way", "shots", *ALIKE)}
        axes = axes_of(
            str(key["trained_on"]),
            str(key["split"]),
            int(first["image_size"]),
            int(first["protocol_version"]),
            gathered,
        )
        if not axes:
            continue
        measures = tuple(
            _measures(own, freeze[freeze["place"] == place], _of(frame, place), full, gathered, judging)
        )
        # An axis of the regime may lie elsewhere: its sources tested in other shapes, or without a distance.
        axes = [axis for axis in axes if any(set(axis.x) & set(measure.values) for measure in measures)]
        if not axes:
            continue
        made = set(dials(gathered, str(key["trained_on"])))
        against = tuple(_against(measure, axis, made) for measure in measures for axis in axes)
        found.append(
            PlaceTrends(
                place=str(place),
                key=key,
                measures=measures,
                axes=tuple(axes),
                found=against,
                within=tuple(_within(measures, episode_distances(own, gathered))),
            )
        )
    return found


def trend_rows(found: Sequence[PlaceTrends]) -> pd.DataFrame:
    """The trends as rows of TREND_COLUMNS."""
    rows = []
    for place in found:
        for one in place.found:
            x = [one.axis.x[source] for source in one.counted]
            ends = {"x_low": min(x, default=float("nan")), "x_high": max(x, default=float("nan"))}
            width = ends["x_high"] - ends["x_low"]
            slopes = {"": one.trend.slope, "_low": one.trend.slope_low, "_high": one.trend.slope_high}
            ends |= {f"change{end}": width * slope for end, slope in slopes.items()}
            rows.append(
                {**place.key, **vars(one.trend), **ends, "measure": one.measure.name, "axis": one.axis.name}
            )
        for single in place.within:
            names = {"measure": single.measure.name, "axis": f"{single.axis} of an episode", "n_seeds": 1}
            rows.append({**place.key, **vars(single.trend), **names})
    return pd.DataFrame(rows, columns=pd.Index(TREND_COLUMNS))


def _of(frame: pd.DataFrame, place: object) -> pd.DataFrame:
    return frame[frame["place"] == place] if len(frame) else frame


def _measures(
    episodes: pd.DataFrame,
    freeze: pd.DataFrame,
    probes: pd.DataFrame,
    full: str | None,
    gathered: Gathered,
    judging: Judging,
) -> Iterator[Measure]:
    """Differences of methods, of freezing in the method that adapts everything, its reuse fraction and body CKA."""
    for a, b in pairs(gathered.runs, judging):
        yield from _difference(f"{a} less {b}", episodes, a, b, METHODS)
    if full is None:
        return
    own = freeze[freeze["method"] == full] if len(freeze) else freeze
    if len(own):
        yield from _difference(f"head only less everything in {full}", own, HEAD_ONLY, EVERYTHING, FREEZING)
        yield from _fraction(own, full)
    yield from _similarity(probes, full)


def _difference(name: str, rows: pd.DataFrame, a: str, b: str, comparison: Comparison) -> Iterator[Measure]:
    cells = {
        str(key["source"]): cell.rename(columns={"difference": "y"})
        for part in comparable(rows, a, b, comparison)
        if not isinstance(part, Refusal)
        for key, cell in part.cells
    }
    if cells:
        yield _measure(name, POINTS, cells)


def _fraction(freeze: pd.DataFrame, full: str) -> Iterator[Measure]:
    """One number a source, so its trend knows of sources alone; undefined fractions are left out."""
    table, _ = fractions(freeze)
    known = table[table["fraction"].notna()] if len(table) else table
    if len(known):
        points = {
            str(row["source"]): Point(mean=row["fraction"], low=row["low"], high=row["high"])
            for row in known.to_dict("records")
        }
        values = {source: (np.array([point.mean]), np.array([0])) for source, point in points.items()}
        yield Measure(name=f"reuse fraction of {full}", unit=SHARE, points=points, values=values)


def _similarity(probes: pd.DataFrame, full: str) -> Iterator[Measure]:
    """CKA before and after adaptation at the last layer of the body."""
    if probes.empty:
        return
    rows = probes[
        (probes["probe"] == "similarity")
        & (probes["quantity"] == "cka")
        & (probes["condition"] == EVERYTHING)
        & (probes["method"] == full)
        & probes["episode"].notna()
        & (probes["layer"] != HEAD)
        & (probes["layer"] != "")
    ]
    if rows.empty:
        return
    last = list(dict.fromkeys(rows["layer"]))[-1]
    rows = rows[rows["layer"] == last]
    cells = {
        str(source): cell[["seed", "episode", "value"]].rename(columns={"value": "y"})
        for source, cell in rows.groupby("source", observed=True)
        if len(cell)
    }
    yield _measure(f"CKA of {last} in {full}, before and after", SHARE, cells)


def _measure(name: str, unit: str, cells: dict[str, pd.DataFrame]) -> Measure:
    points, values = (
        {},
        {s: (c["y"].to_numpy(np.float64), c["seed"].to_numpy(np.int64)) for s, c in cells.items()},
    )
    for source, (numbers, seeds) in values.items():
        mean = nested_mean(numbers, seeds)
        reach = half_width(mean) if mean.episode_df else 0.0
        points[source] = Point(mean=mean.mean, low=mean.mean - reach, high=mean.mean + reach)
    return Measure(name=name, unit=unit, points=points, values=values, cells=cells)


def _against(measure: Measure, axis: Axis, made: set[str]) -> Against:
    """On a dial all its sources count; on a distance those made from another one do not: they are no others of it."""
    counted = tuple(
        source for source in axis.x if source in measure.values and (axis.dial or source not in made)
    )
    found = _trend(
        [SourceValues(x=axis.x[s], values=measure.values[s][0], seeds=measure.values[s][1]) for s in counted]
    )
    return Against(measure=measure, axis=axis, counted=counted, trend=found)


def _within(measures: Sequence[Measure], distances: Mapping[str, pd.DataFrame]) -> Iterator[Within]:
    """distances: axis -> rows of (seed, source, episode, `x`)."""
    for measure in measures:
        if not measure.cells:
            continue
        for axis, frame in distances.items():
            of_source = dict(list(frame.groupby("source", observed=True)))
            pairs = []
            for source, cell in measure.cells.items():
                if source in of_source:
                    both = cell.merge(of_source[source], on=["seed", "episode"]).dropna(subset=["x", "y"])
                    pairs.append((both["x"].to_numpy(np.float64), both["y"].to_numpy(np.float64)))
            yield Within(measure=measure, axis=axis, trend=episode_trend(pairs))


def _trend(sources: Sequence[SourceValues]) -> Trend:
    try:
        return trend(sources)
    except ConfigError as error:  # no seed in common: the plot stands, the trend does not
        nan = float("nan")
        return Trend(
            spearman=nan, spearman_low=nan, spearman_high=nan, p=nan, slope=nan, slope_low=nan, slope_high=nan,
            n_sources=len(sources), n_seeds=0, reason=str(error),
        )  # fmt: skip
