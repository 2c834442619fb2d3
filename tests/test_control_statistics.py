"""Means, intervals and verdicts of returns: over tasks and seeds, in pairs."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.control.task_statistics import summary, verdicts
from harness.nested import half_width, nested_mean


def frame(gaps: dict[str, float], *, seeds: int = 3, tasks: int = 30) -> pd.DataFrame:
    """Rows of methods whose return after adaptation is better than that of the tasks by `gaps`, and noise."""
    rng = np.random.default_rng(0)
    levels = rng.normal(size=(seeds, tasks)) * 5
    rows: list[dict[str, Any]] = []
    for method, gap in gaps.items():
        for (seed, task), level in np.ndenumerate(levels):
            after = level + gap + 0.1 * rng.normal()
            rows.append(
                {
                    "method": method, "trained_on": "t", "source": "s", "split": "test", "horizon": 10, "seed": seed,
                    "episode": task, "fingerprint": "f", "protocol_version": 3, "return_before": level - 1,
                    "return_after": after, "dropped": 0,
                }
            )  # fmt: skip
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def test_verdicts_are_paired_by_task_and_seed() -> None:
    table = verdicts(
        frame({"maml": 0.0, "anil": -0.1, "none": -3.0}), [("anil", "maml"), ("none", "maml")], margin=0.5
    )
    assert table["verdict"].tolist() == ["reuse holds", "reuse fails"]
    assert table["difference"].tolist() == pytest.approx([-0.1, -3.0], abs=0.05)
    assert [p < 0.05 for p in table["p_not_worse"]] == [True, False]
    assert [p < 0.05 for p in table["p_worse_holm"]] == [False, True]
    assert (table["ci95"] < 0.3).all()  # of unpaired returns it would be over 1
    few = verdicts(frame({"maml": 0.0, "anil": 0.0}, seeds=1, tasks=10), [("anil", "maml")], margin=0.5)
    assert few["verdict"].tolist() == ["inconclusive"]


def test_the_summary_is_of_seeds_and_tasks() -> None:
    rows = frame({"maml": 2.0})
    got = summary(rows).iloc[0]
    mean = nested_mean(rows["return_after"].to_numpy(), rows["seed"].to_numpy())
    assert got["after"] == pytest.approx(rows["return_after"].mean())
    assert got["after_ci95"] == pytest.approx(half_width(mean))
    assert got["gain"] == pytest.approx((rows["return_after"] - rows["return_before"]).mean())
    assert got["seed_sd"] == pytest.approx(np.std(rows.groupby("seed")["return_after"].mean(), ddof=1))
    assert (got["n_tasks"], got["n_seeds"]) == (90, 3)
