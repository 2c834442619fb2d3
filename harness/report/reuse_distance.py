"""The report's section on dissimilarity: does reuse fade with the distance from the training?"""

import math
from collections.abc import Iterator, Sequence

from harness.episode_trend import EpisodeTrend
from harness.report.album import Album
from harness.report.blocks import Block, Said, Section
from harness.report.reuse_text import listed, signed
from harness.report.reuse_trends import POINTS, Against, Measure, PlaceTrends, Within
from harness.report.settings import DASH, Table
from harness.report.trend_figure import Scatter, Spot, draw_trends

CHANCE = 0.05
"""The largest p of an order that is called a trend, not included."""

_NOTE = (
    "How measures of reuse change with how unlike the training a source is. Distances are those that the network "
    "named in distances.csv sees from the nearest training source: Task2Vec compares how tasks would change its "
    "weights, Fréchet how its features are spread. A dial is a known cause: the share to which the images of a source "
    "were changed. Each source counts alike in rank correlation (ρ) and slope; intervals are 95 %, of other sources "
    "like these, other seeds and other episodes (for the reuse fraction, one number a source, of other sources alone, "
    "and only of those that have one); p is by permutation; nothing is corrected for the number of trends. Hollow "
    "marks are left out of a trend over sources: those made from another one count on its dial only. Clearly, and a "
    "solid line: the interval of the slope leaves out 0, and p < 0.05. Single episodes are ordered by their own "
    "distance among those of their source, all sources counting, for one seed's networks; clearly: p < 0.05. Their "
    "distances are of few images and noisy, which hides an order: where none is clear, there may be one. All numbers "
    "are in trends.csv, where accuracies and differences of them are shares, and in distances.csv. †: a source of the "
    "training."
)


def distance_section(
    found: Sequence[PlaceTrends],
    sources: dict[str, tuple[str, ...]],
    near: dict[str, frozenset[str]],
    album: Album,
) -> Section:
    """A figure, sentences and a table a place; empty where there is no trend to show."""
    blocks = tuple(block for one in found for block in _blocks(one, sources, near, album))
    return Section(title="Dissimilarity", note=_NOTE, blocks=blocks)


def _blocks(
    one: PlaceTrends, sources: dict[str, tuple[str, ...]], near: dict[str, frozenset[str]], album: Album
) -> Iterator[Block]:
    place = one.place
    there = {source for each in one.found for source in each.axis.x if source in each.measure.values}
    shown = tuple(source for source in sources[place] if source in there)
    columns = [axis.name for axis in one.axes]
    parts = [
        [_scatter(against) for against in one.found if against.measure is measure] for measure in one.measures
    ]
    figure = album.add(
        "reuse",
        f"dissimilarity-{place}",
        f"Measures of reuse against dissimilarity, trained on {place}",
        lambda path: draw_trends(parts, [_label(m) for m in one.measures], columns, shown, near[place], path),
    )
    said = tuple(
        _said(measure, [each for each in one.found if each.measure is measure]) for measure in one.measures
    )
    yield Block(title=f"Trained on {place}", said=said, figure=figure, table=_table(one))
    if one.within:
        yield Block(
            title=f"Trained on {place}: single episodes", said=_within_said(one), table=_within_table(one)
        )


def _label(measure: Measure) -> str:
    return f"{measure.name}, points" if measure.unit == POINTS else measure.name


def _scale(measure: Measure) -> float:
    return 100.0 if measure.unit == POINTS else 1.0


def _scatter(against: Against) -> Scatter:
    measure, axis, trend = against.measure, against.axis, against.trend
    scale = _scale(measure)
    spots = []
    for source, x in axis.x.items():
        if (point := measure.points.get(source)) is not None:
            y, low, high = (scale * value for value in (point.mean, point.low, point.high))
            counted = source in against.counted
            spots.append(Spot(source=source, x=x, y=y, low=low, high=high, counted=counted))
    if math.isnan(trend.slope):
        return Scatter(spots=spots, line=None, clear=False, said="no trend: " + trend.reason)
    xs = [axis.x[source] for source in against.counted]
    x_mean = sum(xs) / len(xs)
    y_mean = sum(measure.points[source].mean for source in against.counted) / len(xs)
    ends = (min(xs), max(xs))
    line = tuple((x, scale * (y_mean + trend.slope * (x - x_mean))) for x in ends)
    rho = f"ρ = {_number(trend.spearman)} ({_number(trend.spearman_low)} to {_number(trend.spearman_high)})"
    return Scatter(spots=spots, line=(line[0], line[1]), clear=_clear(against) != 0, said=rho)


