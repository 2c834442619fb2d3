"""Accuracy against the size of episodes, where the protocol draws it: ways, and shots.

Each source by itself: sources differ in how many classes and images they have, so that of all together a large size
would stand for the few sources that reach it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.report.panels import Panel
from harness.statistics import interval

FEWEST = 5
"""Episodes that a point stands for at least."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """name: of the axis. edges: where groups of episodes begin, on all sources, so that these can be compared.

    whole: whether sizes are whole numbers.
    """

    name: str
    edges: tuple[float, ...]
    whole: bool = False

    @property
    def groups(self) -> tuple[str, ...]:
        """What the groups are called: `6 to 10` of whole sizes, else `5 to <10`, and at last `50 and more`."""
        ends = zip(self.edges, self.edges[1:], strict=False)
        names = (f"{low:g} to {high - 1:g}" if self.whole else f"{low:g} to <{high:g}" for low, high in ends)
        return (*names, f"{self.edges[-1]:g} and more")


WAYS = Size(name="ways", edges=(2, 6, 11, 21, 36), whole=True)
SHOTS = Size(name="mean shots a class", edges=(1, 2, 5, 10, 20, 50))
SIZES = (WAYS, SHOTS)


def by_size(panel: Panel, regime: str, size: Size) -> pd.DataFrame:
    """A row a source, method and group of episodes of the methods trained on `regime`, in this order.

    Columns source, method, group (its place), size (the mean), accuracy and ci (half the 95 % interval), in percent,
    and episodes. Of a source only where two groups have episodes enough; empty where that is so of none.
    """
    episodes = panel.episodes[panel.episodes["trained_on"] == regime]
    values = episodes["ways"] if size is WAYS else episodes["n_support"] / episodes["ways"]
    frame = episodes.assign(size=values.astype("float64"))
    frame = frame.assign(group=np.searchsorted(size.edges[1:], frame["size"], side="right"))
    points = [
        {"source": str(source), "method": str(method), "group": group, **_point(own)}
        for (source, method, group), own in frame.groupby(["source", "method", "group"], observed=True)
        if len(own) >= FEWEST
    ]
    rows = pd.DataFrame(points, columns=["source", "method", "group", "size", "accuracy", "ci", "episodes"])
    return rows[rows.groupby("source")["group"].transform("nunique") > 1].reset_index(drop=True)


def sources_of(rows: pd.DataFrame, panel: Panel) -> Sequence[str]:
    """Those that have rows, in the panel's order."""
    return [source for source in panel.sources if (rows["source"] == source).any()]


def _point(own: pd.DataFrame) -> dict[str, float]:
    accuracy = own["accuracy"].to_numpy(dtype=np.float64)
    half = interval(accuracy, own["seed"].to_numpy(dtype=np.int64))
    return {
        "size": float(own["size"].mean()),
        "accuracy": 100 * float(accuracy.mean()),
        "ci": 100 * half if math.isfinite(half) else math.nan,
        "episodes": len(own),
    }
