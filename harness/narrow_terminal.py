"""Rows for a terminal that is too narrow for their table: a line for the name, and below it the rest."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

WIDE = 120
"""Columns of a terminal from which on tables are tables."""


def stacked(rows: Iterable[tuple[str | Text, str]]) -> Group:
    """Of each row its heading, whole, and the rest indented below it, broken between words."""
    parts: list[RenderableType] = []
    for heading, rest in rows:
        parts.append(Text.assemble(heading, overflow="fold"))
        parts += [Padding(Text(rest), (0, 0, 0, 4))] if rest else []
    return Group(*parts)
