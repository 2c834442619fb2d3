"""The ANIL paper's table of control tasks beside what an experiment measured, and what of it was not run."""

from collections.abc import Sequence

from harness.papers.filling import content, fill
from harness.papers.returns import measured_returns
from harness.papers.sections import blocks_of, note
from harness.papers.tables import RETURNS
from harness.report.markdown import bold, escape, table
from harness.store import RunFolder


def paper_lines(done: Sequence[RunFolder], tolerance: float) -> list[str]:
    """The table as Markdown, with how it was trained here and what fills its empty cells.

    done: finished runs. tolerance: in units of return.
    """
    filled = fill(RETURNS, measured_returns(done)[0], tolerance)
    said = [one for block in blocks_of(filled, empty=True) for one in block.said]
    return [
        escape(note(tolerance, "units of return")),
        "",
        *table(content(filled)).splitlines(),
        "",
        *[f"- {bold(f'{one.lead}:')} {escape(one.text)}" for one in said],
    ]
