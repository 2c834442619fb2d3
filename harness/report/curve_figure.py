"""Learning curves: numbers of the training over its updates, a panel each, lines named at their end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from harness.report.panels import natural
from harness.report.style import GREY, Style, figure_of, grid, save


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """What a line of the curve says: its key there, what it is called, by what it is multiplied to be shown."""

    column: str
    title: str
    scale: float = 1


OF_IMAGES = (
    Quantity(column="valid_accuracy", title="validation accuracy, %", scale=100),
    Quantity(column="loss", title="training loss"),
)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One training, under every seed: the methods tested on it, its lines (columns of store.read_curves)."""

    methods: tuple[str, ...]
    lines: pd.DataFrame

    @property
    def label(self) -> str:
        """`anil, nil`: the methods that share the training."""
        return ", ".join(self.methods)


def curves_of(curves: pd.DataFrame, quantities: Sequence[Quantity] = OF_IMAGES) -> list[Curve]:
    """The curves of one regime's runs; methods whose curves are equal line by line share one."""
    found: dict[str, Curve] = {}
    columns = ["seed", "iteration", *sorted(quantity.column for quantity in quantities)]
    for method, lines in sorted(curves.groupby("method"), key=lambda pair: natural(str(pair[0]))):
        lines = lines.sort_values(["seed", "iteration"], kind="stable")
        content = lines[columns].to_csv(index=False)
        known = found.get(content)
        methods = (*known.methods, str(method)) if known else (str(method),)
        found[content] = Curve(methods=methods, lines=known.lines if known else lines)
    return list(found.values())


def draw_curves(
    regime: str,
    curves: pd.DataFrame,
    selected: Mapping[str, int],
    looks: Mapping[str, Style],
    path: Path,
    quantities: Sequence[Quantity] = OF_IMAGES,
) -> None:
    """Write one regime's figure to `path`. `selected`: run_id -> the update whose checkpoint counts."""
    parts = curves_of(curves, quantities)
    with figure_of(10, 4.1 * len(quantities)) as figure:
        panels = figure.subplots(len(quantities), 1, sharex=True, squeeze=False)[:, 0]
        for axes, quantity in zip(panels, quantities, strict=True):
            _draw(axes, parts, quantity, looks)
            axes.set_ylabel(quantity.title)
        for part in parts:
            _mark_selected(panels[0], part, quantities[0], selected, looks[part.methods[0]])
        panels[0].set_title(f"Trained on {regime}")
        panels[-1].set_xlabel("update" + (" (ring: the checkpoint that was tested)" if selected else ""))
        for axes in panels:
            axes.margins(x=0.02)
            grid(axes, "both")
        save(figure, path)


def _draw(axes: Axes, curves: list[Curve], quantity: Quantity, looks: Mapping[str, Style]) -> None:
    """Thin lines for seeds, a thick one for their mean; the name at its end."""
    ends = []
    for curve in curves:
        look = looks[curve.methods[0]]
        table = _by_seed(curve, quantity.column) * quantity.scale
        if table.empty:
            continue
        if len(table.columns) > 1:
            axes.plot(table.index, table.to_numpy(), color=look.colour, linewidth=1, alpha=0.45)
        mean = table.mean(axis=1)
        axes.plot(
            mean.index,
            mean.to_numpy(),
            color=look.colour,
            linestyle=look.line,
            linewidth=2.6,
            marker=look.marker if len(mean) == 1 else "",
        )
        ends.append((float(mean.index[-1]), float(mean.iloc[-1]), curve.label, look.colour))
    if not ends:
        axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", va="center", color=GREY)
        return
    _name_ends(axes, ends)


def _by_seed(curve: Curve, column: str) -> pd.DataFrame:
    """Rows: iterations; columns: seeds; finite values of `column`."""
    lines = curve.lines.assign(value=pd.to_numeric(curve.lines[column], errors="coerce"))
    lines = lines[np.isfinite(lines["value"].to_numpy(dtype=np.float64))]
    table = lines.groupby(["iteration", "seed"])["value"].last().unstack("seed")
    assert isinstance(table, pd.DataFrame)
    return table


def _name_ends(axes: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Write each name beside its line's end, moved apart so that none covers another."""
    low, high = axes.get_ylim()
    height = high - low
    places = spread([y for _, y, _, _ in ends], low + 0.03 * height, high - 0.03 * height, 0.068 * height)
    for (x, y, label, colour), place in zip(ends, places, strict=True):
        axes.annotate(
            label,
            (x, y),
            xycoords="data",
            xytext=(1.03, (place - low) / height),
            textcoords="axes fraction",
            va="center",
            color=colour,
            fontsize=13 if len(ends) <= 8 else 11,
            fontweight="bold",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.8,
                "shrinkB": 2,
                "relpos": (0, 0.5),
            },
        )
    axes.set_ylim(low, high)


def spread(values: Iterable[float], low: float, high: float, step: float) -> list[float]:
    """`values` moved as little as need be to lie `step` apart within low..high; closer where they cannot."""
    wanted = np.array(list(values), dtype=np.float64)
    order = np.argsort(wanted, kind="stable")
    step = min(step, (high - low) / max(len(wanted) - 1, 1))
    offsets = step * np.arange(len(wanted))
    # Without the offsets the places must only not fall: the nearest such sequence is the isotonic regression.
    level = np.clip(_isotonic(wanted[order] - offsets), low, high - offsets[-1])
    places = np.empty_like(wanted)
    places[order] = level + offsets
    return [float(place) for place in places]


def _isotonic(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The non-falling sequence nearest to `values` in squares, by pooling neighbours that fall."""
    blocks: list[list[float]] = []
    for value in values:
        blocks.append([float(value), 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, count = blocks.pop()
            before, size = blocks.pop()
            blocks.append([(mean * count + before * size) / (count + size), count + size])
    return np.concatenate([np.full(int(count), mean) for mean, count in blocks])


def _mark_selected(
    axes: Axes, curve: Curve, quantity: Quantity, selected: Mapping[str, int], look: Style
) -> None:
    for _, line in curve.lines.iterrows():
        value = line[quantity.column]
        if selected.get(str(line["run_id"])) == line["iteration"] and pd.notna(value):
            axes.plot(
                line["iteration"],
                quantity.scale * value,
                marker="o",
                markersize=12,
                color=look.colour,
                fillstyle="none",
                markeredgewidth=2,
            )
