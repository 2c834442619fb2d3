"""What of a policy's gain is left when only some of its layers adapt: the freezing probe, with paired intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.masks import BODY_ONLY, EVERYTHING, HEAD_ONLY
from harness.nested import NestedMean, half_width, nested_mean

QUANTITY = "return"
PLACE = ["method", "trained_on", "source", "split"]


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """One method and cell: the mean return under each condition, and what conditions cost against `everything`.

    cell: as in `task_statistics.CELL`; means: condition -> its mean; less: condition -> everything less it, paired.
    """

    method: str
    cell: tuple[Any, ...]
    means: dict[str, NestedMean]
    less: dict[str, NestedMean]

    @property
    def sentence(self) -> str:
        """What freezing the body, or the head, costs, in words."""
        everything = self.means[EVERYTHING]
        parts = []
        for condition, words in ((HEAD_ONLY, "the head alone"), (BODY_ONLY, "the body alone")):
            if condition in self.less:
                cost = self.less[condition]
                clear = abs(cost.mean) > half_width(cost)
                said = f"{abs(cost.mean):.1f} ± {half_width(cost):.1f} {'less' if cost.mean > 0 else 'more'}"
                parts.append(
                    f"with {words} adapting it gets {said if clear else f'no clear difference ({_signed(cost)})'}"
                )
        return (
            f"{everything.mean:.1f} with everything adapting; {'; '.join(parts)} "
            f"({everything.n_episodes} tasks, {everything.n_seeds} {'seed' if everything.n_seeds == 1 else 'seeds'})."
        )


def _signed(cost: NestedMean) -> str:
    return f"{-cost.mean:+.1f} ± {half_width(cost):.1f}"


def frozen_returns(probes: pd.DataFrame, tasks: pd.DataFrame) -> list[Frozen]:
    """Of every method and cell on which freezing was measured, those that freezing changes at all.

    tasks: whose horizons name the cells.
    """
    rows = probes[(probes["quantity"] == QUANTITY) & probes["value"].notna()]
    horizons = tasks.groupby(["trained_on", "source", "split"])["horizon"].first().to_dict()
    found = []
    for key, own in rows.groupby(PLACE, sort=True):
        method, *where = key
        table = own.pivot_table(
            index=["seed", "episode"], columns="condition", values="value", aggfunc="first", sort=False
        )
        if EVERYTHING not in table or table.nunique(axis=1).max() == 1:
            continue
        means, less = {}, {}
        for condition in table.columns:
            means[str(condition)] = _mean(table[condition])
            if condition != EVERYTHING:
                less[str(condition)] = _mean(table[EVERYTHING] - table[condition])
        cell = (*where, horizons.get(tuple(where)))
        found.append(Frozen(method=str(method), cell=cell, means=means, less=less))
    return found


def fewer_tasks(probes: pd.DataFrame, tasks: pd.DataFrame) -> str:
    """That freezing was measured on a part of the test tasks, whose means are others than those of all; or nothing."""
    place = ["source", "split"]
    measured = probes[probes["quantity"] == QUANTITY].groupby(place)["episode"].nunique()
    counts = pd.DataFrame(
        {"measured": measured, "tested": tasks.groupby(place)["episode"].nunique()}
    ).dropna()
    fewer = (
        counts[counts["measured"] < counts["tested"]]
        .astype("int64")
        .drop_duplicates()
        .sort_values(["measured", "tested"])
    )
    if fewer.empty:
        return ""
    said = " or ".join(f"the first {row['measured']} of {row['tested']}" for row in fewer.to_dict("records"))
    return f"Measured on {said} test tasks of a source, so that means are not those of all, which are under Returns."


def _mean(values: pd.Series) -> NestedMean:
    known = values.dropna()
    seeds = known.index.get_level_values("seed").to_numpy(dtype=np.int64)
    return nested_mean(known.to_numpy(dtype=np.float64), seeds)
