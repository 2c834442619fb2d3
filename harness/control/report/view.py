"""What a control experiment's report shows, the same in report.html and report.md."""

from dataclasses import dataclass

from harness.report.blocks import Section
from harness.report.plot_parts import Spec
from harness.report.settings import Table
from harness.report.sortable import SortableTable
from harness.store import LeftOut


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A part of the report with a heading.

    anchor: its name in links. sections: in both pages. printed: further ones of report.md, which in report.html are
    tables that are sorted and filtered, with a hint on how to read them, and plots to point at; folded: tables there to
    be opened.
    """

    anchor: str
    title: str
    sections: tuple[Section, ...] = ()
    printed: tuple[Section, ...] = ()
    hint: str = ""
    tables: tuple[SortableTable, ...] = ()
    plots: tuple[Spec, ...] = ()
    folded: tuple[SortableTable, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ControlView:
    """All that both templates show. Text is plain; the templates escape it. Fields as of `markdown.ReportView`."""

    title: str
    claim: tuple[str, ...]
    missing_runs: str
    command: str
    took: str
    chapters: tuple[Chapter, ...]
    left_out: tuple[LeftOut, ...]
    cut_curves: tuple[LeftOut, ...]
    environment: Table
    code_changes: tuple[str, ...]
    gin: str | None
    raw_data: tuple[str, ...] = ()
