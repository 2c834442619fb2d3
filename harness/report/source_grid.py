"""Small multiples: a part per source, in it a line per series; blocks of parts one below the other.

Parts are placed by inches rather than by a layout engine, which takes a second for the tens of parts of a figure.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from harness.nested import Floats
from harness.report.style import BAND, COLOURS, GREY, LINES, MARKERS, Style, figure_of, grid, save

WIDTH, HEIGHT = 1.9, 1.35
"""Inches: a part."""

LEFT, RIGHT, TOP, BOTTOM, BETWEEN, TITLE, BLOCK = 0.95, 0.25, 0.45, 0.45, 0.22, 0.42, 0.15
"""Inches: what stands left, right, above and below of all parts, and between columns, rows and blocks."""

LETTER = 0.095
"""Inches that a letter of a turned tick label takes."""

LEGEND_ROW, MARK = 0.28, 0.75
"""Inches: a line of the legend, and what stands around a name in it."""

FEWFOLD = 9
"""A logarithmic axis that spans less would have hardly any ticks."""

APART = 0.05
"""How far the series of one x stand apart, so that their intervals do not cover each other."""


@dataclass(frozen=True, kw_only=True)
class GridBlock:
    """One quantity: its axis label, and a frame of source, series, x, y and ci (half an interval, may be NaN).

    categories: names of x = 0, 1, ...; None for numbers. log: a logarithmic axis where the values span enough for
    one; values of 0 and below are left out. zero: whether a line stands at 0. apart: an x that the lines
    leave out. bounds: what a mean can be; intervals that reach beyond, as those of two seeds do, are cut there.
    """

    label: str
    rows: pd.DataFrame
    categories: Sequence[str] | None = None
    log: bool = False
    zero: bool = False
    apart: float | None = None
    bounds: tuple[float, float] = (-math.inf, math.inf)


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
) -> None:
    """Write the figure to `path`. near: sources of the training. label: of the x axis."""
    columns = columns_for(len(sources))
    lines = -(-len(sources) // columns)
    block_height = lines * (HEIGHT + TITLE) + max(map(_below, blocks)) + BLOCK
    width = LEFT + columns * WIDTH + (columns - 1) * BETWEEN + RIGHT
    across = min(6, max(1, int(width / (LETTER * max(map(len, looks)) + MARK))))
    head = TOP + (-(-len(looks) // across) - 1) * LEGEND_ROW
    height = head + len(blocks) * block_height + BOTTOM - BLOCK
    with figure_of(width, height, constrained=False) as figure:
        for index, block in enumerate(blocks):
            top = height - head - index * block_height
            parts = _places(figure, len(sources), columns, top)
            _draw_block(parts, block, sources, near, looks)
            middle = top - lines * (HEIGHT + TITLE) / 2
            words = textwrap.fill(block.label, int(lines * (HEIGHT + TITLE) / LETTER))
            figure.text(
                0.1 / width, middle / height, words, rotation=90, va="center", ha="left",
                multialignment="center", fontsize=12,
            )  # fmt: skip
        figure.text(0.5, 0.1 / height, label, ha="center", va="bottom", fontsize=12)
        _legend(figure, looks, across)
        save(figure, path)


def _below(block: GridBlock) -> float:
    """Inches that the tick labels of a block's x axis take."""
    return LETTER * max(map(len, block.categories)) + 0.1 if block.categories else 0.25


def columns_for(count: int) -> int:
    """How many parts stand side by side."""
    return count if count <= 4 else 3 if count <= 6 else 4 if count <= 8 else 5


def _places(figure: Figure, count: int, columns: int, top: float) -> list[Axes]:
    """Axes for `count` parts, row by row, the first row's titles at `top` inches."""
    width, height = figure.get_size_inches()
    found = []
    for index in range(count):
        line, column = divmod(index, columns)
        left = LEFT + column * (WIDTH + BETWEEN)
        bottom = top - (line + 1) * (HEIGHT + TITLE)
        found.append(figure.add_axes((left / width, bottom / height, WIDTH / width, HEIGHT / height)))
    return found


def _draw_block(
    parts: Sequence[Axes],
    block: GridBlock,
    sources: Sequence[str],
    near: frozenset[str],
    looks: Mapping[str, Style],
) -> None:
    columns = columns_for(len(sources))
    limits = _limits(block)
    log = block.log and limits[1][1] > FEWFOLD * limits[1][0]
    lines = _lines(block)
    for index, (axes, source) in enumerate(zip(parts, sources, strict=True)):
        own = {name: lines[source, name] for name in looks if (source, name) in lines}
        _draw_part(axes, block, source, source in near, looks, own, log=log)
        low, high = limits[0] if block.categories is None else (-0.4, len(block.categories) - 0.6)
        axes.set_xlim(low, high)
        axes.set_ylim(*limits[1])
        if index + columns < len(sources):  # ticks take most of the time
            axes.set_xticks([])
        elif block.categories is not None:
            axes.set_xticks(range(len(block.categories)), block.categories, rotation=90)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5 if high < 100 else 2, integer=True))
        axes.tick_params(axis="x", labelsize=10)
        axes.tick_params(axis="y", labelleft=index % columns == 0, labelsize=10)


