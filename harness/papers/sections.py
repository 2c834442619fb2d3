"""Paper tables as sections of a page: the tables, how both were trained, and what has not been run."""

from collections.abc import Iterable, Mapping, Sequence

from harness.papers.analysis_tables import ANALYSIS_TABLES
from harness.papers.filling import FilledTable, caveats, content, fill, measured_part, not_run, trainings
from harness.papers.measured import Measured, Place, measured
from harness.papers.tables import PAPER_TABLES
from harness.published_numbers import PAPERS, TRAINED
from harness.report.blocks import Block, Said, Section
from harness.report.gather import FinishedRun


def note(tolerance: float, unit: str = "points") -> str:
    """How to read the tables. unit: of the numbers and of the tolerance."""
    return (
        "Published: mean ± a deviation over trainings (Raghu et al., MAML++, BOIL), ± the 95 % interval over test "
        "episodes, or ± something that was not said. Here: mean ± the deviation over seeds, nothing for one seed, "
        "and then the verdict is about one trained network. Difference: here less there ± half its 95 % interval, "
        "from the errors of both; nothing is paired, and a published deviation over three trainings makes a wide "
        "interval. *: the published error is not known for an interval, or missing, and counts as printed, or not "
        f"at all. Within: the whole interval lies within {tolerance:g} {unit}; above, below: all of it lies "
        "beyond; else it cannot be told. Of several trainings the longest is shown, never the best."
    )


def versus_sections(
    runs: Iterable[FinishedRun], subsets: Sequence[str], tolerance: float
) -> tuple[Section, ...]:
    """What of the paper tables these runs measured, with how to read it; empty for nothing."""
    found = measured((run, subsets) for run in runs)
    parts = [measured_part(fill(table, found, tolerance)) for table in PAPER_TABLES]
    blocks = tuple(block for part in parts if part for block in blocks_of(part, empty=False))
    return (Section(title="", note=note(tolerance), blocks=blocks),) if blocks else ()


def whole_section(
    runs: Iterable[tuple[FinishedRun, Sequence[str]]], others: Mapping[Place, Measured], tolerance: float
) -> tuple[list[FilledTable], Section]:
    """All paper tables, also what nothing was measured of, and the section that shows them; runs as in `measured`.

    others: what else was measured: what policies got, and how alike and how fast networks are.
    """
    found = {**measured(runs), **others}
    filled = [fill(table, found, tolerance) for table in (*PAPER_TABLES, *ANALYSIS_TABLES)]
    blocks = tuple(block for table in filled for block in blocks_of(table, empty=True))
    return filled, Section(title="", note=note(tolerance, "points (or units of return)"), blocks=blocks)


def blocks_of(filled: FilledTable, *, empty: bool) -> tuple[Block, ...]:
    """The table, how its numbers were trained, and, where `empty`, what has not been run."""
    said = [Said("Here", f"{filled.table.note}.")] if filled.table.note else []
    said += [Said(f"Trained here, {place}", f"{how}.") for place, how in trainings(filled)]
    said += [Said(f"Trained there, {PAPERS[paper]}", f"{how}.") for paper, how in _there(filled)]
    said += [Said(f"Published, {label}", f"{note}.") for label, note in caveats(filled)]
    if empty:
        said += [Said(f"Not run, {place}", how) for place, how in not_run(filled)]
    return (Block(title=filled.table.title, table=content(filled)), Block(said=tuple(said)))


def _there(filled: FilledTable) -> list[tuple[str, str]]:
    """(paper, its training) of the measured cells, where it is known."""
    cells = [cell.published for cell in filled.measured if cell.published]
    keys = dict.fromkeys((str(c["paper"]), source) for c in cells for source in (str(c["source"]), ""))
    return [(paper, TRAINED[paper, source]) for paper, source in keys if (paper, source) in TRAINED]
