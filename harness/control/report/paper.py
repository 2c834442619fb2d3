"""The chapter beside the paper: its table of control tasks, what was measured here, and what of it was not run."""

from collections.abc import Sequence

from harness.control.report.view import Chapter
from harness.papers.filling import fill
from harness.papers.returns import measured_returns
from harness.papers.sections import blocks_of, note
from harness.papers.tables import RETURNS
from harness.report.blocks import Section
from harness.store import RunFolder


def paper_chapter(done: Sequence[RunFolder], tolerance: float) -> Chapter:
    """done: finished runs. tolerance: in units of return."""
    filled = fill(RETURNS, measured_returns(done)[0], tolerance)
    section = Section(title="", note=note(tolerance, "units of return"), blocks=blocks_of(filled, empty=True))
    return Chapter(anchor="paper", title="Beside the paper", sections=(section,))
