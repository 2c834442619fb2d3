"""Frames in, frames out: returns before and after adaptation, and verdicts on pairs of methods, by task and seed."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from harness.equivalence import UNTESTED, holm, margin_tests, verdict_of
from harness.nested import NestedMean, half_width, nested_mean

CELL = ["trained_on", "source", "split", "horizon"]
"""What makes a cell: methods are compared within one."""

VERDICT_COLUMNS = [
    *("a", "b", *CELL, "difference", "ci95", "n_tasks", "n_seeds"),
    *("margin", "p_not_worse", "p_worse_holm", "verdict"),
]

FEWEST_PAIRS = 20
"""Fewer tasks get no test, as of images."""


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a method and cell of a frame of TASK_COLUMNS: returns and their gain, with 95 % half-widths by `nested`.

    Columns: method, those of CELL, `before`, `after`, `gain`, each with `_ci95`, then `seed_sd` (the standard deviation
    over seeds of the mean return after, NaN for one), n_tasks (of all seeds), n_seeds, dropped.
    """
    rows = []
    for key, cell in frame.groupby(["method", *CELL], sort=True):
        seeds = cell["seed"].to_numpy(np.int64)
        row: dict[str, object] = dict(zip(["method", *CELL], key, strict=True))
        gain = cell["return_after"] - cell["return_before"]
        for name, values in (
            ("before", cell["return_before"]),
            ("after", cell["return_after"]),
            ("gain", gain),
        ):
            mean = nested_mean(values.to_numpy(np.float64), seeds)
            row |= {name: mean.mean, f"{name}_ci95": half_width(mean)}
        row["seed_sd"] = float(cell.groupby("seed")["return_after"].mean().std(ddof=1))
        row |= {"n_tasks": len(cell), "n_seeds": len(set(seeds)), "dropped": int(cell["dropped"].sum())}
        rows.append(row)
    return pd.DataFrame(rows)


def verdicts(frame: pd.DataFrame, pairs: Sequence[tuple[str, str]], *, margin: float) -> pd.DataFrame:
    """One row a pair (a, b) and cell: `difference` in return after adaptation, a minus b, on the tasks both met.

    a is what adapts less. `verdict` is one of `equivalence.VERDICTS`, at a margin in units of return, corrected over
    the cells of a pair and training as verdicts on images are; `ci95` a half-width. p_not_worse: of a being worse by
    the margin or more; p_worse_holm: of its not being worse by more, corrected; NaN where nothing can be tested.
    """
    rows = []
    for a, b in pairs:
        for trained_on, of_training in frame.groupby("trained_on", sort=True):
            found = list(differences(of_training, a, b))
            tests = []
            for _, mean in found:
                testable = mean.n_episodes >= FEWEST_PAIRS and mean.episode_df > 0
                tests.append(margin_tests(mean, margin) if testable else UNTESTED)
            worse = holm([test.worse for test in tests])
            for (cell, mean), test, corrected in zip(found, tests, worse, strict=True):
                rows.append(
                    {
                        "a": a,
                        "b": b,
                        "trained_on": trained_on,
                        **cell,
                        "difference": mean.mean,
                        "ci95": half_width(mean),
                        "n_tasks": mean.n_episodes,
                        "n_seeds": mean.n_seeds,
                        "margin": margin,
                        "p_not_worse": test.not_worse,
                        "p_worse_holm": float(corrected),
                        "verdict": verdict_of(test, float(corrected)),
                    }
                )
    return pd.DataFrame(rows, columns=pd.Index(VERDICT_COLUMNS))


def differences(frame: pd.DataFrame, a: str, b: str) -> Iterator[tuple[dict[str, object], NestedMean]]:
    """Of one training: (source, split, horizon) -> return after adaptation of a minus b, on the tasks both met."""
    keys = ["source", "split", "horizon", "fingerprint", "protocol_version", "seed", "episode"]
    sides = [frame[frame["method"] == name].set_index(keys)["return_after"] for name in (a, b)]
    paired = pd.concat(sides, axis=1, keys=["a", "b"], join="inner").reset_index()
    for key, cell in paired.groupby(["source", "split", "horizon"], sort=True):
        values = (cell["a"] - cell["b"]).to_numpy(np.float64)
        mean = nested_mean(values, cell["seed"].to_numpy(np.int64))
        yield dict(zip(("source", "split", "horizon"), key, strict=True)), mean
