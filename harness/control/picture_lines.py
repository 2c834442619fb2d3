"""The pictures of a control experiment's report: curves, paths, frames."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from harness.control.figures import draw_curves, draw_paths
from harness.control.paths import Paths, load_paths
from harness.control.pictures import FRAMES
from harness.files import write_aside
from harness.store import RunFolder


def picture_lines(folder: Path, done: Sequence[RunFolder]) -> list[str]:
    """Draw the figures, and the lines of report.md that show them."""
    curves = {run.path.name.rpartition("-")[0]: run.curve() for run in done}
    curves = {name: lines for name, lines in curves.items() if lines}
    lines = []
    if curves:
        draw_curves(curves, folder / "figures" / "curves.png")
        lines += ["## Learning curves", "", "![Returns of training tasks](figures/curves.png)", ""]
    paths: dict[str, Paths] = {}
    for run in done:
        kept, method = load_paths(run.path), str(run.spec().get("method_name"))
        if kept is not None and method not in paths:
            paths[method] = kept
    if paths:
        draw_paths(paths, folder / "figures" / "paths.png")
        lines += [
            "## Paths",
            "",
            "The first test tasks of the first seed: paths before adaptation in grey, after it in colour; the star is "
            "the goal, which the policy does not see.",
            "",
            "![Paths before and after adaptation](figures/paths.png)",
            "",
        ]
    return [*lines, *_frame_lines(folder, done)]


def _frame_lines(folder: Path, done: Sequence[RunFolder]) -> list[str]:
    shown: dict[str, str] = {}
    for run in done:
        kept, method = run.path / FRAMES, str(run.spec().get("method_name"))
        if kept.exists() and method not in shown:
            shown[method] = f"frames-{method}.png"
            target = folder / "figures" / shown[method]
            write_aside(target, lambda aside, kept=kept: shutil.copyfile(kept, aside))  # type: ignore[misc]
    if not shown:
        return []
    said = (
        "The first test task of the first seed, before adaptation and, below, after it; the camera follows."
    )
    pictures = [line for method, name in shown.items() for line in (f"![{method}](figures/{name})", "")]
    return ["## Frames", "", said, "", *pictures]
