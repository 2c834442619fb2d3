"""Accuracy per source: a dot and interval an entry, named at the right; a tinted band for sources in training."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes

from harness.report.panels import Entry, Panel
from harness.report.style import BAND, GREY, INK, Style, figure_of, grid, save

ROW, GAP, HEAD = 0.30, 0.34, 1.55
"""Inches: a row of one entry, the space between sources, title and axis."""


def draw_accuracy(
    panel: Panel, in_training: Mapping[str, frozenset[str]], looks: Mapping[str, Style], path: Path
) -> None:
    """Write the figure of a panel, one part per regime, to `path`."""
    parts = {regime: [e for e in panel.entries if e.trained_on == regime] for regime in panel.regimes}
    heights = [HEAD + _sources(panel, es) * GAP + _rows(panel, es) * ROW for es in parts.values()]
    with figure_of(10, sum(heights)) as figure:
        axes = figure.subplots(len(parts), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
        limits = _limits(panel)
        for part, (regime, entries) in zip(axes[:, 0], parts.items(), strict=True):
            _draw_part(part, panel, entries, in_training.get(regime, frozenset()), looks)
            part.set_xlim(limits)
            part.set_title(f"Trained on {regime}")
            part.set_xlabel(f"accuracy, %  ({panel.heading}; bars: 95 % interval)")
        save(figure, path)


def _draw_part(
    axes: Axes, panel: Panel, entries: list[Entry], near: frozenset[str], looks: Mapping[str, Style]
) -> None:
    """One regime: from the top, the sources; within a source, the entries in alphabetical order."""
    y = 0.0
    ticks: list[float] = []
    names: list[str] = []
    for source in panel.sources:
        found = [entry for entry in entries if (entry, source) in panel.cells]
        if not found:
            continue
        top = y
        for entry in found:
            _draw_cell(axes, panel, entry, source, y, looks[entry.method])
            y += ROW
        edges = (top - (ROW + GAP) / 2, y - ROW + (ROW + GAP) / 2)
        if source in near:
            axes.axhspan(*edges, color=BAND, zorder=0, linewidth=0)
        axes.axhline(edges[1], color=GREY, linewidth=0.6, zorder=1)
        ticks.append((top + y - ROW) / 2)
        names.append(f"{source}\nin training" if source in near else source)
        y += GAP
    axes.set_ylim(y - (ROW + GAP) / 2, -(ROW + GAP) / 2)
    axes.set_yticks(ticks, names)
    axes.tick_params(axis="y", length=0, labelsize=13)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_fontweight("bold" if "\n" in name else "normal")
    _draw_chance(axes, panel)
    grid(axes, "x")


def _draw_cell(axes: Axes, panel: Panel, entry: Entry, source: str, y: float, look: Style) -> None:
    cell = panel.cells[entry, source]
    axes.errorbar(
        100 * cell.accuracy,
        y,
        xerr=100 * cell.ci95,
        color=look.colour,
        marker=look.marker,
        markersize=8,
        markeredgecolor="white",
        markeredgewidth=0.8,
        elinewidth=2.4,
        capsize=5,
        capthick=2,
        zorder=3,
    )
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


def _draw_chance(axes: Axes, panel: Panel) -> None:
    axes.axvline(100 * panel.chance, color=INK, linewidth=1.4, linestyle=(0, (4, 3)), zorder=2)
    axes.annotate(
        "chance",
        (100 * panel.chance, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4, 3),
        textcoords="offset points",
        color=GREY,
        fontsize=11,
    )


def _limits(panel: Panel) -> tuple[float, float]:
    """Percent axis that holds every interval and chance, the same for all parts."""
    cells = [cell for cell in panel.cells.values() if cell.accuracy == cell.accuracy]
    low = min([panel.chance, *(cell.accuracy - cell.ci95 for cell in cells)])
    high = max([panel.chance, *(cell.accuracy + cell.ci95 for cell in cells)])
    room = max(0.04 * (high - low), 0.01)
    return 100 * max(low - room, -0.01), 100 * min(high + room, 1.01)


def _rows(panel: Panel, entries: list[Entry]) -> int:
    return sum((entry, source) in panel.cells for entry in entries for source in panel.sources)


def _sources(panel: Panel, entries: list[Entry]) -> int:
    return sum(any((entry, source) in panel.cells for entry in entries) for source in panel.sources)