def _limits(block: GridBlock) -> tuple[tuple[float, float], tuple[float, float]]:
    """The x and the y axis that hold everything in the block."""
    rows = _drawn(block)
    if rows.empty:
        return (-0.5, 0.5), (0.1, 1)
    first, last = float(rows["x"].min()), float(rows["x"].max())
    beside = max(0.4, 0.06 * (last - first))
    x = (first - beside, last + beside)
    y: Floats = rows["y"].to_numpy(dtype=np.float64)
    reach: Floats = np.nan_to_num(rows["ci"].to_numpy(dtype=np.float64))
    low = min(float(np.min(y)), max(float(np.min(y - reach)), block.bounds[0]))
    high = max(float(np.max(y)), min(float(np.max(y + reach)), block.bounds[1]))
    if block.log:
        low = float(np.min(np.where(y > reach, y - reach, y)))
        return x, (low / 1.3, high * 1.3)
    room = max(0.06 * (high - low), 1e-3 * max(abs(low), abs(high)), 1e-9)
    return x, (low - room, high + room)


def _draw_part(
    axes: Axes,
    block: GridBlock,
    source: str,
    inside: bool,
    looks: Mapping[str, Style],
    lines: Mapping[str, pd.DataFrame],
    *,
    log: bool,
) -> None:
    axes.set_title(
        f"{source} †" if inside else source, fontsize=11, fontweight="bold" if inside else "normal", pad=4
    )
    if inside:
        axes.set_facecolor(BAND)
    if log:
        axes.set_yscale("log", nonpositive="mask")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=7))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    if block.zero:
        axes.axhline(0, color=GREY, linewidth=1, zorder=1)
    for place, (name, look) in enumerate(looks.items()):
        if (rows := lines.get(name)) is None:
            continue
        shift = APART * (place - (len(looks) - 1) / 2)
        for piece in (rows[rows["x"] != block.apart], rows[rows["x"] == block.apart]):
            if len(piece):
                _draw_line(axes, piece, look, shift, whole=block.categories is None)
    grid(axes, "y")


def _draw_line(axes: Axes, rows: pd.DataFrame, look: Style, shift: float, *, whole: bool) -> None:
    """A line through the means, with their intervals; without marks where these would cover each other.

    Unless `whole`, it is broken where a category is missing.
    """
    many = len(rows) > 12
    x, y, reach = (rows[name].to_numpy(dtype=np.float64) for name in ("x", "y", "ci"))
    gaps = np.flatnonzero((np.diff(x) > 1.5) & (not whole)) + 1
    x = x + shift
    axes.plot(
        np.insert(x, gaps, np.nan), np.insert(y, gaps, np.nan), color=look.colour, linestyle=look.line,
        linewidth=1.6, marker="" if many else look.marker, markersize=4.5, zorder=3,
    )  # fmt: skip
    reach = np.nan_to_num(reach)
    bars = np.stack([np.stack([x, x], axis=1), np.stack([y - reach, y + reach], axis=1)], axis=2)
    axes.add_collection(
        LineCollection(list(bars), colors=look.colour, linewidths=1.2, zorder=3), autolim=False
    )


def _drawn(block: GridBlock) -> pd.DataFrame:
    """The rows that can be: a logarithmic axis has no place for 0 and below."""
    return block.rows[block.rows["y"].notna() & ((block.rows["y"] > 0) | (not block.log))]


def _lines(block: GridBlock) -> dict[tuple[str, str], pd.DataFrame]:
    """The rows to be drawn of each (source, series), from left to right."""
    groups = (
        _drawn(block).sort_values("x", kind="stable").groupby(["source", "series"], sort=False, observed=True)
    )
    return {(str(source), str(series)): own for (source, series), own in groups}


def _legend(figure: Figure, looks: Mapping[str, Style], columns: int) -> None:
    handles = [
        Line2D([], [], color=look.colour, ls=look.line, marker=look.marker, linewidth=1.8, markersize=6)
        for look in looks.values()
    ]
    figure.legend(
        handles, list(looks), loc="upper left", ncols=columns, frameon=False, fontsize=11, handlelength=2.6
    )
