"""Sentences about reuse, made from the numbers that stand beside them, so that they are true whatever these are.

`clearly` always means that a 95 % interval leaves out 0. Bounds are rounded outwards: `at least 0.93` is said of
0.9384, and `at most 0.94` too.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import pandas as pd

from harness.equivalence import FAILS, HOLDS
from harness.report.blocks import Said
from harness.report.reuse_verdicts import EVERYTHING, HEAD, Refusal
from harness.results import OF_EPISODES, OF_TRAINING
from harness.wording import counted


def pair_name(method: str, a: str, b: str) -> str:
    """`anil against maml`, or `head only against everything in maml`."""
    return f"{a} against {b}" + (f" in {method}" if method else "")


def verdict_said(rows: pd.DataFrame, n_refused: int) -> Said:
    """What the rows of one pair and place (columns REUSE_COLUMNS) say, source by source."""
    first = rows.iloc[0]
    total = len(rows)
    holds, fails = (list(rows.loc[rows["verdict"] == verdict, "source"]) for verdict in (HOLDS, FAILS))
    rest = list(rows.loc[~rows["verdict"].isin([HOLDS, FAILS]), "source"])
    parts = [f"reuse holds on {_share(holds, total)}"] if holds else []
    if fails:
        parts.append(f"it fails on {listed(fails)}" if holds else f"reuse fails on {_share(fails, total)}")
    if rest:
        where = listed(rest) if parts else _share(rest, total)
        parts.append(f"on {where} it cannot be told{_behind(rows[rows['source'].isin(rest)])}")
    refused = f" Not compared on {n_refused} more; see below." if n_refused else ""
    said = f"{'; '.join(parts)}. {_extremes(rows)}{refused}"
    return Said(pair_name(first["method"], first["a"], first["b"]), said)


def _behind(rows: pd.DataFrame) -> str:
    """On how many of the sources where it cannot be told the interval is below 0: less than the margin, or too little
    once it is corrected for the number of sources.
    """
    count = int((rows["high"] < 0).sum())
    if not count:
        return ""
    every = {1: "it", 2: "both of them"}.get(count, f"all {count} of them")
    where = every if count == len(rows) else f"{count} of them"
    return f", though by itself the 95 % interval is below 0 on {where}"


def _extremes(rows: pd.DataFrame) -> str:
    if len(rows) == 1:
        return f"The difference is {signed(rows['difference'].iloc[0])} points."
    low, high = _least(rows, "difference"), _most(rows, "difference")
    return (
        f"The differences are from {signed(low['difference'])} points ({low['source']}) to "
        f"{signed(high['difference'])} ({high['source']})."
    )


def freeze_said(method: str, rows: pd.DataFrame) -> Said:
    """What adapting everything gains on the head alone; rows of `differences` to `head only`."""
    full = rows[rows["condition"] == EVERYTHING]
    if full.empty:
        return Said(method, "head only and everything were not both measured.")
    low, high = _least(full, "mean"), _most(full, "mean")
    clear = list(full.loc[full["mean"] - full["ci95"] > 0, "source"])
    span = f"{signed(low['mean'])} points ({low['source']})"
    if len(full) > 1:
        span = f"{span} to {signed(high['mean'])} ({high['source']})"
    more = f"clearly above 0 on {_share(clear, len(full))}" if clear else "nowhere clearly above 0"
    return Said(method, f"adapting everything gains {span} on adapting the head alone, {more}.")


def fraction_said(method: str, rows: pd.DataFrame) -> Said:
    """The smallest and the largest reuse fraction, and where there is none; rows of `fractions`."""
    known, none = rows[rows["fraction"].notna()], rows[rows["fraction"].isna()]
    parts = []
    if len(known):
        low, high = _least(known, "fraction"), _most(known, "fraction")
        span = f"{low['fraction']:.2f} ({low['source']})"
        span += f" to {high['fraction']:.2f} ({high['source']})" if len(known) > 1 else ""
        parts.append(f"the head alone gains {span} of what adapting everything gains")
    if len(none):
        where = _share(list(none["source"]), len(rows))
        parts.append(f"on {where} there is no clear gain to take a share of")
    return Said(method, "; ".join(parts) + ".")


def similarity_said(lead: str, rows: pd.DataFrame, layers: Sequence[str]) -> Said | None:
    """The least similarity of the body's layers, and its range in the head; rows of `means` of one learner.

    layers: all that could have been measured, so that those without a value are named.
    """
    body = rows[rows["layer"] != HEAD]
    if body.empty:
        return None
    low = _least(body, "mean")
    said = (
        f"the body keeps at least {below(low['mean'])} wherever it was measured (the least: "
        f"{low['layer']} on {low['source']}){_but(body, layers)}"
    )
    return Said(lead, said + _of_the_head(rows))


def _but(body: pd.DataFrame, layers: Sequence[str]) -> str:
    """The layers of the body that have no value somewhere."""
    sources = set(body["source"])
    parts = []
    for layer in layers:
        lacking = sources - set(body.loc[body["layer"] == layer, "source"])
        if layer != HEAD and lacking:
            parts.append(f"{layer} on {'any source' if lacking == sources else listed(sorted(lacking))}")
    return f", but could not be measured in {listed(parts)}" if parts else ""


def movement_said(lead: str, rows: pd.DataFrame) -> Said | None:
    """How far the layers have moved after the last step; rows of `means` of one learner and quantity."""
    last = rows[rows["step"] == rows["step"].max()]
    body = last[last["layer"] != HEAD]
    if body.empty:
        return None
    most = _most(body, "mean")
    said = (
        f"after inner step {most['step']}, at most {above(most['mean'])} in every layer of the body on every source "
        f"measured (the most: {most['layer']} on {most['source']})"
    )
    return Said(lead, said + _of_the_head(last))


def _of_the_head(rows: pd.DataFrame) -> str:
    head = rows.loc[rows["layer"] == HEAD, "mean"]
    return f"; in the head, {below(head.min())} to {above(head.max())}." if len(head) else "."


def gradient_said(rows: pd.DataFrame, lowest: str) -> Said | None:
    """The relative gradient of the layer `lowest` beside the head's, at the first step; rows of `means`."""
    first = rows[rows["step"] == rows["step"].min()]
    both = first[first["layer"] == lowest].merge(
        first[(first["layer"] == HEAD) & (first["mean"] > 0)], on=["source"], suffixes=("", "_head")
    )
    if both.empty or lowest == HEAD:
        return None
    ratio = both["mean"] / both["mean_head"]
    return Said(
        "Relative gradient norm",
        f"at inner step {first['step'].iloc[0]}, that of {lowest} is {below(ratio.min())} to {above(ratio.max())} "
        "times that of the head, from source to source.",
    )


