"""The chapter of returns: before and after adaptation, their gain, and methods in pairs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from harness.control.report.plots import return_spec
from harness.control.report.standings import Standing
from harness.control.report.view import Chapter
from harness.equivalence import TWO_SIDED
from harness.report.blocks import Block, Section
from harness.report.markdown import bold
from harness.report.page import BEST, TIED
from harness.report.settings import DASH, Table
from harness.report.sortable import SortableCell, SortableColumn, SortableRow, SortableTable
from harness.report.style import Style
from harness.wording import p_value

NOTE = (
    "Mean over tasks, each task's a mean over its trajectories, not discounted; ± is the 95 % interval, the wider of "
    "that over seeds and that over tasks, by Student's t: over two seeds, with one degree of freedom, very wide. Gain: "
    "after less before, task by task. †: the source of the training, its test tasks. Dropped: trajectories whose "
    "dynamics broke down."
)
HINT = (
    "Strong shade and bold: the most after adaptation among the methods of one training. Pale shade and =: cannot be "
    "told from it on the same tasks. A cell's title says its tasks, seeds and interval. Click a heading to sort."
)
NUMBERS = ("before", "after", "gain")


def return_chapters(
    found: Sequence[Standing], judged: pd.DataFrame, others: pd.DataFrame, looks: Mapping[str, Style]
) -> list[Chapter]:
    """Returns; the verdicts with their numbers; and the other methods against MAML, where there are any."""
    chapters = [
        Chapter(
            anchor="returns",
            title="Returns",
            sections=(Section(title="", note=NOTE, blocks=()),),
            printed=(
                Section(
                    title="", note="Bold: the most after adaptation.", blocks=(Block(table=_printed(found)),)
                ),
            ),
            hint=HINT,
            tables=(_sortable(found),),
            plots=tuple(return_spec(regime, own, looks) for regime, own in _by_regime(found).items()),
        )
    ]
    if len(judged):
        chapters.append(_verdicts(judged))
    if len(others):
        chapters.append(_others(others))
    return chapters


def _verdicts(judged: pd.DataFrame) -> Chapter:
    seeds = "" if (judged["n_seeds"] > 1).all() else " One seed: about these trained policies only."
    columns = (
        "Pair",
        "Source",
        "Verdict",
        "Difference",
        "Margin",
        "p, holds",
        "p, fails",
        "Tasks",
        "Trained on",
    )
    rows = tuple(
        (
            f"{row['a']} against {row['b']}",
            str(row["source"]),
            str(row["verdict"]),
            _difference(row),
            f"{row['margin']:g}",
            _p(row["p_not_worse"]),
            _p(row["p_worse_holm"]),
            str(row["n_tasks"]),
            str(row["trained_on"]),
        )
        for row in judged.to_dict("records")
    )
    note = (
        "Return after adaptation, paired by task and seed. p, holds: of the hypothesis that the loss is the margin or "
        "more; p, fails: that it is no more than the margin, corrected by Holm over the sources of a pair. A verdict "
        f"needs its own below 0.05. {TWO_SIDED}{seeds}"
    )
    return _pairs("verdicts", "Verdicts on feature reuse", note, Table(columns=columns, rows=rows))


def _others(others: pd.DataFrame) -> Chapter:
    columns = ("Method", "Trained on", "Source", "Difference after adaptation", "Tasks")
    rows = tuple(
        (str(row["a"]), *_where(row), _difference(row), str(row["n_tasks"]))
        for row in others.to_dict("records")
    )
    note = "Paired by task and seed; these methods are not judged on reuse."
    return _pairs("others", "Other methods against MAML", note, Table(columns=columns, rows=rows))


def _pairs(anchor: str, title: str, note: str, table: Table) -> Chapter:
    return Chapter(
        anchor=anchor, title=title, sections=(Section(title="", note=note, blocks=(Block(table=table),)),)
    )


def _by_regime(found: Sequence[Standing]) -> dict[str, list[Standing]]:
    groups: dict[str, list[Standing]] = {}
    for one in found:
        groups.setdefault(one.trained_on, []).append(one)
    return groups


def _ordered(found: Sequence[Standing]) -> list[tuple[Mapping[str, Any], Standing]]:
    """Every row with its cell."""
    return [(row, one) for one in found for row in one.rows]


def number(row: Mapping[str, Any], name: str) -> str:
    """`-18.3 ± 2.9`: a mean of `summary` and half its interval."""
    return f"{row[name]:.1f} ± {row[f'{name}_ci95']:.1f}"


def _printed(found: Sequence[Standing]) -> Table:
    rows = []
    for row, one in _ordered(found):
        after = number(row, "after")
        best = len(one.rows) > 1 and row["method"] == one.leader
        rows.append(
            (
                str(row["method"]),
                str(row["trained_on"]),
                _source(row, one),
                *(str(row[name]) for name in ("split", "horizon")),
                number(row, "before"),
                bold(after) if best else after,
                number(row, "gain"),
                *(str(row[name]) for name in ("n_tasks", "n_seeds", "dropped")),
            )
        )
    heads = (
        "Method",
        "Trained on",
        "Source",
        "Split",
        "Horizon",
        "Before",
        "After",
        "Gain",
        "Tasks",
        "Seeds",
        "Dropped",
    )
    return Table(columns=heads, rows=tuple(rows))


def _source(row: Mapping[str, Any], one: Standing) -> str:
    return f"{row['source']} †" if one.in_training else str(row["source"])


def _sortable(found: Sequence[Standing]) -> SortableTable:
    rows = []
    for row, one in _ordered(found):
        level = {gap.method for gap in one.behind if not gap.is_clear}
        mark = BEST if row["method"] == one.leader else TIED if row["method"] in level else ""
        cells = [SortableCell(text=str(row["method"])), SortableCell(text=str(row["trained_on"]))]
        cells += [SortableCell(text=_source(row, one)), SortableCell(text=str(row["split"]))]
        cells.append(SortableCell(text=str(row["horizon"]), value=float(row["horizon"])))
        for name in NUMBERS:
            own = mark if name == "after" and len(one.rows) > 1 else ""
            cells.append(_number_cell(row, name, own))
        cells.append(SortableCell(text=str(row["dropped"]), value=float(row["dropped"])))
        about = {"regime": row["trained_on"], "source": row["source"], "method": row["method"]}
        rows.append(SortableRow(cells=tuple(cells), about={key: str(value) for key, value in about.items()}))
    names = ("Method", "Trained on", "Tested on", "Split", "Horizon", "Before", "After", "Gain", "Dropped")
    columns = tuple(SortableColumn(title=name, is_number=place > 3) for place, name in enumerate(names))
    return SortableTable(label="Returns before and after adaptation", columns=columns, rows=tuple(rows))


def _number_cell(row: Mapping[str, Any], name: str, mark: str) -> SortableCell:
    low, high = (row[name] + sign * row[f"{name}_ci95"] for sign in (-1, 1))
    seeds = f"{row['n_seeds']} {'seed' if row['n_seeds'] == 1 else 'seeds'}"
    return SortableCell(
        text=f"{number(row, name)}{' =' if mark == TIED else ''}",
        value=round(float(row[name]), 6),
        title=f"{row['n_tasks']} tasks, {seeds}; 95 % interval {low:.1f} to {high:.1f}",
        mark=mark,
    )


def _where(row: Mapping[Any, Any]) -> tuple[str, str]:
    return str(row["trained_on"]), str(row["source"])


def _p(value: float) -> str:
    return DASH if math.isnan(value) else p_value(value)


def _difference(row: Mapping[Any, Any]) -> str:
    return f"{row['difference']:+.1f} ± {row['ci95']:.1f}"
