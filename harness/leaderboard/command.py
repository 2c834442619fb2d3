"""`harness leaderboard DIR...`: merge experiments, rank their methods, write the pages, show the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.files import make_folder, write_aside, write_text
from harness.leaderboard.critical_difference import draw_critical_difference
from harness.leaderboard.groups import RankedGroup, ranked_groups
from harness.leaderboard.merging import Merged, merge
from harness.leaderboard.rendering import against_table, group_table, latex, long_frame, markdown, title_of
from harness.leaderboard.scores import ACCURACY
from harness.published_numbers import published_numbers
from harness.report.album import FORMS, slug
from harness.report.settings import Table as Content

MOST_LEFT_OUT = 5
"""Runs left out that are named in the terminal."""


@dataclass(frozen=True, kw_only=True)
class LeaderboardRequest:
    """What the command line asks for, see `harness leaderboard --help`."""

    folders: Sequence[Path]
    out: Path
    group_by: Sequence[str] = ()
    baseline: str | None = None
    published: bool = False


def make_leaderboard(request: LeaderboardRequest, console: Console) -> Path:
    """Write leaderboard.md, .csv, .parquet, .tex and figures into `out`; returns the path of the first.

    Raises WorkspaceError where there is nothing to rank or nothing can be written, ConfigError for rows that may not
    be ranked together and for a wrong option.
    """
    merged = merge(request.folders)
    groups = ranked_groups(
        merged.episodes, group_by=request.group_by, baseline=request.baseline, score=merged.score
    )
    out = make_folder(request.out)
    figures = _draw(groups, out)
    page = markdown(
        groups, _published(merged) if request.published else None, figures, _notes(merged, request)
    )
    frame = long_frame(groups)
    write_text(out / "leaderboard.csv", frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_aside(out / "leaderboard.parquet", lambda aside: frame.to_parquet(aside, index=False))
    write_text(out / "leaderboard.tex", latex(groups))
    write_text(out / "leaderboard.md", page)
    for group in groups:
        _show(group, console)
    if request.published:
        console.print("Published numbers of these sources are in the page.", highlight=False)
    for left in merged.left_out[:MOST_LEFT_OUT]:
        console.print(
            f"Left out: {left.run_id}: {left.reason}", highlight=False, soft_wrap=True, markup=False
        )
    if len(merged.left_out) > MOST_LEFT_OUT:
        console.print(f"... and {len(merged.left_out) - MOST_LEFT_OUT} more, see the page.", highlight=False)
    path = out / "leaderboard.md"
    console.print(f"Leaderboard: {path}", highlight=False, soft_wrap=True)
    return path


def _draw(groups: Sequence[RankedGroup], out: Path) -> list[str | None]:
    folder = make_folder(out / "figures")
    for form in FORMS:
        for old in folder.glob(f"ranks-*.{form}"):
            old.unlink()
    names: list[str | None] = []
    for number, group in enumerate(groups, 1):
        if group.paired is None:
            names.append(None)
            continue
        name = f"ranks-{number}-{slug(title_of(group))}.png"
        draw_critical_difference(group.paired, folder / name)
        names.append(f"figures/{name}")
    return names


def _published(merged: Merged) -> pd.DataFrame:
    """The published rows on the sources that are here."""
    rows = published_numbers()
    rows = rows[rows["quantity"] == ""]
    return rows[rows["source"].isin(set(merged.episodes["source"]))]


def _notes(merged: Merged, request: LeaderboardRequest) -> list[str]:
    notes = [f"Made of {', '.join(merged.experiments)}."]
    if merged.subsets:
        notes.append(
            f"Measured on subsets, not comparable with published numbers: {'; '.join(merged.subsets)}."
        )
    if request.baseline:
        notes.append(f"Baseline: {request.baseline}.")
    if merged.left_out:
        notes.append(
            f"{len(merged.left_out)} runs are not in it: "
            + "; ".join(f"{one.run_id} ({one.reason})" for one in merged.left_out)
            + "."
        )
    return notes


def _show(group: RankedGroup, console: Console) -> None:
    """The whole table where the terminal is wide enough, else the ranks and the mean over the sources."""
    content = group_table(group)
    if 12 * len(content.columns) > console.width:
        content = _ranks_alone(group)
    _print(content, title_of(group), console)
    if group.against is not None:
        _print(against_table(group), f"Ahead of the baseline, in {group.score.unit} (p by Holm)", console)


def _print(content: Content, title: str, console: Console) -> None:
    shown = Table(box=box.SIMPLE_HEAD, title=Text(title), title_justify="left", padding=(0, 1, 0, 0))
    for place, column in enumerate(content.columns):
        shown.add_column(Text(column), justify="left" if place == 0 else "right")
    for row in content.rows:
        shown.add_row(*(_plain(cell) for cell in row))
    console.print(shown)


def _ranks_alone(group: RankedGroup) -> Content:
    whole, score = group_table(group), group.score
    means = group.cells[group.cells["source"].isin(group.sources)].groupby("method")[score.value].mean()
    rows = tuple((*row[:3], f"{score.scale * float(means[row[0]]):.1f}") for row in whole.rows)
    unit = "%" if score is ACCURACY else "return"
    return Content(columns=(*whole.columns[:3], f"mean of {len(group.sources)} sources, {unit}"), rows=rows)


def _plain(cell: str) -> Text:
    strong = cell.startswith("**") and cell.endswith("**")
    return Text(cell.strip("*") if strong else cell, style="bold" if strong else "")
