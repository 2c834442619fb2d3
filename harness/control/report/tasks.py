"""The chapter of single tasks: the return of each before and after adaptation."""

from collections.abc import Mapping, Sequence

import pandas as pd

from harness.control.report.figures import draw_tasks
from harness.control.report.plots import task_spec
from harness.control.report.standings import Standing, where
from harness.control.report.view import Chapter
from harness.control.task_statistics import CELL
from harness.report.album import Album
from harness.report.blocks import Block, Section
from harness.report.panels import natural
from harness.report.sortable import NOTHING, SortableCell, SortableColumn, SortableRow, SortableTable
from harness.report.style import Style

MOST_ROWS = 200
"""Tasks of a table; tasks.csv has all."""

NOTE = (
    "A point is a task, its return a mean over trajectories; above the dashed line adaptation made it better. Task k "
    "of a seed is the same for every method. All numbers are in tasks.csv."
)


def task_chapter(
    tasks: pd.DataFrame, found: Sequence[Standing], looks: Mapping[str, Style], album: Album
) -> Chapter:
    """Plots and tables of each cell, the training's own source first."""
    cells = [one.cell for one in found]
    groups = dict(iter(tasks.groupby(CELL, sort=True)))
    ordered = [(where(one.cell, cells), groups[one.cell]) for one in found]
    caption = "Return of each task after adaptation against before it; dashed: no change"
    figure = album.add("tasks", "all", caption, lambda path: draw_tasks(dict(ordered), looks, path))
    return Chapter(
        anchor="tasks",
        title="Task by task",
        sections=(Section(title="", note=NOTE, blocks=()),),
        printed=(Section(title="", note="", blocks=(Block(figure=figure),)),),
        plots=tuple(task_spec(place, own, looks) for place, own in ordered),
        folded=tuple(_table(place, own) for place, own in ordered),
    )


def _table(place: str, tasks: pd.DataFrame) -> SortableTable:
    """A row a task: what it is, and the return after adaptation of each method, before it on hover."""
    methods = sorted(map(str, tasks["method"].unique()), key=natural)
    rows = []
    for _, own in list(tasks.groupby(["seed", "episode"], sort=True))[:MOST_ROWS]:
        seed, episode = (int(own[key].iloc[0]) for key in ("seed", "episode"))
        by_method = {str(row["method"]): row for row in own.to_dict("records")}
        cells = [
            SortableCell(text=str(own["task"].iloc[0])),
            SortableCell(text=str(seed), value=seed),
            SortableCell(text=str(episode), value=episode),
        ]
        for method in methods:
            row = by_method.get(method)
            if row is None:
                cells += [SortableCell(text="\N{EN DASH}", mark=NOTHING)] * 2
                continue
            for key in ("return_before", "return_after"):
                value = float(row[key])
                title = f"{method}, {row['trajectories']} trajectories, {row['dropped']} dropped of all"
                cells.append(SortableCell(text=f"{value:.1f}", value=round(value, 6), title=title))
        rows.append(SortableRow(cells=tuple(cells)))
    heads = [SortableColumn(title="Task")]
    names = ["Seed", "Number", *(f"{method}, {when}" for method in methods for when in ("before", "after"))]
    heads += [SortableColumn(title=name, is_number=True) for name in names]
    total = len(tasks[["seed", "episode"]].drop_duplicates())
    shown = f", the first {MOST_ROWS} of {total}" if total > MOST_ROWS else ""
    return SortableTable(
        label=f"Return of each task before and after adaptation, {place}{shown}",
        columns=tuple(heads),
        rows=tuple(rows),
    )
