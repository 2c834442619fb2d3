"""What the probes of policies found, as tables of the report."""

from collections.abc import Sequence

import pandas as pd

from harness.report.markdown import escape, table
from harness.report.settings import Table

LAYERED = (
    ("pooled_cka", "CKA before against after (debiased, all tasks)"),
    ("svcca", "SVCCA before against after"),
    ("weight_change", "relative change of the weights"),
    ("function_change", "relative change of the output"),
)


def probe_lines(frame: pd.DataFrame) -> list[str]:
    """Markdown of a frame of POLICY_PROBE_COLUMNS; nothing for an empty one."""
    if not len(frame):
        return []
    lines = ["## What adapts", ""]
    frozen = frame[(frame["quantity"] == "return") & frame["value"].notna()]
    if len(frozen):
        lines += ["Return after adaptation with only some layers adapted, mean over tasks and seeds:", ""]
        lines += _table(frozen, "condition", digits=1)
    for quantity, words in LAYERED:
        own = frame[(frame["quantity"] == quantity) & frame["value"].notna()]
        if len(own):
            lines += [f"{words[0].upper()}{words[1:]}, on the states visited before adaptation:", ""]
            lines += _table(own, "layer", digits=3, also=["condition"])
    reasons = frame[frame["reason"] != ""].groupby(["method", "probe", "reason"]).size().reset_index(name="n")
    lines += [
        "- " + escape(f"{row['method']}, {row['probe']}: {row['reason']} ({row['n']} rows)")
        for row in reasons.to_dict("records")
    ]
    return [*lines, ""]


def _table(frame: pd.DataFrame, across: str, *, digits: int, also: Sequence[str] = ()) -> list[str]:
    keys = ["method", "source", *also]
    columns = list(dict.fromkeys(frame[across]))
    means = frame.groupby([*keys, across], sort=False)["value"].mean().unstack(across)
    rows = []
    for names, values in means.iterrows():
        assert isinstance(names, tuple)
        cells = ["" if pd.isna(values[column]) else f"{values[column]:.{digits}f}" for column in columns]
        rows.append((*map(str, names), *cells))
    heads = ("method", "source", *("adapted" for _ in also), *map(str, columns))
    return [*table(Table(columns=heads, rows=tuple(rows))).splitlines(), ""]