def controls_said(rows: pd.DataFrame) -> Said:
    """Which controls are clearly more accurate than `as trained`, and where; rows of `differences`."""
    better = rows[rows["mean"] - rows["ci95"] > 0]
    number = rows["condition"].nunique()
    lead = counted(number, "control")
    if better.empty:
        return Said(lead, "none is clearly more accurate than as trained on any source.")
    names = [name for name in rows["condition"].unique() if name in set(better["condition"])]
    parts = [
        f"{name} (on {listed(list(better.loc[better['condition'] == name, 'source']))})" for name in names
    ]
    most = _most(better, "mean")
    others = "; the others are so nowhere" if len(names) < number else ""
    return Said(
        lead,
        f"clearly more accurate than as trained: {'; '.join(parts)}{others}. The most: "
        f"{signed(most['mean'])} points ({most['condition']} on {most['source']}).",
    )


def read_outs_said(method: str, rows: pd.DataFrame) -> Said:
    """Which read-outs have the highest mean, and on which sources; rows of `means`."""
    best = rows[rows["mean"] == rows.groupby("source")["mean"].transform("max")]
    counts = best["condition"].value_counts()
    order = sorted(counts.index, key=lambda name: (-counts[name], name))
    parts = [f"{name} on {listed(list(best.loc[best['condition'] == name, 'source']))}" for name in order]
    return Said(method, f"the highest mean is that of {'; of '.join(parts)}.")


