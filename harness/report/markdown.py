"""The report's text: a template whose every value is escaped, so that no name can break or forge the page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.report.blocks import Figure, Section
from harness.report.panels import Panel
from harness.report.settings import Table
from harness.report.summary import RegimeSummary
from harness.store import LeftOut

NUMBER = r"[+-]?[\d.,\s]+( ± [\d.]+)?( \*)?( to [+-]?[\d.]+|: [a-z ]+)?|\N{EN DASH}|leads|nan ± nan|not run"
"""What a column of numbers holds."""


class Markup(str):
    """Text that is Markdown already and must not be escaped."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class PanelView:
    """A panel with its summaries, tables and figures. sized: those against the sizes of episodes, where these vary."""

    heading: str
    guessing: str
    regimes: tuple[RegimeSummary, ...]
    board: Table
    gaps: tuple[tuple[str, Table], ...]
    figure: Figure
    sized: tuple[Figure, ...] = ()


WORDS = (
    "An episode is one task: a few labelled images of each of its classes (the support set) to learn from, and others "
    "(queries) to classify; the splits of a source share no class. A source is where images come from. A network is a "
    "body and its last layer, the head; to adapt is to change weights by the support set: MAML changes all, ANIL the "
    "head alone, NIL nothing. Features are reused where changing less is as good."
)
"""What a reader must know to read a report."""


@dataclass(frozen=True, kw_only=True)
class ReportView:
    """All that the template shows. Text is plain; the template escapes it.

    answer: the verdicts on reuse in sentences, which come before the accuracies; None where nothing was judged.
    search, chosen: how the settings were chosen, whole and in short; None where they were not. missing_runs: what is
    said of runs that should be here and are not; empty where all are. code_changes: a sentence for each plugin whose
    code did not stay the same.
    """

    title: str
    claim: tuple[str, ...]
    missing_runs: str
    command: str
    took: str
    raw_data: tuple[str, ...]
    without: tuple[str, ...]
    subsets: tuple[str, ...]
    gin: str | None
    panels: tuple[PanelView, ...]
    answer: Section | None
    reuse: tuple[Section, ...]
    search: Section | None
    chosen: Section | None
    papers: tuple[Section, ...]
    curves: tuple[Figure, ...]
    several_seeds: bool
    n_runs: int
    regimes: Table
    methods: Table
    networks: Table
    conditions: Table
    data: Table
    costs: Table
    shared: Sequence[tuple[str, tuple[str, ...]]]
    environment: Table
    code_changes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    cut_curves: tuple[LeftOut, ...]


def render(view: ReportView) -> str:
    """The report as Markdown; the same view gives the same text."""
    return render_markdown("report.md.j2", view=view, words=WORDS)


def render_markdown(template: str, *, places: Sequence[Path] = (), **content: Any) -> str:
    """A page from a template, here or in `places`, every value in it escaped."""
    return _tidy(_environment(places).get_template(template).render(**content))


def render_sections(title: str, sections: Sequence[Section]) -> str:
    """A page of its own: a title, and sections as a report has them."""
    text = _environment().get_template("sections.md.j2").render(sections=sections)
    return _tidy(f"# {escape(title)}\n\n{text}")


def paragraphs(text: str) -> tuple[str, ...]:
    """What empty lines part, each on one line."""
    parts = re.split(r"\n\s*\n", text.strip()) if text.strip() else []
    return tuple(" ".join(part.split()) for part in parts)


def _tidy(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


def _environment(places: Sequence[Path] = ()) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, *places]),
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["table"] = table
    environment.filters["fenced"] = fenced
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}"
    return environment


def escape(text: str) -> str:
    """`text` on one line, reading in Markdown and HTML as the very characters it holds."""
    line = " ".join(text.split(" ")) if "\n" not in text else " ".join(text.split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*\[\]|~$])", r"\\\1", line)
    line = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", line)
    line = re.sub(r"^([#+-])(?=\s|$|[#+-])", r"\\\1", line)
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", line)


def without_backslashes(text: Markup) -> str:
    """Escaped text as HTML reads it: entities stay, backslashes before Markdown's signs go."""
    return re.sub(r"\\([\\`*\[\]|~$_#+.)-])", r"\1", text)


def table(content: Table) -> Markup:
    """A Markdown table; the first column and columns of text to the left, numbers to the right."""
    right = [_numbers(content, column) for column in range(len(content.columns))]
    lines = [
        "| " + " | ".join(_cell(name) for name in content.columns) + " |",
        "| " + " | ".join("---:" if numbers else "---" for numbers in right) + " |",
        *("| " + " | ".join(_cell(value) for value in row) + " |" for row in content.rows),
    ]
    return Markup("\n".join(lines))


def fenced(text: str, language: str = "") -> Markup:
    """A code block whose fence is longer than any in `text`."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}{language}\n{text.rstrip()}\n{fence}")


def bold(text: str) -> Markup:
    """`text`, escaped, in bold."""
    return Markup(f"**{escape(text)}**")


def board_table(panel: Panel, in_training: dict[str, frozenset[str]]) -> Table:
    """Methods and regimes by sources, in percent: the best of a source bold, a source in training with †."""
    rows = []
    for entry in panel.entries:
        row: list[str] = [entry.method, entry.trained_on]
        for source in panel.sources:
            cell = panel.cells.get((entry, source))
            text = str(cell) if cell else "\N{EN DASH}"
            shown = bold(text) if entry == panel.best(source) else text
            near = source in in_training.get(entry.trained_on, frozenset())
            row.append(Markup(f"{shown} †") if cell and near else shown)
        rows.append(tuple(row))
    return Table(columns=("Method", "Trained on", *panel.sources), rows=tuple(rows))


def gap_table(summary: RegimeSummary) -> Table:
    """How far every method of a regime is behind each source's leader, in points."""
    columns = ("Method", *(standing.source for standing in summary.standings))
    rows = tuple(
        (method, *(standing.gap_of(method) for standing in summary.standings)) for method in summary.methods
    )
    return Table(columns=columns, rows=rows)


def _finalize(value: object) -> object:
    return escape(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _cell(text: str) -> str:
    return text if isinstance(text, Markup) else escape(text)


def _numbers(content: Table, column: int) -> bool:
    cells = [row[column].strip("*† ") for row in content.rows]
    return column > 0 and all(re.fullmatch(NUMBER, cell) for cell in cells)
