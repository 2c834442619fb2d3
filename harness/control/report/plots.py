"""Interactive plots of control experiments: returns before and after, task by task, and under freezing."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from harness.control.report.freezing import Frozen
from harness.control.report.standings import Standing, where
from harness.nested import half_width
from harness.report.panels import natural
from harness.report.plot_parts import FEW_TICKS, Spec, colour_channel, plot_frame, rounded, shape_channel
from harness.report.style import Style

MOST_POINTS = 2_000
"""Tasks of one plot: as many seeds as have no more."""


def _axis(title: str) -> Spec:
    return {"type": "quantitative", "scale": {"zero": False}, "title": title, "axis": FEW_TICKS}


def _texts(*names: str) -> list[Spec]:
    return [{"field": name, "type": "nominal"} for name in names]


def _returns(*names: str) -> list[Spec]:
    return [{"field": name, "type": "quantitative", "format": ".1f"} for name in names]


def return_spec(regime: str, found: Sequence[Standing], looks: Mapping[str, Style]) -> Spec:
    """A row a source, in which the methods lie below one another: before adaptation hollow, after it filled."""
    cells = [one.cell for one in found]
    values = [
        _return_value(row, where(one.cell, cells) + (" †" if one.in_training else ""))
        for one in found
        for row in one.rows
    ]
    methods = sorted({str(value["method"]) for value in values}, key=natural)
    rows: Spec = {
        "y": {
            "field": "source",
            "type": "nominal",
            "sort": list(dict.fromkeys(value["source"] for value in values)),
            "title": None,
            "axis": {"labelLimit": 220},
        },
        "yOffset": {"field": "method", "type": "nominal", "sort": methods},
        "color": colour_channel(methods, looks),
        "tooltip": [
            *_texts("method", "source", "before, 95 % interval", "after, 95 % interval"),
            *_returns("before", "after"),
            *_texts("tasks", "seeds"),
        ],
    }
    x, shape = _axis("return"), shape_channel(methods, looks)
    layers = []
    for name, width, is_filled in (("before", 1, False), ("after", 2, True)):
        ends = {"x": {**x, "field": f"{name} low"}, "x2": {"field": f"{name} high"}}
        layers.append({"mark": {"type": "rule", "strokeWidth": width}, "encoding": {**rows, **ends}})
        mark = {"type": "point", "filled": is_filled, "size": 60, "opacity": 1}
        layers.append({"mark": mark, "encoding": {**rows, "x": {**x, "field": name}, "shape": shape}})
    return {
        **plot_frame(
            f"Return before adaptation (hollow) and after it (filled) with 95 % intervals, trained on {regime}"
        ),
        "height": {"step": 20},
        "data": {"values": values},
        "layer": layers,
    }


def _return_value(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    value: dict[str, Any] = {"method": str(row["method"]), "source": place}
    for name in ("before", "after"):
        low, high = (row[name] + sign * row[f"{name}_ci95"] for sign in (-1, 1))
        value |= {name: rounded(row[name]), f"{name} low": rounded(low), f"{name} high": rounded(high)}
        value[f"{name}, 95 % interval"] = f"{low:.1f} to {high:.1f}"
    return {**value, "tasks": int(row["n_tasks"]), "seeds": int(row["n_seeds"])}


def task_spec(place: str, tasks: pd.DataFrame, looks: Mapping[str, Style]) -> Spec:
    """A point a task and method of one cell: its return after adaptation against that before; dashed: no change.

    Of too many, those of the first seeds, which the caption says.
    """
    seeds = sorted(int(seed) for seed in tasks["seed"].unique())
    kept = max(1, min(len(seeds), MOST_POINTS * len(seeds) // max(len(tasks), 1)))
    shown = tasks[tasks["seed"].isin(seeds[:kept])]
    methods = sorted(map(str, shown["method"].unique()), key=natural)
    values = [
        {
            "method": str(row["method"]),
            "before": rounded(row["return_before"]),
            "after": rounded(row["return_after"]),
            "task": f"{row['episode']}: {row['task']}",
            "seed": int(row["seed"]),
        }
        for row in shown.to_dict("records")
    ]
    both = shown[["return_before", "return_after"]].to_numpy()
    only = f" (the first {kept} of {len(seeds)} seeds)" if kept < len(seeds) else ""
    return {
        **plot_frame(
            f"Return of each task after adaptation against before it, {place}{only}; dashed: no change"
        ),
        "height": 300,
        "layer": [
            {
                "data": {"values": [{"at": rounded(end)} for end in (both.min(), both.max())]},
                "mark": {"type": "line", "strokeDash": [4, 3], "color": "#888"},
                "encoding": {
                    "x": {**_axis("return before adaptation"), "field": "at"},
                    "y": {**_axis("return after adaptation"), "field": "at"},
                },
            },
            {
                "data": {"values": values},
                "mark": {"type": "point", "filled": True, "size": 45, "opacity": 0.8},
                "encoding": {
                    "x": {**_axis("return before adaptation"), "field": "before"},
                    "y": {**_axis("return after adaptation"), "field": "after"},
                    "color": colour_channel(methods, looks),
                    "shape": shape_channel(methods, looks),
                    "tooltip": [*_texts("method", "task", "seed"), *_returns("before", "after")],
                },
            },
        ],
    }


def freeze_spec(place: str, frozen: Sequence[Frozen], looks: Mapping[str, Style]) -> Spec:
    """A row a condition of one cell: the return after adaptation when only these layers adapt."""
    conditions = list(dict.fromkeys(condition for one in frozen for condition in one.means))
    values = []
    for one in frozen:
        for condition, mean in one.means.items():
            low, high = (mean.mean + sign * half_width(mean) for sign in (-1, 1))
            values.append(
                {
                    "method": one.method,
                    "adapted": condition,
                    "return": rounded(mean.mean),
                    "low": rounded(low),
                    "high": rounded(high),
                    "95 % interval": f"{low:.1f} to {high:.1f}",
                    "tasks": mean.n_episodes,
                }
            )
    methods = sorted({one.method for one in frozen}, key=natural)
    shared: Spec = {
        "y": {"field": "adapted", "type": "nominal", "sort": conditions, "title": None},
        "yOffset": {"field": "method", "type": "nominal", "sort": methods},
        "color": colour_channel(methods, looks),
        "tooltip": [*_texts("method", "adapted", "95 % interval"), *_returns("return"), *_texts("tasks")],
    }
    x = _axis("return after adaptation")
    return {
        **plot_frame(f"Return when only these layers adapt, with 95 % intervals over tasks, {place}"),
        "height": {"step": 14},
        "data": {"values": values},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {**shared, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "encoding": {**shared, "x": {**x, "field": "return"}, "shape": shape_channel(methods, looks)},
            },
        ],
    }
