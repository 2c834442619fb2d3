"""What a trial scored on its validation episodes, and which trial that chooses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.store import RunFolder, read_episodes

NORMAL_95 = 1.96


@dataclass(frozen=True, kw_only=True)
class Score:
    """Mean accuracy, 0..1, of a trial: each validation source counts the same. half: of its 95 % interval.

    The interval is over the episodes of one training, which all trials share; it says nothing about another seed.
    """

    accuracy: float
    half: float


@dataclass(frozen=True, kw_only=True)
class Unscored:
    """Why a trial has no score. failed: it has been tried and would not work."""

    reason: str
    failed: bool


def score(folder: RunFolder) -> Score | Unscored:
    """Of one trial's run, from its folder alone."""
    if not folder.path.is_dir():
        return Unscored(reason="never started", failed=False)
    episodes, left_out = read_episodes([folder])
    if left_out:
        reason = " ".join(left_out[0].reason.replace(f"{folder.path}/", "").split())
        return Unscored(reason=reason, failed=folder.state == "failed")
    sources = [
        rows["accuracy"].to_numpy(dtype=np.float64) for _, rows in episodes.groupby("source", sort=True)
    ]
    variance = sum(float(np.var(values)) / len(values) for values in sources)
    return Score(
        accuracy=float(np.mean([np.mean(values) for values in sources])),
        half=NORMAL_95 * float(np.sqrt(variance)) / len(sources),
    )


def best(scores: Sequence[Score | Unscored]) -> int | None:
    """The trial with the highest accuracy, the first of equal ones; None where none has a score."""
    scored = [(one.accuracy, -k) for k, one in enumerate(scores) if isinstance(one, Score)]
    return -max(scored)[1] if scored else None
