"""Small multiples: a part per source, in it a line per series; blocks of parts one below the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from harness.report.style import BAND, COLOURS, LINES, MARKERS, Style, figure_of, grid, save

PART_WIDTH, PART_HEIGHT, LABELS = 2.5, 2.0, 1.0
"""Inches."""


@dataclass(frozen=True, kw_only=True)
class GridBlock:
    """One quantity: its axis label, and a frame of source, series, x, y and ci (half an interval, may be NaN).

    points: more rows of the same columns, drawn as hollow marks without a line. log: a logarithmic axis; values
    of 0 and below are then left out. apart: an x that the lines leave out.
    """

    label: str
    rows: pd.DataFrame
    points: pd.DataFrame | None = None
    log: bool = False
    apart: float | None = None


def series_looks(names: Sequence[str]) -> dict[str, Style]:
    """A look for each series that also differs in grey: marker and line change with the colour."""
    return {
        name: Style(
            colour=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)],
            line=LINES[index % len(LINES)],
        )
        for index, name in enumerate(names)
    }


def draw_grid(
    blocks: Sequence[GridBlock],
    sources: Sequence[str],
    near: frozenset[str],
    looks: Mapping[str, Style],
    path: Path,
    *,
    label: str,
    categories: Sequence[str] | None = None,
    hollow: str = "",
) -> None:
    """Write the figure to `path`.

    near: sources of the training. label: of the x axis. categories: names of x = 0, 1, ...; None for numbers.
    hollow: what the legend says of `points`.
    """
    columns = columns_for(len(sources))
    lines = -(-len(sources) // columns)
    high = LABELS + (0.5 if categories else 0)
    with figure_of(PART_WIDTH * columns + 0.9, len(blocks) * (lines * PART_HEIGHT + high) + 0.4) as figure:
        parts = figure.subfigures(len(blocks), 1, squeeze=False)[:, 0]
        for part, block in zip(parts, blocks, strict=True):
            axes = part.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
            _draw_block(axes, block, sources, near, looks, categories)
            part.supylabel(block.label, fontsize=12)
            part.supxlabel(label, fontsize=12)
        _legend(figure, looks, hollow)
        save(figure, path)


def columns_for(count: int) -> int:
    """How many parts stand side by side."""
    return count if count <= 4 else 3 if count <= 6 else 4 if count <= 8 else 5


def _draw_block(
    axes: np.ndarray[tuple[int, int], np.dtype[np.object_]],
    block: GridBlock,
    sources: Sequence[str],
    near: frozenset[str],
    looks: Mapping[str, Style],
    categories: Sequence[str] | None,
) -> None:
    for index, place in enumerate(axes.flat):
        if index >= len(sources):
            place.set_visible(False)
            continue
        _draw_part(place, block, sources[index], sources[index] in near, looks)
        below = index + axes.shape[1] >= len(sources)
        if categories is not None:
            place.set_xticks(range(len(categories)), categories, rotation=90)
            place.set_xlim(-0.4, len(categories) - 0.6)
        place.tick_params(axis="x", labelbottom=below, labelsize=11)
        place.tick_params(axis="y", labelsize=11)


def _draw_part(axes: Axes, block: GridBlock, source: str, inside: bool, looks: Mapping[str, Style]) -> None:
    axes.set_title(
        f"{source} †" if inside else source, fontsize=12, fontweight="bold" if inside else "normal"
    )
    if inside:
        axes.set_facecolor(BAND)
    if block.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    for name, look in looks.items():
        rows = _of(block.rows, source, name, block.log)
        for piece in (rows[rows["x"] != block.apart], rows[rows["x"] == block.apart]):
            if len(piece):
                _draw_line(axes, piece, look)
        if block.points is not None:
            points = _of(block.points, source, name, block.log)
            axes.plot(
                points["x"], points["y"], linestyle="", marker=look.marker, markersize=8,
                markerfacecolor="none", markeredgecolor=look.colour, zorder=4,
            )  # fmt: skip
    grid(axes, "y")


def _draw_line(axes: Axes, rows: pd.DataFrame, look: Style) -> None:
    """A line through the means, with their intervals; without marks where these would cover each other."""
    many = len(rows) > 12
    reach = np.nan_to_num(rows["ci"].to_numpy(dtype=np.float64))
    axes.errorbar(
        rows["x"], rows["y"], yerr=reach, color=look.colour, linestyle=look.line, linewidth=1.6,
        marker="" if many else look.marker, markersize=4.5, elinewidth=1.2, zorder=3,
    )  # fmt: skip


def _of(frame: pd.DataFrame, source: str, series: str, log: bool) -> pd.DataFrame:
    rows = frame[(frame["source"] == source) & (frame["series"] == series) & frame["y"].notna()]
    return (rows[rows["y"] > 0] if log else rows).sort_values("x")


def _legend(figure: Figure, looks: Mapping[str, Style], hollow: str) -> None:
    handles = [
        Line2D(
            [], [], color=look.colour, linestyle=look.line, marker=look.marker, linewidth=1.8, markersize=6
        )
        for look in looks.values()
    ]
    names = list(looks)
    if hollow:
        handles.append(Line2D([], [], color="#222222", linestyle="", marker="o", markerfacecolor="none"))
        names.append(hollow)
    figure.legend(
        handles, names, loc="outside upper left", ncols=min(len(names), 6), frameon=False, fontsize=11
    )