def specialisation_said(lead: str, rows: pd.DataFrame) -> Said:
    """Where adaptation clearly moves classes apart, or together; rows of `changes` of one layer's separation."""
    up = list(rows.loc[rows["mean"] - rows["ci95"] > 0, "source"])
    down = list(rows.loc[rows["mean"] + rows["ci95"] < 0, "source"])
    parts = [f"raises the separation of classes clearly on {_share(up, len(rows))}"] if up else []
    if down:
        what = "lowers it" if up else "lowers the separation of classes"
        parts.append(f"{what} clearly on {_share(down, len(rows))}")
    return Said(
        lead, f"adaptation {' and '.join(parts) or 'changes the separation of classes clearly nowhere'}."
    )


def refused_said(refusals: Sequence[Refusal]) -> list[Said]:
    """One sentence for each reason, with the sources it holds on."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for one in refusals:
        key = (pair_name(one.method, one.a, one.b), one.trained_on, one.reason)
        groups.setdefault(key, []).append(one.source)
    return [
        Said(f"{name}, trained on {regime}", f"not compared{_on(sources)}. {reason}")
        for (name, regime, reason), sources in groups.items()
    ]


def unmeasured_said(rows: pd.DataFrame) -> list[Said]:
    """What could not be measured, with the reasons; rows of `unmeasured`. What has one reason is said once."""
    groups: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for row in rows.to_dict("records"):
        key = (row["method"], row["extent"], row["reason"])
        groups.setdefault(key, {}).setdefault(row["trained_on"], []).append(row["probe"])
    found = []
    for (method, extent, reason), regimes in groups.items():
        same: dict[str, list[str]] = {}
        for regime, probes in regimes.items():
            same.setdefault(listed(probes), []).append(regime)
        for what, names in same.items():
            lead = f"{what} of {method}, trained on {listed(names)}"
            found.append(Said(lead, f"{extent}. {reason}"))
    return found


_WITHOUT = {
    "": ("Distances from {regime}", "not measured{on}."),
    OF_EPISODES: ("Distances of single episodes from {regime}", "not measured{on}."),
    OF_TRAINING: ("Distances from {regime}", "not from {sources}."),
}


def distances_said(missing: Sequence[tuple[str, str, str, str]]) -> list[Said]:
    """(of what, regime, source, reason) of what has no distance, said once a kind, reason and regime."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for kind, regime, source, reason in missing:
        groups.setdefault((kind, regime, reason), []).append(source)
    found = []
    for (kind, regime, reason), sources in groups.items():
        title, words = _WITHOUT[kind]
        words = words.format(on=_on(sources), sources=listed(sources))
        found.append(Said(title.format(regime=regime), f"{words} {reason}"))
    return found


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


def signed(share: float) -> str:
    """A difference in points, `+1.2`; no sign where it rounds to 0."""
    text = f"{100 * share:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def below(value: float) -> str:
    """A bound from below, to two decimals, or two digits where that is finer."""
    return _outwards(value, math.floor)


def above(value: float) -> str:
    """A bound from above, as `below`."""
    return _outwards(value, math.ceil)


def _outwards(value: float, to_whole: Callable[[float], int]) -> str:
    digits = 2 if abs(value) >= 0.1 or value == 0 else min(1 - math.floor(math.log10(abs(value))), 12)
    return f"{to_whole(value * 10**digits) / 10**digits:.{digits}f}"


def _on(sources: Iterable[str]) -> str:
    known = sorted({source for source in sources if source})
    return f" on {listed(known)}" if known else ""


def _share(names: Sequence[str], total: int) -> str:
    if len(names) == total:
        every = {1: "the only source", 2: "both sources"}.get(total, f"all {total} sources")
        return f"{every} ({', '.join(names)})"
    return f"{len(names)} of {total} sources ({', '.join(names)})"


def _least(rows: pd.DataFrame, column: str) -> dict[Hashable, Any]:
    return rows.sort_values(column, kind="stable").iloc[0].to_dict()


def _most(rows: pd.DataFrame, column: str) -> dict[Hashable, Any]:
    return rows.sort_values(column, kind="stable", ascending=False).iloc[0].to_dict()
