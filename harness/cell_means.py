"""Means of many cells at once, with the intervals of `nested`: what `nested_mean` says, cell by cell.

Frames of probes have tens of thousands of cells, so the sums are taken by group and not by a loop.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from harness.nested import ROUNDING, Floats

MEAN_COLUMNS = ("mean", "ci95", "n_episodes", "n_seeds")


def cell_means(frame: pd.DataFrame, keys: Sequence[str], value: str = "value") -> pd.DataFrame:
    """One row per value of `keys`, sorted by them: these columns, categories as texts, and MEAN_COLUMNS.

    `frame` has the columns `keys`, seed and `value`, one row an episode; rows whose value is NaN are left out.
    mean: of the seeds' means. ci95: half the interval of `nested.half_width`; NaN where no seed has two values
    and there is one seed.
    """
    wanted = list(keys)
    known = frame.loc[frame[value].notna(), [*wanted, "seed", value]]
    for key in wanted:  # sorting texts once, not for each group
        if isinstance(known[key].dtype, pd.StringDtype):
            known[key] = known[key].astype("category")
    grouped = known.groupby([*wanted, "seed"], sort=True, dropna=False, observed=True)[value]
    seeds = grouped.agg(["size", "mean", "var"]).reset_index()
    seeds["squares"] = seeds["var"].fillna(0.0) * (seeds["size"] - 1)
    seeds["inverse"] = 1 / seeds["size"]
    cells = (
        seeds.groupby(wanted, sort=True, dropna=False, observed=True)
        .agg(
            mean=("mean", "mean"), between=("mean", "var"), n_episodes=("size", "sum"),
            n_seeds=("size", "size"), squares=("squares", "sum"), inverse=("inverse", "sum"),
        )
        .reset_index()
    )  # fmt: skip
    columns = ("n_episodes", "n_seeds", "squares", "inverse", "between")
    total, count, squares, inverse, between = (cells[name].to_numpy(dtype=np.float64) for name in columns)
    cells["ci95"] = _half_widths(total - count, squares, inverse, between, count)
    for key in wanted:
        kind = frame[key].dtype
        cells[key] = cells[key].astype("string" if isinstance(kind, pd.CategoricalDtype) else kind)
    return cells[[*wanted, *MEAN_COLUMNS]]


def _half_widths(df: Floats, squares: Floats, inverse: Floats, between: Floats, count: Floats) -> Floats:
    """`nested.half_width` of every cell: the wider of the episodes' and the seeds' t interval."""
    with np.errstate(divide="ignore", invalid="ignore"):
        within = _cleared(np.where(df > 0, squares / df, np.nan))
        episodes = np.sqrt(within * inverse) / count * stdtrit(df, 0.975)
        seeds = np.sqrt(_cleared(between) / count) * stdtrit(count - 1, 0.975)
    found: Floats = np.fmax(np.where(df > 0, episodes, np.nan), np.where(count > 1, seeds, np.nan))
    return found


def _cleared(variances: Floats) -> Floats:
    cleared: Floats = np.where(variances < ROUNDING**2, 0.0, variances)
    return cleared
