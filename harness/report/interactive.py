"""Interactive plots as Vega-Lite specifications: plain data, drawn by the page itself."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from harness.report.curve_figure import OF_IMAGES, Quantity, curves_of
from harness.report.panels import Entry, Panel
from harness.report.plot_parts import (
    DASHES,
    FEW_TICKS,
    LEGEND,
    LINE_LEGEND,
    SCHEMA,
    Spec,
    colour_channel,
    plot_frame,
    rounded,
    shape_channel,
)
from harness.report.sizes import Size, by_size, sources_of
from harness.report.style import Style

ROW = 14
"""Pixels a method of a source takes."""


def accuracy_spec(
    panel: Panel, regime: str, in_training: Mapping[str, frozenset[str]], looks: Mapping[str, Style]
) -> Spec:
    """Accuracy on each source with 95 % intervals, of the methods trained on `regime`; chance as a grey line."""
    near = in_training.get(regime, frozenset())
    entries = [entry for entry in panel.entries if entry.trained_on == regime]
    rows = [_point(panel, entry, source, source in near) for entry in entries for source in panel.sources]
    values = [row for row in rows if row]
    order = [_label(source, source in near) for source in panel.sources]
    methods = [entry.method for entry in entries]
    rows_of = _rows_of_methods(values) if len(panel.sources) == 1 else _rows_of_sources(order, methods)
    tooltip = [
        {"field": name, "type": kind, **extra}
        for name, kind, extra in (
            ("method", "nominal", {}),
            ("source", "nominal", {}),
            ("accuracy", "quantitative", {"format": ".1f", "title": "accuracy, %"}),
            ("interval", "nominal", {"title": "95 % interval"}),
            ("episodes", "quantitative", {}),
            ("seeds", "quantitative", {}),
        )
    ]
    shared = {**rows_of, "color": colour_channel(methods, looks), "tooltip": tooltip}
    shapes = shape_channel(methods, looks)
    if len(panel.sources) == 1:  # the axis names the methods
        shared["color"], shapes = {**shared["color"], "legend": None}, {**shapes, "legend": None}
    x = {"type": "quantitative", "scale": {"zero": False}, "title": "accuracy, %"}
    return {
        **plot_frame(f"Accuracy per source with 95 % intervals, trained on {regime}, {panel.heading}"),
        "height": {"step": ROW},
        "data": {"values": values},
        "layer": [
            _chance(panel, order, methods, rows_of),
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {**shared, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "encoding": {**shared, "x": {**x, "field": "accuracy"}, "shape": shapes},
            },
        ],
    }


def _chance(panel: Panel, labels: Sequence[str], methods: Sequence[str], rows: Spec) -> Spec:
    """What guessing gets on each source: a mark in each of its rows."""
    values = [
        {"source": label, "method": method, "chance": rounded(100 * panel.chances[source])}
        for source, label in zip(panel.sources, labels, strict=True)
        for method in methods
    ]
    tip = [
        {"field": "source", "type": "nominal"},
        {"field": "chance", "type": "quantitative", "format": ".1f", "title": "guessing gets, %"},
    ]
    return {
        "data": {"values": values},
        "mark": {"type": "tick", "orient": "vertical", "thickness": 2, "color": "#888", "size": ROW},
        "encoding": {**rows, "x": {"field": "chance", "type": "quantitative"}, "tooltip": tip},
    }


def _rows_of_sources(sources: Sequence[str], methods: Sequence[str]) -> Spec:
    """A row a source, in which the methods lie below one another."""
    return {
        "y": {
            "field": "source",
            "type": "nominal",
            "sort": list(sources),
            "title": None,
            "axis": {"labelLimit": 220},
        },
        "yOffset": {"field": "method", "type": "nominal", "sort": list(methods)},
    }


def _rows_of_methods(values: Sequence[Spec]) -> Spec:
    """Of one source: a row a method, the most accurate first."""
    ranked = sorted(values, key=lambda row: -(row["accuracy"] or 0.0))
    methods = [row["method"] for row in ranked]
    return {
        "y": {
            "field": "method",
            "type": "nominal",
            "sort": methods,
            "title": ranked[0]["source"] if ranked else None,
            "axis": {"labelLimit": 220},
        }
    }


def _point(panel: Panel, entry: Entry, source: str, near: bool) -> Spec | None:
    cell = panel.cells.get((entry, source))
    if cell is None:
        return None
    low, high = (100 * (cell.accuracy + sign * cell.ci95) for sign in (-1, 1))
    return {
        "method": entry.method,
        "source": _label(source, near),
        "accuracy": rounded(100 * cell.accuracy),
        "low": rounded(low),
        "high": rounded(high),
        "interval": f"{low:.1f} to {high:.1f}",
        "episodes": int(cell.n_episodes),
        "seeds": int(cell.n_seeds),
    }


def _label(source: str, near: bool) -> str:
    return f"{source} †" if near else source


def curve_specs(
    regime: str,
    curves: pd.DataFrame,
    looks: Mapping[str, Style],
    quantities: Sequence[Quantity] = OF_IMAGES,
) -> list[Spec]:
    """Each quantity over the updates: the mean over seeds of each training."""
    parts = curves_of(curves, quantities)
    labels = [part.label for part in parts]
    own = {part.label: looks[part.methods[0]] for part in parts}
    found = []
    for quantity in quantities:
        title, values = quantity.title, []
        for part in parts:
            numbers = pd.to_numeric(part.lines[quantity.column], errors="coerce") * quantity.scale
            lines = part.lines.assign(value=numbers).dropna(subset=["value"])
            means = lines.groupby("iteration", as_index=False)["value"].mean()
            values += [
                {"training": part.label, "update": int(update), "value": rounded(value)}
                for update, value in zip(means["iteration"], means["value"], strict=True)
            ]
        if not values:
            continue
        found.append(
            {
                **plot_frame(f"{title}, trained on {regime}"),
                "height": 240,
                "data": {"values": values},
                "mark": {"type": "line", "point": {"size": 18}, "strokeWidth": 2},
                "encoding": {
                    "x": {"field": "update", "type": "quantitative", "axis": FEW_TICKS},
                    "y": {"field": "value", "type": "quantitative", "scale": {"zero": False}, "title": title},
                    "color": {**colour_channel(labels, own), "field": "training", "legend": LINE_LEGEND},
                    "strokeDash": {
                        "field": "training",
                        "type": "nominal",
                        "scale": {"domain": labels, "range": [DASHES[own[label].line] for label in labels]},
                        "legend": LINE_LEGEND,
                    },
                    "tooltip": [
                        {"field": "training", "type": "nominal"},
                        {"field": "update", "type": "quantitative"},
                        {"field": "value", "type": "quantitative", "format": ".4f", "title": title},
                    ],
                },
            }
        )
    return found


def _ends(accuracy: float, half: float) -> dict[str, float | None]:
    """Of an interval, within what an accuracy can be: few episodes of two seeds give wide ones."""
    low, high = np.clip([accuracy - half, accuracy + half], 0, 100)
    return {"low": rounded(low), "high": rounded(high)}


def size_spec(panel: Panel, regime: str, size: Size, looks: Mapping[str, Style]) -> Spec | None:
    """Accuracy against the ways, or the mean shots, of episodes of varying size, a part a source; None where they do
    not vary. A point is a group of episodes: its mean size, its mean accuracy with the interval over its episodes.
    """
    rows = by_size(panel, regime, size)
    if rows.empty:
        return None
    methods = [entry.method for entry in panel.entries if entry.trained_on == regime]
    x = {"field": "size", "type": "quantitative", "title": size.name, "scale": {"zero": False, "type": "log"}}
    x |= {"axis": {"tickCount": 4, "labelOverlap": True}}
    y = {"type": "quantitative", "scale": {"zero": False}, "title": "accuracy, %"}
    colour = {**colour_channel(methods, looks), "legend": {**LEGEND, "columns": 3}}
    values = [
        {
            **{key: row[key] for key in ("source", "method", "episodes")},
            "size": rounded(row["size"]),
            "accuracy": rounded(row["accuracy"]),
            **_ends(row["accuracy"], row["ci"]),
        }
        for row in rows.to_dict("records")
    ]
    tooltip = [
        {"field": "method", "type": "nominal"},
        {"field": "size", "type": "quantitative", "format": ".1f", "title": size.name},
        {"field": "accuracy", "type": "quantitative", "format": ".1f", "title": "accuracy, %"},
        {"field": "episodes", "type": "quantitative"},
    ]
    marks: list[tuple[Spec, Spec]] = [
        ({"type": "line", "strokeWidth": 2}, {"y": {**y, "field": "accuracy"}}),
        ({"type": "rule", "strokeWidth": 1.5}, {"y": {**y, "field": "low"}, "y2": {"field": "high"}}),
        (
            {"type": "point", "filled": True, "size": 40, "opacity": 1},
            {"y": {**y, "field": "accuracy"}, "shape": shape_channel(methods, looks), "tooltip": tooltip},
        ),
    ]
    return {
        "$schema": SCHEMA,
        "description": f"Accuracy against {size.name}, source by source, trained on {regime}, {panel.heading}",
        "data": {"values": values},
        "facet": {"field": "source", "type": "nominal", "sort": sources_of(rows, panel), "title": None},
        "columns": 4,
        "spec": {
            **{"width": 210, "height": 150},
            "layer": [{"mark": mark, "encoding": {"x": x, "color": colour, **own}} for mark, own in marks],
        },
    }
