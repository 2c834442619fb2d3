"""Pictures of control experiments: paths of navigation before and after adaptation, and returns task by task."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from harness.control.paths import Paths
from harness.report.panels import natural
from harness.report.style import COLOURS, GREY, INK, Style, figure_of, grid, save

STEPS_A_DOT = 10
"""Of the mean path."""

MOST_COLUMNS = 3


def draw_paths(paths: Paths, returns: Sequence[tuple[float, float]], path: Path) -> None:
    """One method's: a column a task, before adaptation above, after it below.

    Thin: each trajectory. Thick, with a dot every few steps: the mean over the trajectories that last so long. returns:
    of each task before and after.
    """
    with figure_of(2.5 * len(paths.goals), 5.2) as figure:
        rows = figure.subplots(2, len(paths.goals), squeeze=False, sharex=True, sharey=True)
        for row, walked, words in zip(rows, (paths.before, paths.after), ("before", "after"), strict=True):
            for t, axes in enumerate(row):
                colour = GREY if words == "before" else COLOURS[0]
                _draw_walks(axes, walked[t], colour)
                axes.plot(
                    *paths.goals[t], "*", color=COLOURS[1], markersize=15, markeredgecolor="white", zorder=5
                )
                axes.plot(0, 0, "+", color=INK, markersize=9, zorder=4)
                axes.set_aspect("equal")
                value = returns[t][0 if words == "before" else 1]
                axes.set_title(f"task {t}, {words}: {value:.1f}", fontsize=11)
                axes.tick_params(labelsize=9)
        save(figure, path)


def _draw_walks(axes: Axes, walks: npt.NDArray[np.float64], colour: str) -> None:
    """walks: [n, H, 2], NaN after a trajectory's end."""
    for walk in walks:
        axes.plot(walk[:, 0], walk[:, 1], color=colour, linewidth=0.6, alpha=0.25)
    lasting = ~np.isnan(walks[:, :, 0]).all(axis=0)
    if not lasting.any():
        return
    mean = np.nanmean(walks[:, lasting], axis=0)
    axes.plot(mean[:, 0], mean[:, 1], color=colour, linewidth=1.8)
    axes.plot(mean[::STEPS_A_DOT, 0], mean[::STEPS_A_DOT, 1], "o", color=colour, markersize=4)


def draw_tasks(cells: Mapping[str, pd.DataFrame], looks: Mapping[str, Style], path: Path) -> None:
    """A panel a cell, by its name: the return of each task after adaptation against that before."""
    columns = min(MOST_COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    methods = sorted(
        {str(name) for tasks in cells.values() for name in tasks["method"].unique()}, key=natural
    )
    with figure_of(4.6 * columns, 4.4 * rows + 0.5) as figure:
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in panels[len(cells) :]:
            axes.set_visible(False)
        for axes, (name, tasks) in zip(panels, cells.items(), strict=False):
            both = tasks[["return_before", "return_after"]].to_numpy(dtype=np.float64)
            ends = [both.min(), both.max()]
            axes.plot(ends, ends, linestyle="--", color=GREY, linewidth=1)
            for method in methods:
                own = tasks[tasks["method"] == method]
                look = looks[method]
                axes.scatter(
                    own["return_before"],
                    own["return_after"],
                    color=look.colour,
                    marker=look.marker,
                    s=22,
                    alpha=0.8,
                    label=method,
                )
            axes.set_title(name, fontsize=12)
            axes.set_xlabel("return before adaptation")
            axes.set_ylabel("return after adaptation")
            grid(axes, "both")
        figure.legend(
            *panels[0].get_legend_handles_labels(),
            loc="outside upper center",
            ncols=min(4, len(methods)),
            frameon=False,
        )
        save(figure, path)