def _clear(against: Against) -> int:
    """1 for a rise, -1 for a fall, 0 where the interval of the slope has 0 or the order may be chance."""
    trend = against.trend
    if not trend.p < CHANCE:
        return 0
    return int(trend.slope_low > 0) - int(trend.slope_high < 0)


def _said(measure: Measure, against: Sequence[Against]) -> Said:
    """Along which axes the measure clearly falls or rises, by how much from end to end."""
    parts = []
    for word, sign in (("falls", -1), ("rises", 1)):
        if own := [each for each in against if _clear(each) == sign]:
            parts.append(f"clearly {word} with {listed([_along(each) for each in own])}")
    if rest := [each.axis.name for each in against if _clear(each) == 0 and not each.trend.reason]:
        parts.append(f"shows no clear trend with {listed(rest)}")
    if none := [each for each in against if each.trend.reason]:
        reasons = "; ".join(dict.fromkeys(f"{each.axis.name}: {each.trend.reason}" for each in none))
        parts.append(f"has no trend to be told of ({reasons})")
    return Said(measure.name, "; ".join(parts) + ".")


def _along(each: Against) -> str:
    value, low, high = _reach(each)
    ends = f"from the nearest to the farthest of {each.trend.n_sources} sources"
    return f"{each.axis.name} ({value} {ends}, {low} to {high})"


def _reach(each: Against) -> tuple[str, str, str]:
    """What the line gains from the nearest source to the farthest, and its interval."""
    x = [each.axis.x[source] for source in each.counted]
    width = max(x) - min(x)
    show = signed if each.measure.unit == POINTS else _number
    value, low, high = (
        show(width * v) for v in (each.trend.slope, each.trend.slope_low, each.trend.slope_high)
    )
    return (f"{value} points" if each.measure.unit == POINTS else value), low, high


def _table(one: PlaceTrends) -> Table:
    columns = (
        "Measure", "Against", "Sources", "ρ", "95 % interval of ρ", "p", "From nearest to farthest",
        "95 % interval of that",
    )  # fmt: skip
    return Table(columns=columns, rows=tuple(_row(each) for each in one.found))


def _within_said(one: PlaceTrends) -> tuple[Said, ...]:
    """Of each measure: whether the farther episodes of a source differ from its nearer ones."""
    found = []
    for measure in dict.fromkeys(each.measure.name for each in one.within):
        own = [each for each in one.within if each.measure.name == measure]
        parts = [f"{_order(each.trend)} {each.axis}" for each in own if not each.trend.reason]
        reasons = dict.fromkeys(each.trend.reason for each in own if each.trend.reason)
        found.append(Said(measure, "; ".join(parts or reasons) + "."))
    return tuple(found)


def _order(trend: EpisodeTrend) -> str:
    where = f"(ρ = {_number(trend.spearman)}, {trend.n_episodes} episodes of {trend.n_sources} sources)"
    if trend.p >= CHANCE:
        return f"no clear order within sources {where} by"
    return f"clearly {'lower' if trend.spearman < 0 else 'higher'} in the farther episodes of a source {where} by"


def _within_table(one: PlaceTrends) -> Table:
    columns = ("Measure", "Against, within sources", "Sources", "Episodes", "ρ", "95 % interval of ρ", "p")
    return Table(columns=columns, rows=tuple(_within_row(each) for each in one.within))


def _within_row(each: Within) -> tuple[str, ...]:
    trend = each.trend
    names = (each.measure.name, f"{each.axis} of the episode", str(trend.n_sources), str(trend.n_episodes))
    if trend.reason:
        return (*names, DASH, trend.reason, DASH)
    between = f"{_number(trend.spearman_low)} to {_number(trend.spearman_high)}"
    return (*names, _number(trend.spearman), between, _p(trend.p))


def _row(each: Against) -> tuple[str, ...]:
    trend = each.trend
    names = (each.measure.name, each.axis.name, str(trend.n_sources))
    if trend.reason:
        return (*names, DASH, DASH, DASH, DASH, trend.reason)
    value, low, high = _reach(each)
    between = f"{_number(trend.spearman_low)} to {_number(trend.spearman_high)}"
    return (*names, _number(trend.spearman), between, _p(trend.p), value, f"{low} to {high}")


def _p(value: float) -> str:
    return f"{value:.4f}" if value < 0.01 else f"{value:.2f}"


def _number(value: float) -> str:
    text = f"{value:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text
