"""The chapters of pictures: learning curves, paths in the plane, strips of frames."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pandas as pd

from harness.control.finished_runs import GatheredRuns
from harness.control.paths import Paths, load_paths
from harness.control.pictures import frames_of
from harness.control.report.figures import draw_paths
from harness.control.report.view import Chapter
from harness.errors import WorkspaceError
from harness.files import write_aside
from harness.report.album import Album
from harness.report.blocks import Block, Figure, Said, Section
from harness.report.curve_figure import Quantity, draw_curves
from harness.report.gather import FinishedRun
from harness.report.interactive import curve_specs
from harness.report.style import Style

Kept = TypeVar("Kept")
"""What a run keeps for a picture."""

RETURNS = (
    Quantity(column="return_after", title="return after adaptation"),
    Quantity(column="return_before", title="return before adaptation"),
)
"""What the learning curves of policies are of."""

PATHS = (
    "The first test tasks of the first seed: before adaptation above, after it below, with the return of each. Thin: "
    "single trajectories; thick: the mean of those that have not ended, with a dot every ten steps; the cross is the "
    "start, the star the goal, which the policy does not see."
)
NO_PICTURES = (
    "The runs kept none: their sources have no picture, or bodies could not be rendered where the runs were made "
    "(MuJoCo renders by the way that $MUJOCO_GL names)."
)
STRIPS = "The first test task of the first seed: before adaptation and, below it, after; the camera follows the body."


def curve_chapter(gathered: GatheredRuns, looks: Mapping[str, Style], album: Album) -> Chapter | None:
    """None where no run recorded a curve."""
    plots, blocks = [], []
    for regime, lines in gathered.curves.groupby("trained_on", sort=True):
        own = pd.DataFrame(lines)
        plots += curve_specs(str(regime), own, looks, RETURNS)
        figure = album.add(
            "curves",
            str(regime),
            f"Learning curves, trained on {regime}",
            lambda path, regime=regime, own=own: draw_curves(str(regime), own, {}, looks, path, RETURNS),  # type: ignore[misc]
        )
        blocks.append(Block(figure=figure))
    if not blocks:
        return None
    note = "Returns of the training's own tasks, means over the updates since the last point and over seeds."
    return Chapter(
        anchor="curves",
        title="Learning curves",
        sections=(Section(title="", note=note, blocks=()),),
        printed=(Section(title="", note="", blocks=tuple(blocks)),),
        plots=tuple(plots),
    )


def picture_chapters(runs: Sequence[FinishedRun], album: Album) -> list[Chapter]:
    """Paths and strips, as far as the runs kept any that can be read."""
    paths, no_paths = _firsts(runs, load_paths)
    strips, no_strips = _firsts(runs, frames_of)
    damaged = [*no_paths, *no_strips]
    chapters = []
    for anchor, title, note, figures in (
        ("paths", "Paths", PATHS, [_path_figure(run, kept, _name(run, runs), album) for run, kept in paths]),
        ("frames", "Frames", STRIPS, [_strip(run, kept, _name(run, runs), album) for run, kept in strips]),
    ):
        if figures:
            blocks = tuple(Block(figure=figure) for figure in figures)
            section = Section(title="", note=note, blocks=blocks)
            chapters.append(Chapter(anchor=anchor, title=title, sections=(section,)))
    if not chapters:
        section = Section(title="", note="" if damaged else NO_PICTURES, blocks=())
        chapters.append(Chapter(anchor="pictures", title="Pictures", sections=(section,)))
    if damaged:
        missing = Section(title="Not shown", note="", blocks=(Block(said=tuple(damaged)),))
        chapters[-1] = replace(chapters[-1], sections=(*chapters[-1].sections, missing))
    return chapters


def _firsts(
    runs: Sequence[FinishedRun], read: Callable[[Path], Kept | None]
) -> tuple[list[tuple[FinishedRun, Kept]], list[Said]]:
    """Of each method and training the run of the first seed that kept something, and what cannot be read."""
    found: dict[tuple[str, str], tuple[FinishedRun, Kept]] = {}
    damaged = []
    for run in runs:
        if run.folder is None or (run.trained_on, run.method) in found:
            continue
        try:
            kept = read(run.folder.path)
        except WorkspaceError as error:
            damaged.append(Said(run.run_id, f"{error}; the run's returns are as they were"))
            continue
        if kept is not None:
            found[run.trained_on, run.method] = run, kept
    return list(found.values()), damaged


def _path_figure(run: FinishedRun, kept: Paths, name: str, album: Album) -> Figure:
    first = run.episodes.head(len(kept.goals))  # of the first evaluation, as the paths are
    returns = list(zip(first["return_before"], first["return_after"], strict=True))
    caption = f"{name} on {first['source'].iloc[0]}"
    return album.add("paths", name, caption, lambda file: draw_paths(kept, returns, file))


def _strip(run: FinishedRun, kept: Path, name: str, album: Album) -> Figure:
    caption = f"{name} on {run.episodes['source'].iloc[0]}"
    figure = album.add(
        "frames",
        name,
        caption,
        lambda file: write_aside(file, lambda aside: shutil.copyfile(kept, aside)),
    )
    return Figure(path=figure.path, caption=figure.caption, is_strip=True)


def _name(run: FinishedRun, runs: Sequence[FinishedRun]) -> str:
    """The method's, with what it was trained on where the runs have several of that."""
    several = len({one.trained_on for one in runs}) > 1
    return f"{run.method}, trained on {run.trained_on}" if several else run.method
