"""A paper's table with what was measured here: cells, and both as rows of text and as one long frame."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.papers.agreement import Agreement, agreement
from harness.papers.measured import Measured, Place
from harness.papers.tables import PaperTable, Setting
from harness.published_numbers import published_numbers, published_text
from harness.report.settings import DASH, Table

APART = "not compared"
"""In the place of a verdict on returns of different horizons."""


@dataclass(frozen=True, kw_only=True)
class PaperCell:
    """One method in one setting; published and here may be missing, and agreement then is, too.

    As it is where both are there but are returns over trajectories of different lengths.
    """

    method: str
    label: str
    setting: Setting
    published: dict[str, Any] | None
    here: Measured | None
    agreement: Agreement | None

    @property
    def is_apart(self) -> bool:
        """Whether what was measured here is of another horizon than what was published."""
        return self.here is not None and self.here.horizon != self.setting.horizon


@dataclass(frozen=True, kw_only=True)
class FilledTable:
    """A paper's table, its cells by method and then setting."""

    table: PaperTable
    cells: tuple[tuple[PaperCell, ...], ...]
    tolerance: float

    @property
    def measured(self) -> list[PaperCell]:
        """The cells that were measured here and have been published."""
        return [cell for row in self.cells for cell in row if cell.agreement]


def fill(table: PaperTable, found: Mapping[Place, Measured], tolerance: float) -> FilledTable:
    """`table` with what `found` has of its cells."""
    published = published_numbers()
    tolerance = table.tolerance or tolerance
    rows = []
    for name, label in table.methods:
        row = []
        for setting in table.settings:
            there = _published(published, table, (name, label), setting)
            here = found.get(_place(name, setting))
            number = there is not None and not math.isnan(there["value"])
            alike = number and here is not None and here.horizon == setting.horizon
            both = agreement(here.mean, here.half, there, tolerance) if here and there and alike else None
            row.append(
                PaperCell(
                    method=name, label=label, setting=setting, published=there, here=here, agreement=both
                )
            )
        rows.append(tuple(row))
    return FilledTable(table=table, cells=tuple(rows), tolerance=tolerance)


def _place(name: str, setting: Setting) -> Place:
    shape = (name, setting.trained_on, setting.source, setting.n_way, setting.shots)
    return (*shape, setting.quantity) if setting.quantity else shape


def measured_part(filled: FilledTable) -> FilledTable | None:
    """The methods and settings of which something was measured here; None for nothing."""
    keep = [
        place
        for place in range(len(filled.table.settings))
        if any(row[place].agreement for row in filled.cells)
    ]
    rows = tuple(tuple(row[place] for place in keep) for row in filled.cells)
    rows = tuple(row for row in rows if any(cell.agreement for cell in row))
    if not rows:
        return None
    table = PaperTable(
        title=filled.table.title,
        papers=filled.table.papers,
        methods=tuple((row[0].method, row[0].label) for row in rows),
        settings=tuple(filled.table.settings[place] for place in keep),
        tolerance=filled.table.tolerance,
        note=filled.table.note,
    )
    return FilledTable(table=table, cells=rows, tolerance=filled.tolerance)


def content(filled: FilledTable) -> Table:
    """Three rows a method: published, here, and their difference with its verdict."""
    rows: list[tuple[str, ...]] = []
    for row in filled.cells:
        label = row[0].label
        named = label if label == row[0].method else f"{label} ({row[0].method})"
        rows.append((named, "published", *(_there(cell) for cell in row)))
        rows.append(("", "here", *(_here(cell) for cell in row)))
        rows.append(("", "difference", *(_difference(cell) for cell in row)))
    columns = ("Method", "", *(setting.label for setting in filled.table.settings))
    return Table(columns=columns, rows=tuple(rows))


def trainings(filled: FilledTable) -> list[tuple[str, str]]:
    """(settings and methods, how they were trained here) of the measured cells, alike ones together."""
    groups: dict[str, dict[str, list[str]]] = {}
    for cell in (cell for row in filled.cells for cell in row):
        if cell.here and cell.published:
            groups.setdefault(cell.here.trained, {}).setdefault(cell.setting.label, []).append(cell.label)
    return [
        ("; ".join(f"{label} ({', '.join(labels)})" for label, labels in by.items()), trained)
        for trained, by in groups.items()
    ]


