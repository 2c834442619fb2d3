"""Sentences about reuse, made from the numbers that stand beside them, so that they are true whatever these are.

Bounds are rounded outwards: `at least 0.93` is said of 0.9384, `at most 0.94` too.
"""

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from harness.equivalence import FAILS, HOLDS
from harness.report.blocks import Said
from harness.report.reuse_numbers import HEAD
from harness.report.reuse_verdicts import Refusal


def pair_name(method: str, a: str, b: str) -> str:
    """`anil against maml`, or `maml: head only against everything`."""
    return f"{method}: {a} against {b}" if method else f"{a} against {b}"


def verdict_said(rows: pd.DataFrame, n_refused: int) -> Said:
    """What the rows of one pair and place (columns REUSE_COLUMNS) say, source by source."""
    first = rows.iloc[0]
    name = pair_name(first["method"], first["a"], first["b"])
    total = len(rows)
    groups = {v: list(rows.loc[rows["verdict"] == v, "source"]) for v in (HOLDS, FAILS)}
    rest = list(rows.loc[~rows["verdict"].isin(list(groups)), "source"])
    holds, fails = groups[HOLDS], groups[FAILS]
    parts = [f"reuse holds on {_share(holds, total)}"] if holds else []
    if fails:
        parts.append(f"it fails on {listed(fails)}" if holds else f"reuse fails on {_share(fails, total)}")
    if rest:
        alone = not holds and not fails
        parts.append(
            f"on {_share(rest, total)} it cannot be told" if alone else f"on {listed(rest)} it cannot be told"
        )
    refused = f" Not compared on {n_refused} more; see below." if n_refused else ""
    return Said(name, f"{'; '.join(parts)}. {_extremes(rows)}{refused}")


def _extremes(rows: pd.DataFrame) -> str:
    low, high = rows.loc[rows["difference"].idxmin()], rows.loc[rows["difference"].idxmax()]
    if len(rows) == 1:
        return f"The difference is {signed(low['difference'])} points."
    return (
        f"The differences are from {signed(low['difference'])} points ({low['source']}) to "
        f"{signed(high['difference'])} ({high['source']})."
    )


def freeze_said(method: str, rows: pd.DataFrame) -> Said:
    """How accuracy grows from `head only` to `everything`, and from nothing; rows of `differences` to `everything`."""
    heads = rows[rows["condition"] == "head only"].assign(gain=lambda found: -found["mean"])
    if heads.empty:
        return Said(method, "Its accuracies are drawn; head only and everything were not both measured.")
    low, high = heads.loc[heads["gain"].idxmin()], heads.loc[heads["gain"].idxmax()]
    clear = heads[heads["gain"] - heads["ci95"] > 0]["source"]
    span = f"{signed(low['gain'])} points ({low['source']})"
    if len(heads) > 1:
        span = f"{span} to {signed(high['gain'])} ({high['source']})"
    more = (
        f"clearly above 0 on {_share(list(clear), len(heads))}" if len(clear) else "nowhere clearly above 0"
    )
    return Said(method, f"adapting everything gains {span} on adapting the head alone, {more}.")


def fraction_said(table: pd.DataFrame) -> list[Said]:
    """The smallest and the largest reuse fraction, and where there is none; columns of `fractions`."""
    found = []
    for method, rows in table.groupby("method", sort=True):
        known, none = rows[rows["fraction"].notna()], rows[rows["fraction"].isna()]
        parts = []
        if len(known):
            low, high = known.loc[known["fraction"].idxmin()], known.loc[known["fraction"].idxmax()]
            span = f"{low['fraction']:.2f} ({low['source']})"
            span += f" to {high['fraction']:.2f} ({high['source']})" if len(known) > 1 else ""
            parts.append(f"the head alone gains {span} of what adapting everything gains")
        if len(none):
            where = _share(list(none["source"]), len(rows))
            parts.append(f"on {where} there is no clear gain to take a share of")
        found.append(Said(str(method), "; ".join(parts) + "."))
    return found


def similarity_said(method: str, rows: pd.DataFrame, quantity: str) -> Said | None:
    """The least similarity of the body's layers, and the range of the head's; rows of `means`."""
    own = rows[(rows["quantity"] == quantity) & rows["mean"].notna()]
    body, head = own[own["layer"] != HEAD], own[own["layer"] == HEAD]
    if body.empty:
        return None
    low = body.loc[body["mean"].idxmin()]
    said = (
        f"the body keeps a {quantity.upper()} of at least {below(low['mean'])} in every layer on every source "
        f"(the least: {low['layer']} on {low['source']})"
    )
    if len(head):
        said += f"; the head's is {below(head['mean'].min())} to {above(head['mean'].max())}"
    return Said(method, f"{said}.")


