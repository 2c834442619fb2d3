"""The chapters of pictures: learning curves, paths in the plane, strips of frames."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from harness.control.finished_runs import GatheredRuns
from harness.control.paths import FILE as PATHS_FILE
from harness.control.paths import load_paths
from harness.control.pictures import FRAMES
from harness.control.report.figures import draw_paths
from harness.control.report.view import Chapter
from harness.files import write_aside
from harness.report.album import Album
from harness.report.blocks import Block, Figure, Section
from harness.report.curve_figure import Quantity, draw_curves
from harness.report.gather import FinishedRun
from harness.report.interactive import curve_specs
from harness.report.style import Style

RETURNS = (
    Quantity(column="return_after", title="return after adaptation"),
    Quantity(column="return_before", title="return before adaptation"),
)
"""What the learning curves of policies are of."""

PATHS = (
    "The first test tasks of the first seed: before adaptation above, after it below, with the return of each. Thin: "
    "single trajectories; thick: their mean, with a dot every ten steps; the cross is the start, the star the goal, "
    "which the policy does not see."
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
    """Paths and strips, as far as the runs kept any."""
    chapters = []
    for anchor, title, note, figures in (
        ("paths", "Paths", PATHS, list(_paths(runs, album))),
        ("frames", "Frames", STRIPS, list(_strips(runs, album))),
    ):
        if figures:
            blocks = tuple(Block(figure=figure) for figure in figures)
            section = Section(title="", note=note, blocks=blocks)
            chapters.append(Chapter(anchor=anchor, title=title, sections=(section,)))
    if not chapters:
        section = Section(title="", note=NO_PICTURES, blocks=())
        chapters.append(Chapter(anchor="pictures", title="Pictures", sections=(section,)))
    return chapters


def _firsts(runs: Sequence[FinishedRun], file: str) -> Iterator[tuple[FinishedRun, Path]]:
    """Of each method and training the run of the first seed that kept `file`."""
    seen: set[tuple[str, str]] = set()
    for run in runs:
        key = (run.trained_on, run.method)
        path = (run.folder.path if run.folder else Path()) / file
        if key not in seen and path.is_file():
            seen.add(key)
            yield run, path


def _paths(runs: Sequence[FinishedRun], album: Album) -> Iterator[Figure]:
    for run, path in _firsts(runs, PATHS_FILE):
        kept = load_paths(path.parent)
        if kept is None:
            continue
        first = run.episodes.head(len(kept.goals))  # of the first evaluation, as the paths are
        returns = list(zip(first["return_before"], first["return_after"], strict=True))
        yield album.add(
            "paths",
            _name(run, runs),
            f"{_name(run, runs)} on {first['source'].iloc[0]}",
            lambda file, kept=kept, returns=returns: draw_paths(kept, returns, file),  # type: ignore[misc]
        )


def _strips(runs: Sequence[FinishedRun], album: Album) -> Iterator[Figure]:
    for run, path in _firsts(runs, FRAMES):
        figure = album.add(
            "frames",
            _name(run, runs),
            f"{_name(run, runs)} on {run.episodes['source'].iloc[0]}",
            lambda file, path=path: write_aside(file, lambda aside: shutil.copyfile(path, aside)),  # type: ignore[misc]
        )
        yield Figure(path=figure.path, caption=figure.caption, is_strip=True)


def _name(run: FinishedRun, runs: Sequence[FinishedRun]) -> str:
    """The method's, with what it was trained on where the runs have several of that."""
    several = len({one.trained_on for one in runs}) > 1
    return f"{run.method}, trained on {run.trained_on}" if several else run.method
