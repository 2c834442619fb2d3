"""Where methods are close to guessing, a difference between them says little about what they reuse."""

import pandas as pd

from harness.report.blocks import Said

NEAR_GUESSING = 0.10
"""Accuracy above chance of the method that adapts everything, below which there is little to lose; ours."""


LEAD = "Close to guessing"


def near_guessing(episodes: pd.DataFrame, rows: pd.DataFrame) -> Said | None:
    """Which sources of one place are such; None for none.

    episodes: of that place, `ways` being the classes of each. rows: its verdicts (columns REUSE_COLUMNS).
    """
    reference = set(rows["b"]) & set(episodes["method"])
    own = episodes[episodes["method"].isin(reference) & episodes["source"].isin(set(rows["source"]))]
    if own.empty:
        return None
    above = own.assign(above=own["accuracy"].astype("float64") - 1 / own["ways"].astype("float64"))
    means = above.groupby("source", observed=True)[["accuracy", "above"]].mean()
    near = means[means["above"] < NEAR_GUESSING].sort_values("above")
    if near.empty:
        return None
    named = ", ".join(f"{source} ({100 * accuracy:.1f} %)" for source, accuracy in near["accuracy"].items())
    text = (
        f"{' and '.join(sorted(reference))} is less than {100 * NEAR_GUESSING:.0f} points above guessing on {named}. "
        "There is little to lose there, so that small differences, and reuse that holds, say little."
    )
    return Said(LEAD, text)
