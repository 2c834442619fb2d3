"""From a control experiment's runs to its report on disk: report.html, report.md, figures/, and its numbers.

leaderboard.csv, .parquet and .tex (ranks and returns), returns.csv (before, after, gain), tasks.csv (each task),
verdicts.csv.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.control.declared_margin import KEY, declared_margin
from harness.control.finished_runs import GatheredRuns, gather_runs, told_apart
from harness.control.report.answer import answer
from harness.control.report.freezing import fewer_tasks, frozen_returns
from harness.control.report.got_worse import got_worse
from harness.control.report.leaderboard import write_rankings
from harness.control.report.page import render_control_html, render_control_markdown
from harness.control.report.paper import paper_chapter
from harness.control.report.pictures import curve_chapter, picture_chapters
from harness.control.report.probes import probe_chapter
from harness.control.report.repeated_tasks import repeated_tasks
from harness.control.report.returns import return_chapters
from harness.control.report.says_little import says_little
from harness.control.report.settings import cost_chapter, settings_chapter
from harness.control.report.standings import standings
from harness.control.report.tasks import task_chapter
from harness.control.report.view import Chapter, ControlView
from harness.control.task_rows import TASK_COLUMNS
from harness.control.task_statistics import summary, verdicts
from harness.errors import WorkspaceError
from harness.files import make_folder, write_text
from harness.learner import HEAD
from harness.provenance import changes, launch_of
from harness.report import settings
from harness.report.album import Album
from harness.report.blocks import Said
from harness.report.gather import FinishedRun
from harness.report.markdown import paragraphs
from harness.report.style import styles
from harness.report.unreported import missing_runs, named, other_folders
from harness.store import RunFolder

UNADAPTED = "no_adaptation"
CONTROLS = (UNADAPTED, "random_body")
"""Methods that show what adaptation, or a trained body, is worth."""


@dataclass(frozen=True, kw_only=True)
class BuiltControlReport:
    """The report's path, its main table, its verdicts in sentences, and one on runs that are missing in it."""

    path: Path
    summary: pd.DataFrame
    verdicts: tuple[str, ...]
    missing_runs: str


def build_control_report(
    folder: Path, record: Mapping[str, Any], runs: Sequence[RunFolder], *, took: str, gin: str | None
) -> BuiltControlReport:
    """Write the report of the runs that are done. The same runs and record give the same bytes.

    record: of the experiment. took: how long it was, in words. gin: its whole configuration.
    Raises WorkspaceError, and leaves an earlier report as it is, when no run is done.
    """
    gathered = gather_runs(runs)
    if not gathered.runs:
        raise WorkspaceError(
            f"No run in {folder} can be reported ({named(gathered.left_out, 3) or 'there is none'}), so nothing was "
            "written: `harness run` carries on."
        )
    margin = declared_margin(record, folder)
    missing, launch = missing_runs(runs, gathered.left_out), launch_of(record)
    tasks = told_apart(gathered.tasks)
    found = summary(tasks)
    judged, others = (
        verdicts(tasks, _pairs(_kinds(gathered.runs), kind), margin=margin) for kind in ("less", "other")
    )
    album = Album(folder=make_folder(folder / "figures"))
    view = ControlView(
        title=str(record.get("title") or folder.name),
        claim=paragraphs(str(record.get("claim") or "")),
        missing_runs=missing,
        command=str(record.get("command") or ""),
        took=took,
        chapters=tuple(
            _chapters(gathered, tasks, _Found(found, judged, others, KEY in record), margin, took, album)
        ),
        left_out=(*gathered.left_out, *other_folders(folder / "runs", runs)),
        cut_curves=gathered.cut_curves,
        environment=settings.environment(gathered.runs, launch),
        code_changes=tuple(changes(settings.provenances(gathered.runs), launch.plugins)),
        gin=gin,
    )
    album.remove_others()
    write_rankings(gathered, folder)
    for name, frame in (("returns", found), ("tasks", tasks[list(TASK_COLUMNS)]), ("verdicts", judged)):
        content = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        write_text(folder / f"{name}.csv", content)
    write_text(folder / "report.html", render_control_html(view, folder))
    write_text(folder / "report.md", render_control_markdown(view))
    return BuiltControlReport(
        path=folder / "report.md",
        summary=found,
        verdicts=_verdicts_of(view) if len(judged) else (),
        missing_runs=missing,
    )


