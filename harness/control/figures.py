"""Pictures of control experiments: learning curves, and paths of navigation before and after adaptation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.control.paths import Paths
from harness.report.style import GREY, figure_of, grid, save, styles


def draw_curves(curves: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Returns of the training tasks over the updates, before adaptation (dashed) and after, of each run by name."""
    looks = styles(curves)
    with figure_of(8, 4.5) as figure:
        axes = figure.subplots()
        for name, lines in curves.items():
            updates, colour = [line["iteration"] for line in lines], looks[name].colour
            axes.plot(updates, [line["return_after"] for line in lines], color=colour, label=name)
            axes.plot(updates, [line["return_before"] for line in lines], color=colour, linestyle="--")
        axes.set_xlabel("outer updates")
        axes.set_ylabel("return of training tasks")
        axes.set_title("After adaptation, and before it (dashed)")
        grid(axes, "y")
        axes.legend(frameon=False)
        save(figure, path)


def draw_paths(paths: Mapping[str, Paths], path: Path) -> None:
    """A row a method, a column a task: paths before adaptation in grey, after it in colour; goals are stars."""
    looks, columns = styles(paths), max(len(each.goals) for each in paths.values())
    with figure_of(2.6 * columns, 2.8 * len(paths)) as figure:
        rows = figure.subplots(len(paths), columns, squeeze=False, sharex=True, sharey=True)
        for row, (method, each) in zip(rows, paths.items(), strict=True):
            for t, axes in enumerate(row[: len(each.goals)]):
                for walked, colour in ((each.before, GREY), (each.after, looks[method].colour)):
                    for place in walked[t]:
                        axes.plot(place[:, 0], place[:, 1], color=colour, linewidth=0.9)
                axes.plot(*each.goals[t], "*", color="black", markersize=10)
                axes.set_aspect("equal")
                axes.set_title(f"{method}, task {t}", fontsize=10)
        save(figure, path)
