"""Accuracy per source: a dot and interval an entry; a tinted band marks sources of the training regime.

Each entry is named at its row's right; where rows are too many for that, they are closer, with a legend.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.report.panels import Entry, Panel
from harness.report.style import BAND, GREY, INK, Style, figure_of, grid, save


@dataclass(frozen=True, kw_only=True)
class Spacing:
    """Inches: a row, the space between sources, title and axis. named: each row has its name at the right."""

    row: float
    gap: float
    head: float
    named: bool


ROOMY = Spacing(row=0.30, gap=0.34, head=1.65, named=True)
DENSE = Spacing(row=0.14, gap=0.20, head=1.65, named=False)
MOST_NAMED_ROWS = 48

CHANCE: dict[str, Any] = {"color": INK, "linewidth": 1.4, "linestyle": (0, (4, 3)), "zorder": 2}
"""The line of what guessing gets, source by source."""


def draw_accuracy(
    panel: Panel, in_training: Mapping[str, frozenset[str]], looks: Mapping[str, Style], path: Path
) -> None:
    """Write the figure of a panel, one part per regime, to `path`."""
    parts = {regime: [e for e in panel.entries if e.trained_on == regime] for regime in panel.regimes}
    space = ROOMY if max(_rows(panel, entries) for entries in parts.values()) <= MOST_NAMED_ROWS else DENSE
    heights = [
        space.head + _sources(panel, entries) * space.gap + _rows(panel, entries) * space.row
        for entries in parts.values()
    ]
    with figure_of(10, sum(heights)) as figure:
        axes = figure.subplots(len(parts), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
        limits = _limits(panel)
        for part, (regime, entries) in zip(axes[:, 0], parts.items(), strict=True):
            _draw_part(part, panel, entries, in_training.get(regime, frozenset()), looks, space)
            part.set_xlim(limits)
            part.set_title(f"Trained on {regime}", pad=24)
            note = "; bold: highest mean" if space.named and len(entries) > 1 else ""
            part.set_xlabel(f"accuracy, %  ({panel.heading}; bars: 95 % interval{note})")
        save(figure, path)


def _draw_part(
    axes: Axes,
    panel: Panel,
    entries: list[Entry],
    near: frozenset[str],
    looks: Mapping[str, Style],
    space: Spacing,
) -> None:
    """One regime: from the top, the sources; within a source, the entries in their order."""
    half = (space.row + space.gap) / 2
    y = 0.0
    ticks: list[float] = []
    names: list[str] = []
    for source in panel.sources:
        found = [entry for entry in entries if (entry, source) in panel.cells]
        if not found:
            continue
        top = y
        for entry in found:
            _draw_cell(axes, panel, entry, source, y, looks[entry.method], space)
            y += space.row
        edges = (top - half, y - space.row + half)
        if source in near:
            axes.axhspan(*edges, color=BAND, zorder=0, linewidth=0)
        axes.axhline(edges[1], color=GREY, linewidth=0.6, zorder=1)
        axes.vlines(100 * panel.chances[source], *edges, **CHANCE)
        if not ticks:
            _name_chance(axes, panel.chances[source])
        ticks.append((top + y - space.row) / 2)
        names.append(f"{source}\nin training" if source in near else source)
        y += space.gap
    axes.set_ylim(y - half, -half)
    axes.set_yticks(ticks, names)
    axes.tick_params(axis="y", length=0, labelsize=13)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_fontweight("bold" if "\n" in name else "normal")
    grid(axes, "x")
    if not space.named:
        _legend(axes, entries, looks)


def _draw_cell(
    axes: Axes, panel: Panel, entry: Entry, source: str, y: float, look: Style, space: Spacing
) -> None:
    cell = panel.cells[entry, source]
    x, size = 100 * cell.accuracy, 7.5 if space.named else 6.5
    cap, width = (5, 2.2) if space.named else (0, 1.8)
    bar = 100 * cell.ci95
    axes.errorbar(
        x,
        y,
        xerr=bar,
        fmt="none",
        ecolor=look.colour,
        elinewidth=width,
        capsize=cap,
        capthick=width,
        zorder=3,
    )
    edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.7}
    axes.plot(x, y, color=look.colour, marker=look.marker, markersize=size, zorder=4, **edge)
    if not space.named:
        return
    leads = entry == panel.best(source, entry.trained_on)
    axes.annotate(
        f"{cell}  {entry.method}",
        (1, y),
        xycoords=("axes fraction", "data"),
        xytext=(10, 0),
        textcoords="offset points",
        va="center",
        color=look.colour,
        fontweight="bold" if leads else "normal",
        annotation_clip=False,
    )


def _legend(axes: Axes, entries: list[Entry], looks: Mapping[str, Style]) -> None:
    marks = [
        Line2D([], [], color=looks[e.method].colour, marker=looks[e.method].marker, markersize=9, linewidth=2)
        for e in entries
    ]
    names = [entry.method for entry in entries]
    axes.legend(marks, names, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=12)


def _name_chance(axes: Axes, topmost: float) -> None:
    """Above the line of the topmost source."""
    axes.annotate(
        "chance",
        (100 * topmost, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4, 3),
        textcoords="offset points",
        color=GREY,
        fontsize=11,
    )


def _limits(panel: Panel) -> tuple[float, float]:
    """Percent axis that holds every interval and chance, the same for all parts."""
    cells = [cell for cell in panel.cells.values() if cell.accuracy == cell.accuracy]
    low = min([*panel.chances.values(), *(cell.accuracy - cell.ci95 for cell in cells)])
    high = max([*panel.chances.values(), *(cell.accuracy + cell.ci95 for cell in cells)])
    room = max(0.04 * (high - low), 0.01)
    return 100 * max(low - room, -0.01), 100 * min(high + room, 1.01)


def _rows(panel: Panel, entries: list[Entry]) -> int:
    return sum((entry, source) in panel.cells for entry in entries for source in panel.sources)


def _sources(panel: Panel, entries: list[Entry]) -> int:
    return sum(any((entry, source) in panel.cells for entry in entries) for source in panel.sources)
