"""From run folders to a report on disk: report.html, report.md, figures/ (PNG and SVG), and its numbers.

leaderboard.csv, .parquet and .tex, reuse.csv (verdicts), trends.csv, distances.csv, across.parquet (between trainings).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import WorkspaceError
from harness.files import explained, make_folder, write_aside, write_text
from harness.papers.agreement import TOLERANCE_POINTS
from harness.papers.sections import versus_sections
from harness.provenance import Launch, changes
from harness.report import settings
from harness.report.accuracy_figure import draw_accuracy
from harness.report.album import Album
from harness.report.blocks import Figure, Section
from harness.report.curve_figure import draw_curves
from harness.report.gather import Gathered, gather
from harness.report.interactive import accuracy_spec, curve_specs, size_spec
from harness.report.latex import latex_document
from harness.report.markdown import PanelView, ReportView, board_table, gap_table, paragraphs, render
from harness.report.page import Board, board_of, render_page
from harness.report.panels import Panel, panels
from harness.report.plot_parts import Spec
from harness.report.reuse import ANSWER, reuse_sections
from harness.report.reuse_trends import trend_rows
from harness.report.reuse_verdicts import Judging, Verdicts, reuse_verdicts
from harness.report.search import search_sections
from harness.report.size_figure import draw_sizes
from harness.report.sizes import SIZES
from harness.report.style import Style, styles
from harness.report.summary import summarise
from harness.report.unreported import missing_runs, nothing_to_report, other_folders
from harness.search.recorded import RecordedSearch
from harness.statistics import leaderboard
from harness.store import RunFolder, run_folders


@dataclass(frozen=True, kw_only=True)
class BuiltReport:
    """A report that was written: the path of report.md, its leaderboard (results.LEADERBOARD_COLUMNS), its verdicts.

    answer, missing_runs: as in `markdown.ReportView`.
    """

    path: Path
    board: pd.DataFrame
    answer: Section | None
    missing_runs: str


def build_report(
    folder: Path,
    *,
    title: str,
    claim: str,
    command: str,
    took: str = "",
    raw_data: Sequence[str] = (),
    without: Sequence[str] = (),
    subsets: Sequence[str] = (),
    judging: Judging | None = None,
    config: Path | None = None,
    runs: list[RunFolder] | None = None,
    distances: Sequence[str] = (),
    across: Sequence[str] = (),
    search: RecordedSearch | None = None,
    launch: Launch | None = None,
    even_empty: bool = True,
) -> BuiltReport:
    """Write the report on `runs` into `folder`.

    runs: the run folders to report, those of one plan; None for all below `folder`/runs. title, claim: shown
    at the top. command: the exact command that made the runs. took: how long that was, in words. raw_data:
    the sources whose raw data the command needs. without: one clause for each source that was left out.
    subsets: one clause for each source of which less was there than was published.
    judging: how verdicts on reuse are given; None for the defaults.
    distances, across: files of distances between sources, and of comparisons of trainings, below `folder`/runs.
    search: how the runs' settings were chosen, None where they were not. launch: what is known of the last launch.
    config: the experiment's file, shown and copied to `folder`/config.gin; None for what is there. even_empty:
    whether to write a report that says that no run has finished. The same runs and words give the same bytes.

    Raises WorkspaceError when there is no folder of runs, when nothing has finished and `even_empty` is
    false, when finished runs of two configurations share a name, or when `folder` cannot be written;
    ConfigError when an episode was measured twice, or the margin of `judging` is no positive number. Mistakes
    are found before anything is written.
    """
    folders = run_folders(folder / "runs") if runs is None else runs
    trials = [RunFolder(folder / "runs" / run_id) for run_id in (search.trial_runs if search else ())]
    tables = ([folder / "runs" / name for name in names] for names in (distances, across))
    gathered = gather(folders, *tables, chosen=search is not None)
    missing = missing_runs(folders, gathered.left_out) if gathered.runs else ""
    gathered = _with_others(gathered, folder / "runs", [*folders, *trials])
    if not gathered.runs and not even_empty:
        raise WorkspaceError(nothing_to_report(folders, gathered, command, trials))
    gin = _gin_text(config or folder / "config.gin")
    board = leaderboard(gathered.episodes)
    verdicts = reuse_verdicts(gathered, judging or Judging())
    said: dict[str, Any] = {"claim": claim, "command": command, "took": took, "gin": gin}
    said["chosen"], said["search"] = search_sections(search, folder / "runs") if search else (None, None)
    said |= {"without": tuple(without), "subsets": tuple(subsets), "raw_data": tuple(raw_data)}
    words = _Words(title=title or folder.name, missing_runs=missing, launch=launch or Launch(), **said)
    answer = _write(folder, gathered, verdicts, board, words)
    if config is not None and gin is not None:
        write_text(folder / "config.gin", gin)
    return BuiltReport(path=folder / "report.md", board=board, answer=answer, missing_runs=missing)


def _with_others(gathered: Gathered, place: Path, runs: list[RunFolder]) -> Gathered:
    """Also left out: what else lies in `place`."""
    return replace(gathered, left_out=(*gathered.left_out, *other_folders(place, runs)))


def _write(
    folder: Path, gathered: Gathered, verdicts: Verdicts, board: pd.DataFrame, words: "_Words"
) -> Section | None:
    """Write figures, tables and both pages; returns the report's answer."""
    drawn = _draw(gathered, verdicts, words, make_folder(folder / "figures"))
    view, trends = drawn.view, drawn.trends
    _write_csv(board, folder / "leaderboard.csv")
    _write_parquet(board, folder / "leaderboard.parquet")
    captions = [f"Accuracy in %, ± half the 95 % interval ({panel.heading})." for panel in view.panels]
    boards = [panel.board for panel in view.panels]
    write_text(folder / "leaderboard.tex", latex_document(zip(captions, boards, strict=True)))
    _write_csv(verdicts.rows if view.reuse else None, folder / "reuse.csv")
    for name, frame in (("trends", trends), ("distances", gathered.distances)):
        _write_csv(frame if len(frame) else None, folder / f"{name}.csv")
    _write_parquet(gathered.across if len(gathered.across) else None, folder / "across.parquet")
    write_text(folder / "report.html", render_page(view, drawn.boards, drawn.curves, folder))
    write_text(folder / "report.md", render(view))
    return view.answer


