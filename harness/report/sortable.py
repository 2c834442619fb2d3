"""Tables of report.html that are sorted by a click and filtered by what their rows and columns are about."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.report.panels import natural

NOTHING = "nothing"
"""The mark of a cell in which nothing was measured: sorted last either way."""


@dataclass(frozen=True, kw_only=True)
class SortableCell:
    """A cell. value: what it is sorted by, None for its text. title: shown on hover. mark: its CSS class, or empty."""

    text: str
    value: float | None = None
    title: str = ""
    mark: str = ""


@dataclass(frozen=True, kw_only=True)
class SortableColumn:
    """A column. about: what its cells are about, as in `SortableRow`."""

    title: str
    is_number: bool = False
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SortableRow:
    """A row, its first cell the heading. about: filter -> value, such as `source: omniglot`."""

    cells: tuple[SortableCell, ...]
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SortableTable:
    """A table. label: what it is called to those who cannot see it."""

    label: str
    columns: tuple[SortableColumn, ...]
    rows: tuple[SortableRow, ...]


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Check boxes that hide what is about a value. name: a key of `about`."""

    name: str
    legend: str
    values: tuple[str, ...]


def filters_of(tables: Iterable[SortableTable], legends: Mapping[str, str]) -> tuple[Filter, ...]:
    """A filter for each key of `legends`, with the values that the tables have of it."""
    found: dict[str, set[str]] = {name: set() for name in legends}
    for table in tables:
        parts: Sequence[SortableColumn | SortableRow] = (*table.columns, *table.rows)
        for part in parts:
            for name in found.keys() & part.about.keys():
                found[name].add(part.about[name])
    return tuple(
        Filter(name=name, legend=legend, values=tuple(sorted(found[name], key=natural)))
        for name, legend in legends.items()
    )
