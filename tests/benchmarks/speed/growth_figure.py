"""The growth curves as one figure: a panel for each quantity that grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from harness.report.style import GREY, Style, figure_of, grid, save, styles
from speed.settings import Setting

TITLES = {
    "tasks": "Tasks an iteration",
    "n_way": "Ways",
    "n_shot": "Shots",
    "inner_steps": "Inner steps",
    "image_size": "Image size, pixels",
    "workers": "Workers, by the clock",
    "pool_images": "Images in the pool, with reading",
}
LINES = {"ours": "-", "usual": ":"}
COLUMNS, WIDTH, HEIGHT = 3, 14.0, 12.0


class Point(Protocol):
    """What is drawn of a point."""

    quantity: str
    value: int
    method: str
    implementation: str
    rate_min: float
    rate_median: float
    rate_max: float


def draw_growth(points: Sequence[Point], base: Setting, path: Path) -> None:
    """Write the figure to `path`: tasks a second over each quantity, both axes logarithmic."""
    methods = list(dict.fromkeys(point.method for point in points))
    looks = styles(methods)
    quantities = list(dict.fromkeys(point.quantity for point in points))
    rows = -(-len(quantities) // COLUMNS)
    with figure_of(WIDTH, HEIGHT) as figure:
        panels = figure.subplots(rows, COLUMNS, squeeze=False).flatten().tolist()
        for axes, quantity in zip(panels, quantities, strict=False):
            _draw(axes, [point for point in points if point.quantity == quantity], looks)
            axes.set_title(TITLES[quantity])
        for axes in panels[len(quantities) :]:
            axes.set_axis_off()
        figure.supylabel("Tasks a second of training")
        figure.suptitle(
            f"Otherwise {base.n_way}-way {base.n_shot}-shot, {base.n_query} queries a class, {base.image_size} "
            f"pixels, {base.tasks} tasks an iteration, {base.inner_steps} inner steps, Conv4 with {base.filters} "
            "filters",
            fontsize=12,
            color=GREY,
        )
        figure.legend(
            handles=_handles(looks), loc="outside lower center", ncols=len(looks) + 2, frameon=False
        )
        save(figure, path)


def _draw(axes: Axes, points: Sequence[Point], looks: dict[str, Style]) -> None:
    for method, look in looks.items():
        for implementation, line in LINES.items():
            own = [p for p in points if (p.method, p.implementation) == (method, implementation)]
            if not own:
                continue
            x = [p.value for p in own]
            axes.plot(x, [p.rate_median for p in own], line, color=look.colour, marker=look.marker)
            low, high = [p.rate_min for p in own], [p.rate_max for p in own]
            axes.fill_between(x, low, high, color=look.colour, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    values = sorted({point.value for point in points})
    axes.set_xticks(values, [str(value) for value in values])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    grid(axes, "both")


def _handles(looks: dict[str, Style]) -> list[Line2D]:
    methods = [
        Line2D([], [], color=look.colour, marker=look.marker, label=method) for method, look in looks.items()
    ]
    lines = [Line2D([], [], color=GREY, linestyle=line, label=name) for name, line in LINES.items()]
    return [*methods, *lines]
