"""What the interactive plots are made of: a Vega-Lite plot's frame, colours, shapes, legends, numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.report.style import Style

Spec = dict[str, Any]
"""A Vega-Lite specification as JSON data."""

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""Names the language; nothing is fetched from there."""

SHAPES = {
    **{"o": "circle", "s": "square", "D": "diamond", "^": "triangle-up", "v": "triangle-down"},
    **{"<": "triangle-left", ">": "triangle-right"},
}
"""Matplotlib's markers in Vega's words."""

LEGEND: Spec = {"orient": "top", "columns": {"expr": "width < 500 ? 1 : 4"}, "title": None, "labelLimit": 400}
LINE_LEGEND: Spec = {**LEGEND, "symbolType": "stroke", "symbolSize": 500, "symbolStrokeWidth": 2}
"""One legend of colours and dashes together, as some methods share a colour."""

FEW_TICKS: Spec = {"tickCount": 6, "labelOverlap": True}

DASHES: dict[str, list[int]] = {"-": [1, 0], "--": [8, 4], "-.": [8, 3, 2, 3], ":": [2, 3]}
"""Matplotlib's lines in Vega's words."""


def plot_frame(description: str) -> Spec:
    """The beginning of a plot as wide as its place in the page. description: also its caption."""
    return {
        "$schema": SCHEMA,
        "description": description,
        "width": "container",
        "autosize": {"type": "fit-x", "contains": "padding"},
    }


def colour_channel(names: Sequence[str], looks: Mapping[str, Style]) -> Spec:
    """The channel that colours by `method`."""
    return {
        "field": "method",
        "type": "nominal",
        "scale": {"domain": list(names), "range": [looks[name].colour for name in names]},
        "legend": LEGEND,
    }


def shape_channel(names: Sequence[str], looks: Mapping[str, Style]) -> Spec:
    """The channel that shapes points by `method`."""
    return {
        "field": "method",
        "type": "nominal",
        "scale": {"domain": list(names), "range": [SHAPES[looks[name].marker] for name in names]},
    }


def rounded(value: float) -> float | None:
    """To four places, so that a page is no larger than need be; None for what is no number."""
    return round(float(value), 4) if np.isfinite(value) else None
