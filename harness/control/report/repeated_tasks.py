"""Test tasks that are the same few again: a source of two directions has no more than two."""

from collections.abc import Iterator, Sequence

import pandas as pd

from harness.control.report.standings import Standing, where
from harness.control.task_statistics import CELL
from harness.report.blocks import Said

LEAD = "Few tasks"
MOST_NAMED = 4
"""Different tasks that are named one by one."""


def repeated_tasks(tasks: pd.DataFrame, standings: Sequence[Standing]) -> Iterator[Said]:
    """A sentence for each cell whose test tasks are no more than half as many different ones.

    tasks: columns of TASK_COLUMNS. Single tasks that are written alike, being rounded, do not count.
    """
    cells = [one.cell for one in standings]
    for one in standings:
        own = tasks[(tasks[CELL] == list(one.cell)).all(axis=1)]
        drawn = own.drop_duplicates(["seed", "episode"])
        different = drawn["task"].value_counts().sort_index()
        if 2 * len(different) > len(drawn):
            continue
        counts = ", ".join(f"{name}: {count}" for name, count in different.items())
        named = f" ({counts})" if len(different) <= MOST_NAMED else ""
        yield Said(
            LEAD,
            f"on {where(one.cell, cells)} the {len(drawn):,} test tasks are {len(different):,} different ones, drawn "
            f"again and again{named}: intervals over tasks are over repetitions, and say nothing of other tasks.",
        )
