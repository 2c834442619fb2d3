"""The leaderboard and the verdicts in a terminal: a matrix where it fits in 80 columns, a list where it does not."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from harness.report.blocks import Section
from harness.report.panels import PANEL_KEYS, by_accuracy, heading, labelled, natural
from harness.report.reuse_floor import LEAD

WIDTH, NAME_WIDTH = 80, 16

Cells = dict[tuple[str, ...], dict[tuple[str, ...], tuple[str, bool]]]
"""Row name -> column name -> (text, whether it is the best of its source)."""


def leaderboard_table(board: pd.DataFrame) -> Table:
    """`board` (results.LEADERBOARD_COLUMNS) in % ± half the 95 % interval; the best of a source is bold.

    Methods by sources; sources by methods where only that fits in 80 columns; else one line a result.
    `trained on` is shown when there are several regimes; what differs between groups of comparable rows is
    shown with the source, and "best" is among comparable rows only.
    """
    if board.empty:
        return Table("No run has finished: there is nothing to rank.", box=None)
    frame = _prepared(board)
    regimes = frame["trained_on"].nunique() > 1
    names = ["method", "trained_on"] if regimes else ["method"]
    places = ["source", "panel"] if frame["panel"].nunique() > 1 else ["source"]
    for rows, columns in ((names, places), (places, names)):
        table = _matrix(frame, rows, columns)
        if table is not None:
            return _titled(table, frame)
    return _titled(_list(frame, names, places), frame)


def answer_lines(answer: Section | None) -> list[str]:
    """The report's verdicts, a line each: `Trained on glyphs, anil against maml: reuse holds on 1 of 8 sources...`."""
    lines = []
    for block in answer.blocks if answer else ():
        for said in block.said:
            lead = LEAD.lower() if block.title and said.lead == LEAD else said.lead
            who = ", ".join(part for part in (block.title, lead) if part)
            lines.append(f"{who}: {said.text}" if who else said.text)
    return lines


def _prepared(board: pd.DataFrame) -> pd.DataFrame:
    """Adds `panel` (heading), `text` and `best`; sources by accuracy, the rest by name."""
    frame = labelled(board)
    varying = [key for key in PANEL_KEYS if frame[key].nunique() > 1]
    headings = [heading(row, varying) for row in frame[list(PANEL_KEYS)].to_dict("records")]
    texts = [f"{100 * a:.1f} ± {100 * c:.1f}" for a, c in zip(frame["accuracy"], frame["ci95"], strict=True)]
    highest = frame.groupby([*PANEL_KEYS, "source"], dropna=False)["accuracy"].transform("max")
    order = {source: place for place, source in enumerate(by_accuracy(frame))}
    frame = frame.assign(
        panel=headings,
        text=texts,
        best=frame["accuracy"] == highest,
        place=[order[source] for source in frame["source"]],
    )
    return frame.sort_values([*PANEL_KEYS, "place", "trained_on", "method"], kind="stable")


def _titled(table: Table, frame: pd.DataFrame) -> Table:
    shared = frame["panel"].iloc[0] + ", " if frame["panel"].nunique() == 1 else ""
    table.title = Text(f"Accuracy, {shared}% ± 95 % interval")
    table.min_width = min(len(table.title), WIDTH)
    if frame["trained_on"].nunique() == 1:
        table.caption = Text(f"trained on {frame['trained_on'].iloc[0]}")
    return table


def _matrix(frame: pd.DataFrame, rows: list[str], columns: list[str]) -> Table | None:
    """The matrix, or None when it is wider than WIDTH."""
    cells: Cells = {}
    heads: list[tuple[str, ...]] = []
    for record in frame.to_dict("records"):
        row, head = _key(record, rows), _key(record, columns)
        heads += [] if head in heads else [head]
        cells.setdefault(row, {})[head] = (record["text"], record["best"])
    if columns[0] == "method":
        heads.sort(key=_by_regime)
    else:
        cells = {row: cells[row] for row in sorted(cells, key=_by_regime)}
    if _width(rows, heads, cells) > WIDTH:
        return None
    table = _empty_table(rows)
    for head in heads:
        table.add_column(Text("\n".join(head)), justify="right", no_wrap=True)
    for row, found in cells.items():
        table.add_row(
            *(Text(name) for name in row), *(_cell(*found.get(head, ("", False))) for head in heads)
        )
    return table


def _width(rows: list[str], heads: list[tuple[str, ...]], cells: Cells) -> int:
    """Columns of the terminal that the matrix takes: padding, gaps and edges too."""
    widths = [
        max(len(line) for row in [tuple(_words(rows)), *cells] for line in row[place].split("\n"))
        for place in range(len(rows))
    ]
    for head in heads:
        lines = [line for part in head for line in part.split("\n")]
        widths.append(max(map(len, [*lines, *(found[head][0] for found in cells.values() if head in found)])))
    return sum(widths) + 2 * len(widths) + 2


def _list(frame: pd.DataFrame, names: list[str], places: list[str]) -> Table:
    """One line a result, the highest first within its source."""
    table = _empty_table([*places, *names])
    table.add_column("accuracy", justify="right", no_wrap=True)
    for _, group in frame.groupby([*PANEL_KEYS, "place"], sort=True, dropna=False):
        ranked = group.sort_values("accuracy", ascending=False, kind="stable").to_dict("records")
        for index, record in enumerate(ranked):
            where = _key(record, places) if index == 0 else ("",) * len(places)
            style = "bold" if record["best"] else ""
            words = (*(Text(w) for w in where), *(Text(n, style=style) for n in _key(record, names)))
            table.add_row(*words, _cell(record["text"], record["best"]), end_section=index == len(ranked) - 1)
    return table


def _empty_table(columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left", padding=(0, 1, 0, 0))
    for word in _words(columns):
        table.add_column(word, justify="left", overflow="fold")
    return table


def _words(columns: Sequence[str]) -> list[str]:
    return [{"trained_on": "trained on", "panel": "episodes"}.get(column, column) for column in columns]


def _key(record: Mapping[Any, Any], columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        _broken(str(record[column])) if column == "trained_on" else str(record[column]) for column in columns
    )


def _broken(name: str) -> str:
    """`name` on several lines where it is long and joins sources by "+"."""
    lines = [""]
    for part in re.split(r"(?<=[+])", name):
        if lines[-1] and len(lines[-1] + part) > NAME_WIDTH:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _by_regime(names: tuple[str, ...]) -> tuple[object, ...]:
    """Sorts (method, trained_on) by the latter first."""
    return tuple(natural(name) for name in (*names[1:], names[0]))


def _cell(text: str, best: bool) -> Text:
    return Text(text, style="bold" if best else "")
