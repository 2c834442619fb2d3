"""A critical-difference diagram (Demšar 2006): average ranks on a line, and bars over what cannot be told apart."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from harness.ranking import PairedRanking
from harness.report.style import GREY, INK, figure_of, save

WIDTH, LABEL = 9.0, 2.6
"""Inches: of the figure, and of the names on each side."""

ROW, TOP, BAR = 0.28, 0.75, 0.16


def draw_critical_difference(ranking: PairedRanking, path: Path) -> None:
    """Best to the left. Names in the order of their ranks, half of them to each side."""
    order = list(ranking.methods)
    half = (len(order) + 1) // 2
    height = TOP + BAR * len(ranking.cliques) + ROW * half + 0.3
    with figure_of(WIDTH, height, constrained=False) as figure:
        axes = figure.add_axes((LABEL / WIDTH, 0, 1 - 2 * LABEL / WIDTH, 1))
        axes.set_xlim(1, max(2, len(order)))
        axes.set_ylim(height, 0)
        axes.axis("off")
        _draw_axis(axes, len(order))
        for place, clique in enumerate(ranking.cliques):
            ends = [float(ranking.average[name]) for name in (clique[0], clique[-1])]
            y = TOP + BAR * place
            axes.plot([ends[0] - 0.04, ends[1] + 0.04], [y, y], color=INK, linewidth=4, solid_capstyle="butt")
        below = TOP + BAR * len(ranking.cliques) + 0.15
        _draw_names(axes, ranking, order[:half], below, right=False)
        _draw_names(axes, ranking, order[half:][::-1], below, right=True)
        save(figure, path)


def _draw_axis(axes: Axes, n_methods: int) -> None:
    y = TOP - 0.2
    axes.plot([1, max(2, n_methods)], [y, y], color=INK, linewidth=1.2)
    for rank in range(1, max(2, n_methods) + 1):
        axes.plot([rank, rank], [y - 0.08, y], color=INK, linewidth=1.2)
        if n_methods <= 15 or rank % 2 == 1:
            axes.text(rank, y - 0.12, str(rank), ha="center", va="bottom", fontsize=11)


def _draw_names(
    axes: Axes, ranking: PairedRanking, names: Sequence[str], below: float, *, right: bool
) -> None:
    first, last = axes.get_xlim()
    edge = last if right else first
    side = 0.02 * (last - first) * (1 if right else -1)
    for row, name in enumerate(names):
        rank, y = float(ranking.average[name]), below + ROW * row
        axes.plot([rank, rank, edge], [TOP - 0.2, y, y], color=GREY, linewidth=0.9, clip_on=False)
        axes.text(
            edge + side,
            y,
            f"{name}  {rank:.2f}" if not right else f"{rank:.2f}  {name}",
            ha="left" if right else "right",
            va="center",
            fontsize=11,
            clip_on=False,
        )
