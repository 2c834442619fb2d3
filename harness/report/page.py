"""report.html: one file that opens from disk without a network, with everything that report.md says, to play with."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup as Safe

from harness.report.interactive import Spec
from harness.report.markdown import NUMBER, WORDS, Markup, PanelView, ReportView, without_backslashes
from harness.report.panels import Panel, natural
from harness.report.plot_library import plot_library
from harness.report.settings import DASH, Table

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class BoardCell:
    """A cell of the leaderboard. mark: `best`, `tied`, `nothing` or empty; value: accuracy, None for nothing."""

    source: str
    text: str
    value: float | None
    title: str
    mark: str


@dataclass(frozen=True, kw_only=True)
class BoardRow:
    """A method and what it was trained on."""

    method: str
    trained_on: str
    cells: tuple[BoardCell, ...]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A panel's leaderboard, its plots and its tables of gaps."""

    heading: str
    sources: tuple[str, ...]
    rows: tuple[BoardRow, ...]
    plots: tuple[Spec, ...]
    gaps: tuple[tuple[str, Table], ...]


def board_of(
    panel: Panel, view: PanelView, near: Mapping[str, frozenset[str]], plots: Sequence[Spec]
) -> Board:
    """Every cell with how it stands among the methods of one training."""
    marks = {}
    for regime in view.regimes:
        for standing in regime.standings:
            if standing.gaps:
                marks[regime.trained_on, standing.source, standing.leader] = "best"
            for gap in standing.level:
                marks[regime.trained_on, standing.source, gap.method] = "tied"
    rows = []
    for entry in panel.entries:
        cells = []
        for source in panel.sources:
            cell = panel.cells.get((entry, source))
            if cell is None:
                cells.append(BoardCell(source=source, text=DASH, value=None, title="", mark="nothing"))
                continue
            mark = marks.get((entry.trained_on, source, entry.method), "")
            inside = source in near.get(entry.trained_on, frozenset())
            low, high = (100 * (cell.accuracy + sign * cell.ci95) for sign in (-1, 1))
            seeds = f"{cell.n_seeds} " + ("seed" if cell.n_seeds == 1 else "seeds")
            cells.append(
                BoardCell(
                    source=source,
                    text=f"{cell}{' =' if mark == 'tied' else ''}{' †' if inside else ''}",
                    value=round(100 * cell.accuracy, 6),
                    title=f"{cell.n_episodes} episodes, {seeds}; 95 % interval {low:.1f} to {high:.1f}",
                    mark=mark,
                )
            )
        rows.append(BoardRow(method=entry.method, trained_on=entry.trained_on, cells=tuple(cells)))
    return Board(
        heading=panel.heading, sources=panel.sources, rows=tuple(rows), plots=tuple(plots), gaps=view.gaps
    )


def render_page(view: ReportView, boards: Sequence[Board], curves: Sequence[Spec], folder: Path) -> str:
    """The page. folder: where the report's pictures lie, which become part of the page. Same in, same out."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}"
    environment.filters["cell"] = _cell
    environment.filters["is_number"] = lambda text: re.fullmatch(NUMBER, text.strip("*† ")) is not None
    environment.filters["json"] = _json
    figures = [block.figure for section in view.reuse for block in section.blocks if block.figure]
    plotted = bool(curves) or any(board.plots for board in boards)
    return environment.get_template("page.html.j2").render(
        view=view,
        boards=boards,
        curves=curves,
        filters=_filters(boards),
        pictures={figure.path: _picture(folder / figure.path) for figure in figures},
        words=WORDS,
        css=Safe((HERE / "page.css").read_text(encoding="utf-8")),
        script=Safe((HERE / "page.js").read_text(encoding="utf-8")),
        plotted=plotted,
        library=Safe(_library()) if plotted else "",
    )


def _filters(boards: Sequence[Board]) -> list[tuple[str, str, list[str]]]:
    """(input name, legend, values) of each filter."""
    regimes = {row.trained_on for board in boards for row in board.rows}
    sources = {source for board in boards for source in board.sources}
    return [
        ("regime", "Trained on", sorted(regimes, key=natural)),
        ("source", "Tested on", sorted(sources, key=natural)),
        ("shape", "Episodes", [board.heading for board in boards]),
    ]


def _cell(text: str) -> str:
    """A table's cell: plain text to be escaped, or Markdown that is escaped already, of which only bold is used."""
    if not isinstance(text, Markup):
        return text
    strong = re.sub(r"\*\*(.*?)\*\*", r"<strong>\1</strong>", without_backslashes(text))
    return Safe(strong)


def _json(value: Any) -> Safe:
    """Data inside a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Safe(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _picture(path: Path) -> str:
    """A picture as a data URI, as WebP without loss, about half of the PNG."""
    import io

    from PIL import Image

    with Image.open(path) as image, io.BytesIO() as buffer:
        image.convert("RGB").save(buffer, format="WEBP", lossless=True, method=4)
        content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/webp;base64,{content}"


def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, in which nothing can end the element that it is in."""
    return re.sub(r"</(?=script)", r"<\\/", plot_library(), flags=re.IGNORECASE)
