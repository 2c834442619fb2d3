"""Differences with intervals, a row per source: a part for each comparison, all with the same sources.

What is claimed of a row shows in its mark's shape and filling, so that grey print loses nothing.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from harness.report.style import BAND, COLOURS, GREY, INK, figure_of, grid, save

MOST_COLUMNS = 3
ROW, FRAME = 0.32, 1.25
"""Inches: a source, and what stands above and below the sources of a part."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """How a claim is drawn, and what the legend calls it."""

    label: str
    colour: str
    marker: str
    filled: bool = True


GOOD, BAD, OPEN = (COLOURS[0], "o"), (COLOURS[1], "s"), (INK, "D")
"""Colours and markers of claims: one kind, its opposite, and none."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A difference and the ends of its interval, in points, and its claim."""

    value: float
    low: float
    high: float
    claim: Claim


@dataclass(frozen=True, kw_only=True)
class ForestPart:
    """One comparison: its title, and an interval for each source that has one."""

    title: str
    rows: Mapping[str, Interval]


def draw_forest(
    parts: Sequence[ForestPart],
    sources: Sequence[str],
    near: frozenset[str],
    claims: Sequence[Claim],
    path: Path,
    *,
    label: str,
    margin: float | None = None,
    alike: bool = False,
) -> None:
    """Write the figure to `path`.

    near: sources of the training. margin: in points, drawn as a band around 0. alike: whether all parts have
    one x axis.
    """
    columns = min(len(parts), MOST_COLUMNS)
    lines = -(-len(parts) // columns)
    height = lines * (FRAME + ROW * len(sources)) + 0.45
    with figure_of(3.2 * columns + 2.2, height) as figure:
        axes = figure.subplots(lines, columns, squeeze=False, sharey=True, sharex=alike)
        for index, place in enumerate(axes.flat):
            if index >= len(parts):
                place.set_visible(False)
                continue
            _draw_part(place, parts[index], sources, near, margin)
            place.set_xlabel(label, fontsize=11)
        legend(figure, claims, margin)
        save(figure, path)


def _draw_part(
    axes: Axes, part: ForestPart, sources: Sequence[str], near: frozenset[str], margin: float | None
) -> None:
    axes.set_title(textwrap.fill(part.title, 28), fontsize=11)
    if margin is not None:
        axes.axvspan(-margin, margin, color="#e4e4e4", zorder=0, linewidth=0)
    axes.axvline(0, color=GREY, linewidth=1, zorder=1)
    for y, source in enumerate(sources):
        if source in near:
            axes.axhspan(y - 0.5, y + 0.5, color=BAND, zorder=-1, linewidth=0)
        if source in part.rows:
            _draw_row(axes, part.rows[source], y)
    names = [f"{source} †" if source in near else source for source in sources]
    axes.set_yticks(range(len(sources)), names)
    axes.set_ylim(len(sources) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(axis="both", labelsize=11)
    axes.tick_params(axis="x", labelbottom=True)
    grid(axes, "x")


def _draw_row(axes: Axes, row: Interval, y: int) -> None:
    claim = row.claim
    axes.plot([row.low, row.high], [y, y], color=claim.colour, linewidth=2, zorder=3)
    axes.plot(row.value, y, zorder=4, linestyle="", **_mark(claim))


def legend(figure: Figure, claims: Sequence[Claim], margin: float | None) -> None:
    """What the marks and the band mean, above the parts."""
    handles = [Line2D([], [], linestyle="-", linewidth=2, **_mark(claim)) for claim in claims]
    names = [claim.label for claim in claims]
    if margin is not None:
        handles.append(Line2D([], [], color="#d0d0d0", linewidth=9))
        names.append(f"within the margin of {margin:g}")
    columns = min(len(names), max(2, int(figure.get_figwidth() // 2)))
    figure.legend(handles, names, loc="outside upper left", ncols=columns, frameon=False, fontsize=11)


def _mark(claim: Claim) -> dict[str, Any]:
    return {
        "color": claim.colour,
        "marker": claim.marker,
        "markersize": 6.5,
        "markerfacecolor": claim.colour if claim.filled else "white",
        "markeredgecolor": claim.colour,
        "markeredgewidth": 1.6,
    }