@dataclass(frozen=True, kw_only=True)
class _Words:
    """What a report says that the runs do not."""

    title: str
    claim: str
    missing_runs: str
    command: str
    took: str
    raw_data: tuple[str, ...]
    without: tuple[str, ...]
    subsets: tuple[str, ...]
    gin: str | None
    search: Section | None
    chosen: Section | None
    launch: Launch


def _write_csv(frame: pd.DataFrame | None, path: Path) -> None:
    """Write `frame`; without one, remove what an earlier report wrote there."""
    if frame is None:
        with explained(path):
            path.unlink(missing_ok=True)
    else:
        write_text(path, frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def _write_parquet(frame: pd.DataFrame | None, path: Path) -> None:
    """As `_write_csv`, for tables that would be megabytes of text, and for programs."""
    if frame is None:
        with explained(path):
            path.unlink(missing_ok=True)
    else:
        write_aside(path, lambda aside: frame.to_parquet(aside, index=False))


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """What a report shows: the view of both pages, the boards and curves of the interactive one, and the trends."""

    view: ReportView
    boards: tuple[Board, ...]
    curves: tuple[Spec, ...]
    trends: pd.DataFrame


def _draw(gathered: Gathered, verdicts: Verdicts, words: _Words, figures: Path) -> _Drawn:
    """Draw all figures and remove those of an earlier report."""
    shown = panels(gathered.episodes) if gathered.runs else []
    looks = styles(
        (run.method for run in gathered.runs), (e.method for panel in shown for e in panel.entries)
    )
    album = Album(folder=figures)
    views = tuple(_panel_view(panel, gathered, looks, album) for panel in shown)
    curves = _draw_all_curves(gathered, looks, album)
    reuse, found = reuse_sections(gathered, verdicts, looks, album) if gathered.runs else ((), [])
    album.remove_others()
    near = gathered.in_training
    return _Drawn(
        view=_view(gathered, views, reuse, curves, words),
        boards=tuple(
            board_of(panel, view, near, _plots(panel, near, looks))
            for panel, view in zip(shown, views, strict=True)
        ),
        curves=tuple(
            spec
            for regime, lines in gathered.curves.groupby("trained_on", sort=True)
            for spec in curve_specs(str(regime), pd.DataFrame(lines), looks)
        ),
        trends=trend_rows(found),
    )


def _plots(panel: Panel, near: dict[str, frozenset[str]], looks: dict[str, Style]) -> list[Spec]:
    """Accuracy per source, and against ways and shots where these vary, regime by regime."""
    specs: list[Spec] = []
    for regime in panel.regimes:
        specs.append(accuracy_spec(panel, regime, near, looks))
        sized = [size_spec(panel, regime, size, looks) for size in SIZES]
        specs += [spec for spec in sized if spec is not None]
    return specs


def _view(
    gathered: Gathered,
    views: tuple[PanelView, ...],
    reuse: tuple[Section, ...],
    curves: tuple[Figure, ...],
    words: _Words,
) -> ReportView:
    runs = gathered.runs
    answered = bool(reuse) and reuse[0].title == ANSWER
    return ReportView(
        title=words.title,
        claim=paragraphs(words.claim),
        missing_runs=words.missing_runs,
        command=words.command,
        took=words.took,
        raw_data=words.raw_data,
        without=words.without,
        subsets=words.subsets,
        gin=words.gin,
        panels=views,
        answer=reuse[0] if answered else None,
        reuse=reuse[1:] if answered else reuse,
        search=words.search,
        chosen=words.chosen,
        papers=versus_sections(runs, words.subsets, TOLERANCE_POINTS),
        curves=curves,
        several_seeds=len({run.seed for run in runs}) > 1,
        n_runs=len(runs),
        regimes=settings.regimes(runs),
        methods=settings.methods(runs),
        networks=settings.networks(runs),
        conditions=settings.conditions(runs),
        data=settings.data(runs),
        costs=settings.costs(runs),
        shared=settings.shared_trainings(runs),
        environment=settings.environment(runs, words.launch),
        code_changes=tuple(changes(settings.provenances(runs), words.launch.plugins)),
        left_out=gathered.left_out,
        cut_curves=gathered.cut_curves,
    )


def _panel_view(panel: Panel, gathered: Gathered, looks: dict[str, Style], album: Album) -> PanelView:
    near = gathered.in_training
    summaries = tuple(summarise(panel, near))
    caption = f"Accuracy per source with 95 % intervals, {panel.heading}"
    return PanelView(
        heading=panel.heading,
        guessing=panel.guessing,
        regimes=summaries,
        board=board_table(panel, near),
        gaps=tuple((s.trained_on, gap_table(s)) for s in summaries if len(s.methods) > 1),
        figure=album.add(
            "accuracy", panel.heading, caption, lambda path: draw_accuracy(panel, near, looks, path)
        ),
        sized=draw_sizes(panel, near, looks, album),
    )


def _draw_all_curves(gathered: Gathered, looks: dict[str, Style], album: Album) -> tuple[Figure, ...]:
    """One figure a regime."""
    selected = {
        run.run_id: run.status["selected_iteration"]
        for run in gathered.runs
        if isinstance(run.status.get("selected_iteration"), int)
    }
    return tuple(
        album.add(
            "curves",
            str(regime),
            f"Learning curves, trained on {regime}",
            lambda path, regime=regime, curves=curves: draw_curves(  # type: ignore[misc]
                str(regime), pd.DataFrame(curves), selected, looks, path
            ),
        )
        for regime, curves in gathered.curves.groupby("trained_on", sort=True)
    )


def _gin_text(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkspaceError(f"Cannot read {path}: {error}. Mend or remove it and report again.") from error
