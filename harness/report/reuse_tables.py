"""Tables about reuse: frames of numbers as rows of text."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from harness.report.markdown import bold
from harness.report.reuse_numbers import NOTHING
from harness.report.reuse_text import signed
from harness.report.reuse_verdicts import EVERYTHING
from harness.report.settings import DASH, Table

DISTANCES = ("within", "between", "spread", "separation")


def verdict_table(rows: pd.DataFrame) -> Table:
    """The verdicts of one pair and place, in the order of `rows` (columns REUSE_COLUMNS)."""
    columns = (
        "Source", "Verdict", "Difference, points", "95 % interval", "d", "In training",
        "Why, and what would settle it",
    )  # fmt: skip
    cells = [
        (
            row["source"],
            bold(row["verdict"]),
            signed(row["difference"]),
            f"{signed(row['low'])} to {signed(row['high'])}" if pd.notna(row["low"]) else DASH,
            _plain(row["d"], "+.2f"),
            "yes" if row["in_training"] else "no",
            f"{row['why']} {row['settle']}".strip(),
        )
        for row in rows.to_dict("records")
    ]
    return Table(columns=columns, rows=tuple(cells))


def fraction_table(rows: pd.DataFrame) -> Table:
    """Reuse fractions with their intervals and the gains that they are made of, and why one is undefined."""
    columns = (
        "Source", "Learner", "Reuse fraction", "95 % interval", "Gain of the head alone, points",
        "Gain of everything, points", "Why there is none",
    )  # fmt: skip
    cells = [
        (
            row["source"],
            row["method"],
            _plain(row["fraction"], ".2f"),
            f"{row['low']:.2f} to {row['high']:.2f}" if pd.notna(row["fraction"]) else DASH,
            signed(row["head_gain"]),
            signed(row["full_gain"]),
            row["reason"],
        )
        for row in rows.to_dict("records")
    ]
    shown = None if any(row[-1] for row in cells) else -1
    return Table(columns=columns[:shown], rows=tuple(row[:shown] for row in cells))


def by_source(rows: pd.DataFrame, sources: Sequence[str], *, difference: bool, name: str) -> Table:
    """Learners and conditions by sources: `mean` ± `ci95` in % or points; the best mean of each learner bold.

    Of differences none is bold; those whose interval leaves out 0 are marked with *.
    """
    there = [source for source in sources if source in set(rows["source"])]
    cells: dict[tuple[str, str], dict[str, str]] = {}
    best = rows.groupby(["method", "source"], sort=False)["mean"].transform("max")
    for row, most in zip(rows.to_dict("records"), best, strict=True):
        text = signed(row["mean"]) if difference else f"{100 * row['mean']:.1f}"
        text += f" ± {100 * row['ci95']:.1f}" if pd.notna(row["ci95"]) else ""
        clear = difference and abs(row["mean"]) > row["ci95"]
        shown = bold(text) if not difference and row["mean"] == most else f"{text} *" if clear else text
        cells.setdefault((row["method"], row["condition"]), {})[row["source"]] = shown
    return Table(
        columns=("Learner", name, *there),
        rows=tuple((*key, *(found.get(source, DASH) for source in there)) for key, found in cells.items()),
    )


def specialisation_table(sides: pd.DataFrame, changed: pd.DataFrame) -> Table:
    """Of one learner and layer: each quantity before and after everything adapts, and the change of the separation.

    sides: rows of `means` and `pooled`, of both conditions; changed: those of `changes`, of the separation.
    """
    values = sides.set_index(["source", "quantity", "condition"])["mean"].to_dict()
    quantities = [name for name in DISTANCES if name in set(sides["quantity"])]
    cells = [
        (
            row["source"],
            *(
                f"{_value(values, row['source'], name, NOTHING)} → {_value(values, row['source'], name, EVERYTHING)}"
                for name in quantities
            ),
            f"{row['mean']:+.3f} ± {row['ci95']:.3f}",
        )
        for row in changed.to_dict("records")
    ]
    return Table(columns=("Source", *quantities, "Change of the separation"), rows=tuple(cells))


def _value(values: Mapping[Any, float], *key: str) -> str:
    return f"{values[key]:#.3g}".rstrip(".") if key in values else DASH


def _plain(value: float, form: str) -> str:
    return DASH if pd.isna(value) else format(value, form)