def movement_said(method: str, rows: pd.DataFrame, quantity: str) -> Said | None:
    """How far the layers have moved after the last step; rows of `means` of one quantity."""
    last = rows[(rows["step"] == rows["step"].max()) & rows["mean"].notna()]
    body, head = last[last["layer"] != HEAD], last[last["layer"] == HEAD]
    if body.empty:
        return None
    most = body.loc[body["mean"].idxmax()]
    said = (
        f"at step {most['step']}, the {quantity} is at most {above(most['mean'])} in every layer of the body "
        f"on every source (the most: {most['layer']} on {most['source']})"
    )
    if len(head):
        said += f"; the head's is {below(head['mean'].min())} to {above(head['mean'].max())}"
    return Said(method, f"{said}.")


def gradient_said(method: str, rows: pd.DataFrame, lowest: str) -> Said | None:
    """The relative gradient of the layer `lowest` beside the head's, at the first step; rows of `means`."""
    first = rows[(rows["step"] == rows["step"].min()) & rows["mean"].notna()]
    body, head = first[first["layer"] == lowest], first[first["layer"] == HEAD]
    both = body.merge(head, on=["source"], suffixes=("", "_head"))
    ratio = both["mean"] / both["mean_head"]
    ratio = ratio[both["mean_head"] > 0]
    if ratio.empty:
        return None
    return Said(
        method,
        f"at step {first['step'].iloc[0]}, as trained, the gradient of {lowest} relative to its weights is "
        f"{below(ratio.min())} to {above(ratio.max())} times that of the head, from source to source.",
    )


def controls_said(method: str, rows: pd.DataFrame) -> Said:
    """Which controls are clearly more accurate than `as trained`, and where; rows of `differences`."""
    better = rows[rows["mean"] - rows["ci95"] > 0]
    number = rows["condition"].nunique()
    controls = f"the {number} controls" if number > 1 else "the control"
    if better.empty:
        return Said(method, f"none of {controls} is clearly more accurate than as trained on any source.")
    most = better.loc[better["mean"].idxmax()]
    names = [str(name) for name in rows["condition"].unique() if name in set(better["condition"])]
    where = listed(sorted(set(better["source"])))
    return Said(
        method,
        f"of {controls}, {listed(names)} {'is' if len(names) == 1 else 'are'} clearly more accurate than as "
        f"trained somewhere ({where}); the most: {signed(most['mean'])} points, {most['condition']} on "
        f"{most['source']}.",
    )


def read_outs_said(method: str, rows: pd.DataFrame) -> Said:
    """Which read-out has the highest mean, and on how many sources; rows of `means`."""
    best = rows.loc[rows.groupby("source")["mean"].idxmax()]
    counts = best["condition"].value_counts()
    order = sorted(counts.index, key=lambda name: (-counts[name], name))
    parts = [f"{name} on {listed(sorted(best.loc[best['condition'] == name, 'source']))}" for name in order]
    return Said(method, f"the highest mean is that of {'; of '.join(parts)}.")


def specialisation_said(method: str, rows: pd.DataFrame) -> Said:
    """Where adaptation clearly moves classes apart, or together; rows of `changes` of the separation."""
    up = list(rows.loc[rows["mean"] - rows["ci95"] > 0, "source"])
    down = list(rows.loc[rows["mean"] + rows["ci95"] < 0, "source"])
    total = len(rows)
    parts = [f"adaptation raises the separation of classes clearly on {_share(up, total)}"] if up else []
    parts += [
        f"{'lowers it' if up else 'adaptation lowers the separation'} clearly on {_share(down, total)}"
    ] * bool(down)
    return Said(method, ("; ".join(parts) or f"no clear change of the separation from before to after") + ".")


def refused_said(refusals: Sequence[Refusal]) -> list[Said]:
    """One sentence for each reason, with the sources it holds on."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for one in refusals:
        key = (pair_name(one.method, one.a, one.b), one.trained_on, one.reason, "")
        groups.setdefault(key, []).append(one.source)
    return [
        Said(f"{name}, trained on {regime}", f"not compared{_on(sources)}. {reason}")
        for (name, regime, reason, _), sources in groups.items()
    ]


def _on(sources: Iterable[str]) -> str:
    known = sorted({source for source in sources if source})
    return f" on {listed(known)}" if known else ""


def _share(names: Sequence[str], total: int) -> str:
    if len(names) == total:
        return f"the only source ({names[0]})" if total == 1 else f"all {total} sources ({', '.join(names)})"
    return f"{len(names)} of {total} sources ({', '.join(names)})"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


def signed(share: float) -> str:
    """A difference in points, `+1.2`; no sign where it rounds to 0."""
    text = f"{100 * share:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def below(value: float) -> str:
    """A bound from below, to two decimals or two digits."""
    return _outwards(value, math.floor)


def above(value: float) -> str:
    """A bound from above."""
    return _outwards(value, math.ceil)


def _outwards(value: float, to_whole: object) -> str:
    assert callable(to_whole)
    digits = 2 if abs(value) >= 0.1 or value == 0 else min(1 - math.floor(math.log10(abs(value))), 12)
    bound = to_whole(value * 10**digits) / 10**digits
    return f"{bound:.{digits}f}"