def caveats(filled: FilledTable) -> list[tuple[str, str]]:
    """(methods, in what their published numbers are unlike their columns), of those shown, alike ones together."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in filled.cells:
        for cell in row:
            if cell.published and cell.published["note"]:
                own = found.setdefault(cell.label, {})
                own.setdefault(str(cell.published["note"]), []).append(cell.setting.label)
    alike: dict[str, list[str]] = {}
    for label, notes in found.items():
        said = "; ".join(f"{note} ({', '.join(settings)})" for note, settings in notes.items())
        alike.setdefault(said, []).append(label)
    return [(", ".join(labels), said) for said, labels in alike.items()]


def not_run(filled: FilledTable) -> list[tuple[str, str]]:
    """(settings and methods, what fills them at which cost) of the cells that were published and not measured here."""
    groups: dict[str, dict[str, list[str]]] = {}
    for row in filled.cells:
        for cell in row:
            if cell.published and not cell.here:
                how = _how(cell.setting)
                groups.setdefault(how, {}).setdefault(cell.setting.label, []).append(cell.label)
    said = []
    for how, by in groups.items():
        parts = [f"{label} ({', '.join(labels)})" for label, labels in by.items()]
        said.append(("; ".join(parts), how))
    return said


def long_frame(tables: Sequence[FilledTable]) -> pd.DataFrame:
    """A row a cell that was published: both numbers, their difference, the verdict, and the trainings."""
    rows = [
        _record(filled, cell) for filled in tables for row in filled.cells for cell in row if cell.published
    ]
    return pd.DataFrame(rows)


def _record(filled: FilledTable, cell: PaperCell) -> dict[str, Any]:
    here, both, there = cell.here, cell.agreement, cell.published or {}
    nothing = float("nan")
    return {
        "table": filled.table.title,
        "paper": there.get("paper", ""),
        "method": cell.method,
        "setting": cell.setting.label,
        "unit": there.get("unit", ""),
        "quantity": cell.setting.quantity,
        "bound": there.get("bound", ""),
        "published": there.get("value", nothing),
        "published_plus_minus": there.get("plus_minus", nothing),
        "spread": there.get("spread", ""),
        "here": here.mean if here else nothing,
        "here_sd": here.sd if here else nothing,
        "here_ci95": here.half if here else nothing,
        "n_seeds": here.n_seeds if here else 0,
        "n_episodes": here.n_episodes if here else 0,
        "difference": both.difference if both else nothing,
        "difference_ci95": both.half if both else nothing,
        "tolerance": filled.tolerance,
        "published_error_known": both.known if both else False,
        "verdict": both.verdict if both else APART if cell.is_apart else "not run",
        "note": there.get("note", ""),
        "trained": here.trained if here else _how(cell.setting),
    }


def _how(setting: Setting) -> str:
    return f"{setting.command}: {setting.cost}" if setting.command else setting.cost


def _published(
    published: pd.DataFrame, table: PaperTable, names: tuple[str, str], setting: Setting
) -> dict[str, Any] | None:
    rows = published[
        published["paper"].isin(table.papers)
        & published["method"].isin(names)
        & (published["trained_on"] == setting.trained_on)
        & (published["source"] == setting.source)
        & (published["quantity"] == setting.quantity)
    ]
    for column, wanted in (("n_way", setting.n_way), ("shots", setting.shots)):
        rows = rows[rows[column].isna() if wanted is None else rows[column] == wanted]
    return {str(key): value for key, value in rows.iloc[0].items()} if len(rows) else None


def _there(cell: PaperCell) -> str:
    return DASH if cell.published is None else published_text(cell.published)


def _here(cell: PaperCell) -> str:
    if cell.here is None:
        return "not run" if cell.published else DASH
    if cell.here.n_seeds < 2:
        return f"{cell.here.mean:.1f}"
    return f"{cell.here.mean:.1f} ± {cell.here.sd:.1f}"


def _difference(cell: PaperCell) -> str:
    if cell.agreement is None:
        return f"{APART}: {cell.here.horizon} steps" if cell.here and cell.is_apart else DASH
    found = cell.agreement
    unknown = "" if found.known else " *"
    error = "" if math.isnan(found.half) else f" ± {found.half:.1f}"
    return f"{found.difference:+.1f}{error}{unknown}: {found.verdict}"
