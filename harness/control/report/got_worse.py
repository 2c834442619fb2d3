"""Where a training ended worse than it had been, a verdict on its end says little of the method at its best."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from harness.report.blocks import Said
from harness.report.panels import natural

LEAD = "Worse at its end"
PARTS = 10
"""Into which a training is cut, so that single updates do not count."""


def got_worse(curves: pd.DataFrame, margin: float) -> Iterator[Said]:
    """A sentence for each training whose last tenth is worse than its best by more than the margin.

    By the return after adaptation on training tasks, mean over seeds. curves: as of `read_curves`, one line or more in
    each tenth; others are passed over.
    """
    several = curves["trained_on"].nunique() > 1
    groups = curves.dropna(subset=["return_after"]).groupby(["trained_on", "method"])
    for (trained_on, method), lines in sorted(
        groups, key=lambda group: natural(" ".join(map(str, group[0])))
    ):
        last = lines["iteration"].max()
        part = np.ceil(PARTS * lines["iteration"].to_numpy(dtype=float) / last)
        means = lines.assign(part=part).groupby("part")["return_after"].mean()
        if len(means) < PARTS or not means.max() - means.iloc[-1] > margin:
            continue
        best = 1 + int(means.to_numpy().argmax())
        began, ended = (round(last * tenth / PARTS) for tenth in (best - 1, best))
        where = f" trained on {trained_on}" if several else ""
        yield Said(
            LEAD,
            f"after adaptation on its training tasks {method}{where} got {means.max():.1f} in updates {began + 1:,} to "
            f"{ended:,}, and {means.iloc[-1]:.1f} in the last tenth of the training: verdicts are on the policies that "
            "it ended with, and a shorter training may have another.",
        )
