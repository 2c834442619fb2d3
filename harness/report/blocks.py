"""Parts of a report that are built by code and laid out by a template: a figure, a section, what it holds."""

from dataclasses import dataclass

from harness.report.settings import Table


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture in the report: its path relative to the report, and what it shows.

    is_strip: whether it is much wider than high, and on a small screen is rather scrolled than made small.
    """

    path: str
    caption: str
    is_strip: bool = False


@dataclass(frozen=True)
class Said:
    """A sentence, and what stands in bold before it; all plain text."""

    lead: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Block:
    """A heading, sentences as a list, a figure, a table; each may be missing."""

    title: str = ""
    said: tuple[Said, ...] = ()
    figure: Figure | None = None
    table: Table | None = None


@dataclass(frozen=True, kw_only=True)
class Section:
    """A titled part: a paragraph on how to read it, and its blocks."""

    title: str
    note: str
    blocks: tuple[Block, ...]
