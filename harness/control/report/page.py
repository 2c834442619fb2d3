"""Both pages of a control experiment's report, from one view."""

from pathlib import Path

from harness.control.report.answer import WORDS
from harness.control.report.view import ControlView
from harness.report.html_page import render_html
from harness.report.markdown import render_markdown
from harness.report.sortable import filters_of

HERE = Path(__file__).parent
LEGENDS = {"method": "Method", "regime": "Trained on", "source": "Tested on"}


def render_control_html(view: ControlView, folder: Path) -> str:
    """report.html. folder: where the report's pictures lie, which become part of the page. Same in, same out."""
    sections = [section for chapter in view.chapters for section in chapter.sections]
    return render_html(
        "control_page.html.j2",
        folder,
        places=(HERE,),
        title=view.title,
        figures=[block.figure for section in sections for block in section.blocks if block.figure],
        plotted=any(chapter.plots for chapter in view.chapters),
        view=view,
        filters=filters_of((table for chapter in view.chapters for table in chapter.tables), LEGENDS),
        words=WORDS,
    )


def render_control_markdown(view: ControlView) -> str:
    """report.md; the same view gives the same text."""
    return render_markdown("control_report.md.j2", places=(HERE,), view=view, words=WORDS)
