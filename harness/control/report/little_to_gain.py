"""Where adapting everything is hardly worth anything, that adapting less does as well says little."""

from collections.abc import Iterator, Sequence

import pandas as pd

from harness.control.report.standings import Standing, where
from harness.control.task_statistics import CELL
from harness.report.blocks import Said

LEAD = "Little to gain"


def little_to_gain(judged: pd.DataFrame, standings: Sequence[Standing]) -> Iterator[Said]:
    """A sentence for each cell in which the reference's gain is not clearly above the margin.

    A policy that had learned nothing would be as good there, and be said to reuse features. judged: rows of `verdicts`,
    whose `b` adapts everything.
    """
    cells = [one.cell for one in standings]
    for (name, *cell), rows in judged.groupby(["b", *CELL], sort=False):
        margin = float(rows["margin"].iloc[0])
        for one in standings:
            row = next((row for row in one.rows if row["method"] == name), None)
            if one.cell == tuple(cell) and row is not None and not row["gain"] - row["gain_ci95"] > margin:
                gain = f"{row['gain']:.1f} ± {row['gain_ci95']:.1f}"
                yield Said(
                    LEAD,
                    f"on {where(one.cell, cells)} {name} gains {gain} by adapting, not clearly more than the margin of "
                    f"{margin:g}: a policy that has learned nothing would do as well, so that reuse which holds there "
                    "says little.",
                )
