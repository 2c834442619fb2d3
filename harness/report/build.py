"""From run folders to a report on disk: report.md, leaderboard.csv and figures/."""

import re
from pathlib import Path

import pandas as pd

from harness.errors import WorkspaceError
from harness.files import make_folder, write_text
from harness.report import settings
from harness.report.accuracy_figure import draw_accuracy
from harness.report.curve_figure import draw_curves
from harness.report.gather import Gathered, gather
from harness.report.markdown import Figure, PanelView, ReportView, board_table, gap_table, render
from harness.report.panels import Panel, panels
from harness.report.style import Style, styles
from harness.report.summary import summarise
from harness.statistics import leaderboard
from harness.store import RunFolder, run_folders


def build_report(
    folder: Path,
    *,
    title: str,
    claim: str,
    command: str,
    took: str = "",
    runs: list[RunFolder] | None = None,
) -> Path:
    """Write the report on `runs` into `folder` and return the path of report.md.

    runs: the run folders to report, those of one plan; None for all below `folder`/runs. title, claim: shown
    at the top. command: the exact command that made the runs. took: how long that was, in words.
    `folder`/config.gin is shown where there is one. The same runs and words give the same bytes.

    Raises WorkspaceError when there is no folder of runs, when finished runs of two configurations share a
    name, or when `folder` cannot be written; ConfigError when an episode was measured twice.
    """
    gathered = gather(run_folders(folder / "runs") if runs is None else runs)
    board = leaderboard(gathered.episodes)
    shown = panels(gathered.episodes) if gathered.runs else []
    figures = make_folder(folder / "figures")
    looks = styles(
        (run.method for run in gathered.runs), (e.method for panel in shown for e in panel.entries)
    )
    views = tuple(_panel_view(panel, gathered, looks, figures) for panel in shown)
    curves = _draw_all_curves(gathered, looks, figures)
    _remove_others(figures, {*(view.figure.path for view in views), *(figure.path for figure in curves)})
    view = _view(folder, gathered, views, curves, title=title, claim=claim, command=command, took=took)
    write_text(
        folder / "leaderboard.csv", board.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    )
    report = folder / "report.md"
    write_text(report, render(view))
    return report


def _view(
    folder: Path,
    gathered: Gathered,
    views: tuple[PanelView, ...],
    curves: tuple[Figure, ...],
    *,
    title: str,
    claim: str,
    command: str,
    took: str,
) -> ReportView:
    runs = gathered.runs
    paragraphs = re.split(r"\n\s*\n", claim.strip()) if claim.strip() else []
    return ReportView(
        title=title or folder.name,
        claim=tuple(" ".join(paragraph.split()) for paragraph in paragraphs),
        command=command,
        took=took,
        gin=_gin_text(folder / "config.gin"),
        panels=views,
        curves=curves,
        several_seeds=len({run.seed for run in runs}) > 1,
        n_runs=len(runs),
        regimes=settings.regimes(runs),
        methods=settings.methods(runs),
        networks=settings.networks(runs),
        conditions=settings.conditions(runs),
        costs=settings.costs(runs),
        shared=settings.shared_trainings(runs),
        environment=settings.environment(runs),
        left_out=gathered.left_out,
    )


def _panel_view(panel: Panel, gathered: Gathered, looks: dict[str, Style], figures: Path) -> PanelView:
    near = gathered.in_training
    path = figures / f"accuracy-{slug(panel.heading)}.png"
    draw_accuracy(panel, near, looks, path)
    summaries = tuple(summarise(panel, near))
    caption = f"Accuracy per source with 95 % intervals, {panel.heading}"
    return PanelView(
        heading=panel.heading,
        chance=panel.chance,
        regimes=summaries,
        board=board_table(panel, near),
        gaps=tuple((s.trained_on, gap_table(s)) for s in summaries if len(s.methods) > 1),
        figure=Figure(path=f"figures/{path.name}", caption=caption),
    )


def _draw_all_curves(gathered: Gathered, looks: dict[str, Style], figures: Path) -> tuple[Figure, ...]:
    """One figure a regime; a number keeps apart regimes whose names make the same file name."""
    selected = {
        run.run_id: run.status["selected_iteration"]
        for run in gathered.runs
        if isinstance(run.status.get("selected_iteration"), int)
    }
    drawn: list[Figure] = []
    for regime, curves in gathered.curves.groupby("trained_on", sort=True):
        path, number = figures / f"curves-{slug(str(regime))}.png", 2
        while any(figure.path == f"figures/{path.name}" for figure in drawn):
            path, number = figures / f"curves-{slug(str(regime))}-{number}.png", number + 1
        draw_curves(str(regime), pd.DataFrame(curves), selected, looks, path)
        drawn.append(Figure(path=f"figures/{path.name}", caption=f"Learning curves, trained on {regime}"))
    return tuple(drawn)


def _remove_others(figures: Path, wanted: set[str]) -> None:
    """Delete figures that an earlier report left here; only names that this module gives."""
    for pattern in ("accuracy-*.png", "curves-*.png"):
        for path in figures.glob(pattern):
            if f"figures/{path.name}" not in wanted:
                path.unlink()


def _gin_text(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkspaceError(f"Cannot read {path}: {error}. Mend or remove it and report again.") from error


def slug(text: str) -> str:
    """`text` as part of a file name: lower-case letters, digits and hyphens, at most 80."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:80] or "unnamed"
