"""Measures against dissimilarities: a row a measure, a column an axis, in each part a mark with interval a source."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from harness.report.style import COLOURS, GREY, INK, MARKERS, figure_of, grid, save

WIDTH, HEIGHT = 3.9, 2.5
"""Inches: a part."""

LEGEND_ROW, LETTER, MARK = 0.28, 0.095, 0.55
"""Inches: a line of the legend, a letter in it, and what stands around a name."""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A source in a part: where it is, the ends of its interval, and whether it counts for the line."""

    source: str
    x: float
    y: float
    low: float
    high: float
    counted: bool


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """A part: its spots, and the line through those that count, from end to end, or None.

    clear: whether the trend is, so that its line is solid. said: a word on the trend, above the part.
    """

    spots: Sequence[Spot]
    line: tuple[tuple[float, float], tuple[float, float]] | None
    clear: bool
    said: str


def draw_trends(
    parts: Sequence[Sequence[Scatter]],
    rows: Sequence[str],
    columns: Sequence[str],
    sources: Sequence[str],
    near: frozenset[str],
    path: Path,
) -> None:
    """Write the figure to `path`. rows, columns: labels of the axes. near: sources of the training."""
    looks = source_looks(sources)
    width = max(WIDTH * len(columns) + 0.6, 8.0)
    across = max(1, int(width / (LETTER * max(map(len, sources)) + MARK)))
    lines = -(-len(sources) // across)
    height = HEIGHT * len(rows) + LEGEND_ROW * lines + 0.4
    with figure_of(width, height) as figure:
        axes = figure.subplots(len(rows), len(columns), squeeze=False, sharex="col", sharey="row")
        for i, label in enumerate(rows):
            for j, name in enumerate(columns):
                part = axes[i][j]
                _draw_part(part, parts[i][j], looks)
                if i == len(rows) - 1:
                    part.set_xlabel(name, fontsize=12)
                if j == 0:
                    part.set_ylabel(textwrap.fill(label, 24), fontsize=11)
        _legend(figure, looks, near, across)
        save(figure, path)


def source_looks(sources: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each source; no two of 49 are alike."""
    return {
        name: (COLOURS[i % len(COLOURS)], MARKERS[(i + i // len(COLOURS)) % len(MARKERS)])
        for i, name in enumerate(sources)
    }


def _draw_part(axes: Axes, part: Scatter, looks: Mapping[str, tuple[str, str]]) -> None:
    axes.axhline(0, color=GREY, linewidth=1, zorder=1)
    for spot in part.spots:
        colour, marker = looks[spot.source]
        axes.plot([spot.x, spot.x], [spot.low, spot.high], color=colour, linewidth=1.4, zorder=2)
        axes.plot(
            spot.x, spot.y, color=colour, marker=marker, linestyle="", markersize=7, zorder=3,
            markerfacecolor=colour if spot.counted else "white", markeredgewidth=1.5,
        )  # fmt: skip
    if part.line is not None:
        xs, ys = zip(*part.line, strict=True)
        axes.plot(xs, ys, color=INK, linewidth=1.6, linestyle="-" if part.clear else ":", zorder=1)
    axes.set_title(part.said, fontsize=10, fontweight="normal")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(axis="both", labelsize=10)
    grid(axes, "both")


def _legend(figure: Figure, looks: Mapping[str, tuple[str, str]], near: frozenset[str], columns: int) -> None:
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=7)
        for colour, marker in looks.values()
    ]
    names = [f"{name} †" if name in near else name for name in looks]
    figure.legend(
        handles, names, loc="outside upper left", ncols=columns, frameon=False, fontsize=10,
        handletextpad=0.3, columnspacing=1.2,
    )  # fmt: skip
