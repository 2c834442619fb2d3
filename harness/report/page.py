"""report.html of an experiment on images: everything that report.md says, to play with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.report.html_page import render_html
from harness.report.markdown import WORDS, PanelView, ReportView
from harness.report.panels import Panel
from harness.report.plot_parts import Spec
from harness.report.settings import DASH, Table
from harness.report.sortable import (
    NOTHING,
    Filter,
    SortableCell,
    SortableColumn,
    SortableRow,
    SortableTable,
    filters_of,
)

BEST, TIED = "best", "tied"
"""Marks of a cell: the highest mean of a source among the methods of one training; not told from it."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A panel's leaderboard, its plots and its tables of gaps."""

    heading: str
    table: SortableTable
    plots: tuple[Spec, ...]
    gaps: tuple[tuple[str, Table], ...]


def board_of(
    panel: Panel, view: PanelView, near: Mapping[str, frozenset[str]], plots: Sequence[Spec]
) -> Board:
    """Every cell with how it stands among the methods of one training."""
    marks = {}
    for regime in view.regimes:
        for standing in regime.standings:
            if standing.gaps:
                marks[regime.trained_on, standing.source, standing.leader] = BEST
            for gap in standing.level:
                marks[regime.trained_on, standing.source, gap.method] = TIED
    rows = []
    for entry in panel.entries:
        cells = [SortableCell(text=entry.method), SortableCell(text=entry.trained_on)]
        for source in panel.sources:
            cell = panel.cells.get((entry, source))
            if cell is None:
                cells.append(SortableCell(text=DASH, mark=NOTHING))
                continue
            mark = marks.get((entry.trained_on, source, entry.method), "")
            inside = source in near.get(entry.trained_on, frozenset())
            low, high = (100 * (cell.accuracy + sign * cell.ci95) for sign in (-1, 1))
            seeds = f"{cell.n_seeds} " + ("seed" if cell.n_seeds == 1 else "seeds")
            cells.append(
                SortableCell(
                    text=f"{cell}{' =' if mark == TIED else ''}{' †' if inside else ''}",
                    value=round(100 * cell.accuracy, 6),
                    title=f"{cell.n_episodes} episodes, {seeds}; 95 % interval {low:.1f} to {high:.1f}",
                    mark=mark,
                )
            )
        rows.append(SortableRow(cells=tuple(cells), about={"regime": entry.trained_on}))
    heads = (SortableColumn(title="Method"), SortableColumn(title="Trained on"))
    of_sources = (
        SortableColumn(title=source, is_number=True, about={"source": source}) for source in panel.sources
    )
    table = SortableTable(label=panel.heading, columns=(*heads, *of_sources), rows=tuple(rows))
    return Board(heading=panel.heading, table=table, plots=tuple(plots), gaps=view.gaps)


def render_page(view: ReportView, boards: Sequence[Board], curves: Sequence[Spec], folder: Path) -> str:
    """The page. folder: where the report's pictures lie, which become part of the page. Same in, same out."""
    return render_html(
        "page.html.j2",
        folder,
        title=view.title,
        figures=[block.figure for section in view.reuse for block in section.blocks if block.figure],
        plotted=bool(curves) or any(board.plots for board in boards),
        view=view,
        boards=boards,
        curves=curves,
        filters=_filters(boards),
        words=WORDS,
    )


def _filters(boards: Sequence[Board]) -> tuple[Filter, ...]:
    found = filters_of((board.table for board in boards), {"regime": "Trained on", "source": "Tested on"})
    return (*found, Filter(name="shape", legend="Episodes", values=tuple(board.heading for board in boards)))