def _verdicts_of(view: ControlView) -> tuple[str, ...]:
    """The sentences that the report begins with."""
    first = view.chapters[0].sections[0]
    return tuple(f"{said.lead}: {said.text}" for block in first.blocks for said in block.said)


@dataclass(frozen=True)
class _Found:
    """The summary, and verdicts on pairs that are judged on reuse and on others; whether their margin was declared."""

    summary: pd.DataFrame
    judged: pd.DataFrame
    others: pd.DataFrame
    is_declared: bool


def _chapters(
    gathered: GatheredRuns,
    tasks: pd.DataFrame,
    found: _Found,
    margin: float,
    took: str,
    album: Album,
) -> list[Chapter]:
    """In the order of the report."""
    looks = styles(run.method for run in gathered.runs)
    cells = standings(tasks, found.summary, gathered.runs)
    probes, without = _of_known_sources(gathered, tasks)
    frozen, caveat = frozen_returns(probes, tasks), fewer_tasks(probes, tasks)
    remarks = (
        *says_little(found.judged, cells, UNADAPTED),
        *got_worse(gathered.curves, margin),
        *repeated_tasks(tasks, cells),
    )
    sections = answer(
        found.judged, cells, frozen, caveat=caveat, is_declared=found.is_declared, remarks=remarks
    )
    short = Chapter(anchor="short", title="In short", sections=sections)
    parts = [
        short,
        *return_chapters(cells, found.judged, found.others, looks),
        task_chapter(tasks, cells, looks, album),
        curve_chapter(gathered, looks, album),
        probe_chapter(probes, frozen, without, looks, caveat),
        paper_chapter([run.folder for run in gathered.runs if run.folder], margin),
        *picture_chapters(gathered.runs, album),
        settings_chapter(gathered.runs),
        cost_chapter(gathered.runs, took),
    ]
    return [part for part in parts if part is not None]


def _of_known_sources(gathered: GatheredRuns, tasks: pd.DataFrame) -> tuple[pd.DataFrame, list[Said]]:
    """The probes' rows, but for sources whose name stands for several; and what is left out of them.

    The rows do not say which of the several they are of.
    """
    known = set(zip(tasks["source"], tasks["split"], strict=True))
    places = list(zip(gathered.probes["source"], gathered.probes["split"], strict=True))
    kept = gathered.probes[np.array([place in known for place in places], dtype=bool)]
    said = [Said(one.run_id, f"its probes are left out: {one.reason}") for one in gathered.without_probes]
    for source, split in sorted({place for place in places if place not in known}):
        text = (
            "its probes are left out: it was tested in several ways under one name, and the probes' rows do not say "
            "which they are of. Sources of different names are told apart."
        )
        said.append(Said(f"{source}, {split} split", text))
    return kept, said


def _kinds(runs: Sequence[FinishedRun]) -> dict[str, str]:
    """Method -> `full` for the one called maml, `less` for what is judged against it, else `other`.

    Judged is what adapts the last layer alone and has trained its body: ANIL. BOIL adapts no less, first-order MAML is
    a variant, and controls say nothing about reuse.
    """
    kinds = {}
    for run in runs:
        judged = run.status.get("adapted_layers") == [HEAD] and run.spec["method"]["plugin"] not in CONTROLS
        kinds[run.method] = "full" if run.method == "maml" else "less" if judged else "other"
    return kinds


def _pairs(kinds: Mapping[str, str], kind: str) -> list[tuple[str, str]]:
    """Every method of a kind against the one that adapts everything, where that is there."""
    full = [method for method, its in kinds.items() if its == "full"]
    return [(method, each) for each in full for method, its in kinds.items() if its == kind]
