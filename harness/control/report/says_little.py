"""Where reuse that holds says little: there is nothing to gain by adapting, or one of the methods is broken."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.control.report.standings import Standing, where
from harness.control.task_statistics import CELL
from harness.equivalence import HOLDS
from harness.report.blocks import Said

LEAD = "Says little"


def says_little(judged: pd.DataFrame, standings: Sequence[Standing], unadapted: str) -> Iterator[Said]:
    """A sentence for each verdict that reuse holds, and what it would hold of anyway.

    judged: rows of `verdicts`, whose `b` adapts everything. unadapted: the method that adapts nothing, a control.
    """
    cells = [one.cell for one in standings]
    by_cell = {one.cell: {str(row["method"]): row for row in one.rows} for one in standings}
    for verdict in judged[judged["verdict"] == HOLDS].to_dict("records"):
        cell = tuple(verdict[key] for key in CELL)
        rows = by_cell.get(cell, {})
        if verdict["a"] in rows and verdict["b"] in rows:
            reasons = list(
                _reasons(rows[verdict["a"]], rows[verdict["b"]], rows.get(unadapted), verdict["margin"])
            )
            if reasons:
                yield Said(LEAD, f"that reuse holds on {where(cell, cells)}: {'; '.join(reasons)}.")


def _reasons(
    less: Mapping[str, Any], full: Mapping[str, Any], control: Mapping[str, Any] | None, margin: float
) -> Iterator[str]:
    gain, half = full["gain"], full["gain_ci95"]
    said = f"{gain:.1f} ± {half:.1f}"
    if gain + half <= margin:
        yield (
            f"{full['method']} gains {said} by adapting, no more than the margin of {margin:g}, so that a policy that "
            "has learned nothing would do as well"
        )
    elif not gain - half > margin:
        yield (
            f"whether {full['method']} gains more than the margin of {margin:g} by adapting cannot be told ({said}), "
            "and if it does not, a policy that has learned nothing would do as well"
        )
    if not less["gain"] and not less["gain_ci95"]:
        yield f"{less['method']} is not changed by adaptation at all, so that it shows nothing of adapting less"
    if control is not None and full["after"] + full["after_ci95"] < control["after"] - control["after_ci95"]:
        yield (
            f"{full['method']} is worse after adaptation ({full['after']:.1f}) than {control['method']} "
            f"({control['after']:.1f}), so that to be as good as it takes little"
        )
