"""Frames in, frames out: means with intervals, and differences between methods on the same episodes.

**Intervals.** With one seed the interval is Meta-Dataset's: 1.96 · std / √n over the episodes, ddof = 0.
It says how much another draw of test episodes would move the mean, and nothing about another training. With
several seeds it is the larger of that interval over the pooled episodes and the t interval over the seeds'
means, t(0.975, s - 1) · std(means, ddof = 1) / √s: episodes of one trained network are not independent trials
of the method, so hundreds of them must not hide that the seeds disagree. Two seeds give a wide interval; that
is what two seeds can say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from harness.episode import FIXED, has_fixed_way
from harness.errors import ConfigError, named_choices
from harness.pairing import MUST_AGREE, pair_episodes, refuse_repeats, said
from harness.results import CONDITIONS, EPISODE_COLUMNS, LEADERBOARD_COLUMNS, LEADERBOARD_KEYS

DIFFERENCE_KEYS = ("trained_on", "source", "split", "n_way", "shots")

DIFFERENCE_COLUMNS = (*DIFFERENCE_KEYS, "difference", "ci95", "n_episodes", "n_seeds")
"""Columns of `paired_differences`; `difference` is mean accuracy of a minus that of b, in -1..1."""

_TYPES = {
    **EPISODE_COLUMNS,
    "n_way": "Int64",
    "shots": "Float64",
    "difference": "float64",
    "ci95": "float64",
    "n_episodes": "int64",
    "n_seeds": "int64",
}


@dataclass(frozen=True, kw_only=True)
class CellDifference:
    """The mean of the paired differences of two methods on one source, half its 95 % interval, and the pairs."""

    difference: float
    ci95: float
    n_episodes: int


def with_shots(episodes: pd.DataFrame) -> pd.DataFrame:
    """`episodes` with the column `shots`, n_support / n_way: support images per class.

    `shots` and `n_way` are empty where the protocol varies them: they then say nothing about a row.
    """
    fixed = episodes["protocol"] == FIXED
    given = [protocol for protocol in episodes["protocol"].unique() if has_fixed_way(protocol)]
    shots = (episodes["n_support"] / episodes["n_way"]).astype("Float64")
    ways = episodes["n_way"].astype("Int64")
    return episodes.assign(
        shots=shots.where(fixed),
        n_way=ways.where(fixed | episodes["protocol"].isin(given)),
    )


def interval(values: npt.NDArray[np.float64], seeds: npt.NDArray[np.int64]) -> float:
    """Half the width of the 95 % interval of the mean of `values` [n], measured under `seeds` [n].

    One seed: 1.96 · std / √n, ddof = 0. Several: the larger of that and the t interval over seed means (see
    the module's docstring). NaN for no values.
    """
    if not len(values):
        return float("nan")
    pooled = 1.96 * float(np.std(values)) / float(np.sqrt(len(values)))
    names, index = np.unique(seeds, return_inverse=True)
    if len(names) < 2:
        return pooled
    means = np.bincount(index, weights=values) / np.bincount(index)
    factor = float(stdtrit(len(names) - 1, 0.975))
    return max(pooled, factor * float(np.std(means, ddof=1)) / float(np.sqrt(len(names))))


def leaderboard(episodes: pd.DataFrame) -> pd.DataFrame:
    """One row per LEADERBOARD_KEYS and CONDITIONS, columns LEADERBOARD_COLUMNS, sorted by them.

    `accuracy` is the mean over the episodes of all seeds, 0..1; `ci95` half its interval (see `interval`).
    What was measured under other conditions is another row, never merged.

    Raises ConfigError when an episode was measured twice under one row (two runs claim the same place), or
    when a row would mix networks.
    """
    frame = with_shots(episodes)
    keys = [*LEADERBOARD_KEYS, *CONDITIONS]
    refuse_repeats(frame, keys)
    rows = []
    for key, group in frame.groupby(keys, sort=True, dropna=False):
        assert isinstance(key, tuple)
        row = dict(zip(keys, key, strict=True))
        if group["network"].nunique() > 1:
            raise ConfigError(
                f"The row {said(row, LEADERBOARD_KEYS)} would mix the networks "
                f"{named_choices(group['network'].unique())}. Report the runs of one network at a time."
            )
        rows.append({**row, **_measured(group, "accuracy", "accuracy")})
    return _frame(rows, LEADERBOARD_COLUMNS)


def paired_differences(episodes: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """Mean accuracy of method `a` minus method `b` on the very same episodes, columns DIFFERENCE_COLUMNS.

    One row per DIFFERENCE_KEYS where both methods have episodes in common, paired on (seed, episode); `ci95`
    is half the 95 % interval of the mean of the paired differences (see `interval`), `n_episodes` the number
    of pairs. Episodes that only one of the two has are not used.

    Raises ConfigError for an unknown method, and where the two were not measured alike: MUST_AGREE or the
    number of queries of an episode differs, or an episode was measured twice.
    """
    both = pair_episodes(
        with_shots(episodes),
        a,
        b,
        keys=DIFFERENCE_KEYS,
        must_agree=(*MUST_AGREE, "n_query"),
        condition="method",
    )
    rows = []
    for key, group in both.groupby(list(DIFFERENCE_KEYS), sort=True, dropna=False):
        assert isinstance(key, tuple)
        rows.append(
            {**dict(zip(DIFFERENCE_KEYS, key, strict=True)), **_measured(group, "difference", "difference")}
        )
    return _frame(rows, DIFFERENCE_COLUMNS)


def cell_differences(cell: pd.DataFrame, a: str, others: Sequence[str]) -> dict[str, CellDifference]:
    """`paired_differences` of a and each of `others`, all of which were measured in one cell, at once.

    cell: the episodes that share their DIFFERENCE_KEYS. Missing are those that `paired_differences` would refuse, and
    those without an episode in common; all are where `cell` is no single cell. It is there since the frames
    of `paired_differences` take a hundred times as long as the sums.
    """
    if (cell[list(DIFFERENCE_KEYS)].nunique(dropna=False) != 1).any():
        return {}
    columns = (*MUST_AGREE, "n_query")
    alike = np.stack([pd.factorize(cell[name], use_na_sentinel=False)[0] for name in columns], axis=1)
    seed, episode = (pd.factorize(cell[name])[0] for name in ("seed", "episode"))
    place = seed * (int(episode.max()) + 1) + episode
    accuracy, seeds = cell["accuracy"].to_numpy(np.float64), cell["seed"].to_numpy(np.int64)
    rows = {name: np.flatnonzero(cell["method"] == name) for name in (a, *others)}
    once = [name for name, own in rows.items() if len(np.unique(place[own])) == len(own)]
    found = {}
    for name in others if a in once else ():
        partner = np.full(int(place.max()) + 1, -1)
        partner[place[rows[name]]] = rows[name]
        left = rows[a][partner[place[rows[a]]] >= 0]
        right = partner[place[left]]
        if name in once and len(left) and np.array_equal(alike[left], alike[right]):
            values = accuracy[left] - accuracy[right]
            found[name] = CellDifference(
                difference=float(np.mean(values)), ci95=interval(values, seeds[left]), n_episodes=len(values)
            )
    return found


def _measured(group: pd.DataFrame, column: str, name: str) -> dict[str, float | int]:
    values = group[column].to_numpy(dtype=np.float64)
    seeds = group["seed"].to_numpy(dtype=np.int64)
    return {
        name: float(np.mean(values)),
        "ci95": interval(values, seeds),
        "n_episodes": len(values),
        "n_seeds": len(np.unique(seeds)),
    }


def _frame(rows: list[dict[str, object]], columns: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=pd.Index(columns))
    return frame.astype({column: _TYPES[column] for column in columns})
