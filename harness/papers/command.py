"""`harness paper DIR...`: the papers' tables beside what these experiments measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from harness.control.recognising import holds_control_runs
from harness.errors import ConfigError, WorkspaceError
from harness.files import make_folder, write_text
from harness.leaderboard.merging import runs_of
from harness.papers.analyses import measured_analyses
from harness.papers.filling import FilledTable, long_frame
from harness.papers.returns import measured_returns
from harness.papers.sections import whole_section
from harness.record import read_record
from harness.report.gather import FinishedRun, read_run
from harness.report.markdown import render_sections
from harness.report.unreported import named
from harness.store import LeftOut, RunFolder


@dataclass(frozen=True, kw_only=True)
class PaperRequest:
    """What the command line asks for, see `harness paper --help`."""

    folders: Sequence[Path]
    out: Path
    tolerance: float


def make_paper_tables(request: PaperRequest, console: Console) -> Path:
    """Write paper.md and paper.csv into `out`; returns the path of the first.

    Raises WorkspaceError for a folder that is not there or cannot be written, ConfigError for a tolerance that is no
    positive number. Experiments without finished runs leave their cells empty; it is refused where none has any.
    """
    if not 0 < request.tolerance < 100:
        raise ConfigError(f"--tolerance is {request.tolerance}, and must be points between 0 and 100.")
    runs, of_control, left_out = _gathered(request.folders)
    returns, damaged = measured_returns(of_control)
    analyses, unread = measured_analyses(request.folders, [run for run, _ in runs])
    left_out += [*damaged, *unread]
    if not runs and not any(run.is_done for run in of_control):
        raise WorkspaceError(_nothing(request.folders, left_out))
    filled, section = whole_section(runs, {**returns, **analyses}, request.tolerance)
    out = make_folder(request.out)
    frame = long_frame(filled)
    write_text(out / "paper.csv", frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_text(
        out / "paper.md", render_sections("The papers' tables, published and measured here", [section])
    )
    _show(filled, console)
    if left_out:
        console.print(f"Left out: {named(left_out, 3)}.", highlight=False, soft_wrap=True, markup=False)
    console.print(f"Paper tables: {out / 'paper.md'}", highlight=False, soft_wrap=True)
    return out / "paper.md"


def _gathered(
    folders: Sequence[Path],
) -> tuple[list[tuple[FinishedRun, Sequence[str]]], list[RunFolder], list[LeftOut]]:
    """Of all experiments, each run once: finished runs on images, runs on control tasks, and what is left out."""
    runs: dict[str, tuple[FinishedRun, Sequence[str]]] = {}
    of_control: dict[str, RunFolder] = {}
    left_out: list[LeftOut] = []
    for folder in folders:
        found = runs_of(folder)
        if holds_control_runs(folder):
            of_control |= {run.path.name: run for run in found}
            continue
        subsets = [str(clause) for clause in read_record(folder).get("subsets", ())]
        for run_folder in found:
            run, missing = read_run(run_folder)
            if run is not None:
                runs.setdefault(run.run_id, (run, subsets))
            left_out += missing
    return list(runs.values()), list(of_control.values()), left_out


def _nothing(folders: Sequence[Path], left_out: Sequence[LeftOut]) -> str:
    places = ", ".join(map(str, folders))
    why = f" Left out: {named(left_out, 3)}." if left_out else ""
    return (
        f"There is no finished run in {places}, so nothing was written.{why} The runs/ of a report that was only "
        "copied, or cloned with git, are where `harness run` made them: name that folder, or run its command again."
    )


def _show(filled: Sequence[FilledTable], console: Console) -> None:
    """A line a table: how many cells there are, how many were measured, how they agree."""
    for table in filled:
        published = [cell.published for row in table.cells for cell in row if cell.published]
        cells = sum(not math.isnan(row["value"]) for row in published)
        verdicts = [cell.agreement.verdict for cell in table.measured if cell.agreement]
        counts = {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}
        said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        console.print(
            f"{table.table.title}: {len(verdicts)} of {cells} cells measured{f' ({said})' if said else ''}.",
            highlight=False,
            soft_wrap=True,
        )
