"""A critical-difference diagram (Demšar 2006): average ranks, and which methods cannot be told apart.

A row a method, best at the top, as ranks tie too often for names along a line. Each column at the right is a set of
methods of which no two are told apart: those with a dot in it, and no others.
"""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.ranking import PairedRanking
from harness.report.style import COLOURS, GREY, GRID, INK, figure_of, save

MOST_SETS = 24
"""Columns that are drawn, the largest sets first."""

ROW, TOP, BOTTOM = 0.28, 0.75, 0.45
LABEL, RANKS, COLUMN, EDGE, HEADING = 2.2, 3.6, 0.24, 0.3, 1.6
"""Inches: of the names, the ranks, a set, between them, and of the heading of the sets."""


def draw_critical_difference(ranking: PairedRanking, path: Path) -> None:
    """Write the diagram of a ranking of at least two methods."""
    largest = sorted(ranking.cliques, key=len, reverse=True)[:MOST_SETS]
    sets = [clique for clique in ranking.cliques if clique in largest]
    rows = len(ranking.methods)
    width = LABEL + RANKS + 2 * EDGE + max(COLUMN * len(sets), HEADING if sets else 0) + EDGE
    height = TOP + ROW * rows + BOTTOM
    with figure_of(width, height, constrained=False) as figure:
        of_ranks = _axes(figure, LABEL, RANKS, rows)
        _draw_ranks(of_ranks, ranking)
        of_sets = _axes(figure, LABEL + RANKS + 2 * EDGE, COLUMN * max(1, len(sets)), rows)
        _draw_sets(of_sets, ranking, sets)
        save(figure, path)


def _axes(figure: Figure, left: float, width: float, rows: int) -> Axes:
    """A part of the figure with a line of the same height for each method."""
    whole, height = figure.get_size_inches()
    axes = figure.add_axes((left / whole, BOTTOM / height, width / whole, ROW * rows / height))
    axes.set_ylim(rows - 0.5, -0.5)
    for place in range(0, rows, 2):
        axes.axhspan(place - 0.5, place + 0.5, color=GRID, alpha=0.35, linewidth=0)
    return axes


def _draw_ranks(axes: Axes, ranking: PairedRanking) -> None:
    names, values = list(ranking.methods), [float(ranking.average[name]) for name in ranking.methods]
    axes.set_xlim(0.5, len(names) + 0.5)
    axes.plot(values, range(len(names)), "o", color=COLOURS[0], markersize=7)
    for place, value in enumerate(values):
        left = value > 0.8 * len(names)
        axes.annotate(
            f"{value:.2f}",
            (value, place),
            xytext=(-8 if left else 8, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=10,
            color=GREY,
        )
    axes.set_yticks(range(len(names)), names, fontsize=11)
    axes.tick_params(axis="y", length=0)
    axes.set_title("Average rank over the sources, 1 is best", fontsize=11, fontweight="normal")


def _draw_sets(axes: Axes, ranking: PairedRanking, sets: list[tuple[str, ...]]) -> None:
    rows = {name: place for place, name in enumerate(ranking.methods)}
    axes.set_xlim(-0.5, max(1, len(sets)) - 0.5)
    for column, clique in enumerate(sets):
        places = [rows[name] for name in clique]
        axes.plot([column, column], [min(places), max(places)], color=GREY, linewidth=1)
        axes.plot([column] * len(places), places, "o", color=INK, markersize=6, gid=f"set {column}")
    axes.set_yticks([])
    axes.set_xticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title("Cannot be told apart" if sets else "", fontsize=11, fontweight="normal", loc="left")
