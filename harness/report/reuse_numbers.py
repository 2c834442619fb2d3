"""What the probes measured, as numbers for a report: means of cells with intervals, and paired differences.

Every frame has the columns `place` (regime and episodes, a heading), `trained_on`, `method` (the learner's label)
and `source`, and is sorted by them. Accuracies and their differences are shares, 0..1 and -1..1.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.cell_means import MEAN_COLUMNS, cell_means
from harness.errors import ConfigError
from harness.report.panels import ENTRY_CONDITIONS, PANEL_KEYS, heading, labelled, natural
from harness.report.reuse_verdicts import EVERYTHING, FREEZING, HEAD, HEAD_ONLY, Refusal
from harness.reuse_fraction import reuse_fractions
from harness.statistics import with_shots

PROBES = ("freeze", "read_outs", "similarity", "movement", "gradient_flow", "specialisation")
MOST_REASONS = 3
"""Of one probe and learner that are told apart."""

NUMBER = r"\d+(?:\.\d+)?"

NOTHING, BODY_ONLY = "nothing", "body only"
"""Conditions of the probes besides those of `reuse_verdicts`, as `harness.masks` names them."""

AS_TRAINED = "body x1"
"""The inner loop as it is, among the conditions of the probe `gradient_flow`."""

POOLED = "pooled_"
"""How the quantities begin that are of all episodes together."""

PLACE = ("place", "trained_on", "method", "source")

FULL_PLACE = ("trained_on", *PANEL_KEYS)
"""What a place stands for."""


def place_titles(*frames: pd.DataFrame) -> dict[tuple[object, ...], str]:
    """FULL_PLACE -> `omniglot`, or `omniglot, 5-way 1-shot, test split` where panels are several.

    The order is that of the regimes, then the panels.
    """
    seen = pd.concat([frame[list(FULL_PLACE)].drop_duplicates() for frame in frames]).drop_duplicates()
    varying = [key for key in PANEL_KEYS if seen[key].nunique(dropna=False) > 1]
    several = len(seen[list(PANEL_KEYS)].drop_duplicates()) > 1
    titles = {}
    for row in seen.sort_values(list(PANEL_KEYS)).to_dict("records"):
        extra = f", {heading(row, varying)}" if several else ""
        titles[place_key(row)] = f"{row['trained_on']}{extra}"
    return dict(sorted(titles.items(), key=lambda item: natural(str(item[0][0]))))


def place_key(row: Mapping[Any, Any]) -> tuple[object, ...]:
    """The place of a row; an empty value is None, so that places can be compared."""
    return tuple(None if pd.isna(row[key]) else row[key] for key in FULL_PLACE)


def with_places(frame: pd.DataFrame, titles: dict[tuple[object, ...], str]) -> pd.DataFrame:
    """`frame` with `place`; it has the columns FULL_PLACE."""
    groups, first = _groups(frame, list(FULL_PLACE))
    names = [titles[place_key(row)] for row in first.to_dict("records")]
    return frame.assign(place=_category(names, groups, frame.index))


def prepared(probes: pd.DataFrame) -> pd.DataFrame:
    """The `probes` that have a value, with `shots` and labels."""
    frame = with_shots(probes[probes["value"].notna()])
    groups, first = _groups(frame, ["method", "trained_on", *PANEL_KEYS, *ENTRY_CONDITIONS])
    names = labelled(first)["method"].tolist()
    return frame.assign(method=_category(names, groups, frame.index))


def _groups(frame: pd.DataFrame, keys: list[str]) -> tuple[list[int], pd.DataFrame]:
    """The number of each row's group, and a row of each group: there are few groups and very many rows."""
    codes = frame.groupby(keys, dropna=False, sort=False).ngroup()
    return codes.tolist(), frame.loc[~codes.duplicated()]


def _category(names: list[str], groups: list[int], index: pd.Index) -> pd.Series:
    """The name of each row's group."""
    known = sorted(set(names))
    codes = [known.index(name) for name in names]
    found = pd.Categorical.from_codes([codes[group] for group in groups], categories=pd.Index(known))
    return pd.Series(found, index=index)


def means(
    frame: pd.DataFrame, probe: str, keys: Sequence[str], quantities: Sequence[str] = ()
) -> pd.DataFrame:
    """Means over episodes of what `probe` measured, by PLACE and `keys`; columns these and MEAN_COLUMNS."""
    rows = frame[(frame["probe"] == probe) & frame["episode"].notna()]
    if quantities:
        rows = rows[rows["quantity"].isin(quantities)]
    return cell_means(rows, [*PLACE, *keys])


def pooled(frame: pd.DataFrame, probe: str, keys: Sequence[str]) -> pd.DataFrame:
    """The same of what was estimated from all episodes together, over seeds; quantities lose POOLED."""
    rows = frame[(frame["probe"] == probe) & frame["episode"].isna()]
    found = cell_means(rows, [*PLACE, *keys])
    return found.assign(quantity=found["quantity"].str.removeprefix(POOLED))


def over_steps(frame: pd.DataFrame, probe: str, quantity: str, keys: Sequence[str]) -> pd.DataFrame:
    """`means` of one quantity, which in each episode is averaged over the inner steps first."""
    rows = frame[(frame["probe"] == probe) & (frame["quantity"] == quantity)]
    each = [*PLACE, *keys, "seed", "episode"]
    return cell_means(rows.groupby(each, observed=True)["value"].mean().reset_index(), [*PLACE, *keys])


def fractions(freeze: pd.DataFrame) -> tuple[pd.DataFrame, list[Refusal]]:
    """Reuse fractions (columns PLACE and reuse_fraction.FRACTION_COLUMNS) of the freeze probe, and what was refused.

    freeze: as `reuse_verdicts.freezing` gives it, with places.
    """
    wanted = freeze[freeze["condition"].isin([NOTHING, HEAD_ONLY, EVERYTHING])]
    measured = wanted.groupby(list(PLACE))["condition"].transform("nunique") == 3
    tables: list[pd.DataFrame] = []
    refusals: list[Refusal] = []
    for place, rows in wanted[measured].groupby("place", sort=False):
        try:
            tables.append(_fractions(rows, str(place)))
            continue
        except ConfigError:  # some source is at fault: the others have their fractions
            pass
        for key, cell in rows.groupby(list(PLACE[1:])):
            try:
                tables.append(_fractions(cell, str(place)))
            except ConfigError as error:
                where = dict(zip(PLACE[1:], map(str, key), strict=True))
                refusals.append(Refusal(a=HEAD_ONLY, b=NOTHING, reason=str(error), **where))
    return _joined(tables), refusals


def _fractions(rows: pd.DataFrame, place: str) -> pd.DataFrame:
    found = reuse_fractions(rows, FREEZING, none=NOTHING, head=HEAD_ONLY, full=EVERYTHING)
    return found.assign(place=place)


def differences(frame: pd.DataFrame, probe: str, base: str) -> pd.DataFrame:
    """Accuracy of every condition of a probe less that of `base`: PLACE, condition and MEAN_COLUMNS.

    `frame` is `prepared`, with places. Pairs are of one run and episode, so nothing else differs in them;
    conditions are in the order of the rows, `ci95` is half the interval of the mean of the paired differences.
    """
    own = frame[(frame["probe"] == probe) & (frame["quantity"] == "accuracy") & (frame["layer"] == "")]
    rows = own[own["value"].notna() & own["episode"].notna() & own["step"].isna()]
    order = {name: number for number, name in enumerate(rows["condition"].unique())}
    on = ["run_id", *PLACE, "split", "seed", "episode"]
    others = rows.loc[rows["condition"] != base, [*on, "condition", "value"]]
    bases = rows.loc[rows["condition"] == base, [*on, "value"]]
    both = others.merge(bases, on=on, suffixes=("", "_base"), validate="many_to_one")
    found = cell_means(both.assign(value=both["value"] - both["value_base"]), [*PLACE, "condition"])
    return found.sort_values("condition", key=lambda names: names.map(order), kind="stable")


def changes(frame: pd.DataFrame) -> pd.DataFrame:
    """Specialisation less that with nothing adapted, on the same episodes: PLACE, condition, layer, quantity, means."""
    on = ["run_id", *PLACE, "split", "layer", "quantity", "seed", "episode"]
    rows = frame[(frame["probe"] == "specialisation") & frame["episode"].notna()]
    before = rows.loc[rows["condition"] == NOTHING, [*on, "value"]]
    after = rows.loc[rows["condition"] != NOTHING, [*on, "condition", "value"]]
    both = after.merge(before, on=on, suffixes=("", "_before"), validate="many_to_one")
    moved = both.assign(value=both["value"] - both["value_before"])
    return cell_means(moved, [*PLACE, "condition", "layer", "quantity"])


def layers_of(frame: pd.DataFrame) -> tuple[str, ...]:
    """The layers in the order in which they are in the rows, the head last."""
    found = [str(layer) for layer in frame["layer"].unique() if layer != ""]
    return (*(layer for layer in found if layer != HEAD), *(layer for layer in found if layer == HEAD))


def freeze_order(conditions: Sequence[str]) -> tuple[str, ...]:
    """The freeze probe's conditions, the least adapted first; `body only`, which is on no such path, last."""
    ends = (NOTHING, HEAD_ONLY, EVERYTHING, BODY_ONLY)
    between = [name for name in conditions if name not in ends]
    path = (NOTHING, HEAD_ONLY, *between, EVERYTHING, BODY_ONLY)
    return tuple(name for name in path if name in conditions)


def unmeasured(probes: pd.DataFrame) -> pd.DataFrame:
    """What a probe could not measure: probe, method, trained_on, extent and reason; of many reasons the commonest.

    extent: `not measured`, or how many of the probe's values are missing for that reason. Reasons that differ in
    numbers alone, as those of episodes of varying size do, are one.
    """
    keys = ["probe", "method", "trained_on"]
    missing = probes[probes["value"].isna() & (probes["reason"] != "")]
    totals = probes.groupby(keys, observed=True).size().to_dict()
    kinds = missing["reason"].astype("string").str.replace(NUMBER, "#", regex=True)
    groups = missing.assign(kind=kinds).groupby([*keys, "kind"], observed=True)["reason"]
    counts = groups.agg(count="size", reason=_in_one).reset_index()
    counts = counts.sort_values([*keys, "count", "reason"], ascending=[True, True, True, False, True])
    rows: list[dict[Hashable, Any]] = []
    for key, group in counts.groupby(keys, sort=True, observed=True):
        total = totals[key]
        for row in group.head(MOST_REASONS).to_dict("records"):
            part = f"{row['count']} of {total} values are missing"
            rows.append({**row, "extent": "not measured" if row["count"] == total else part})
        if rest := int(group["count"].iloc[MOST_REASONS:].sum()):
            names: dict[Hashable, Any] = dict(zip(keys, key, strict=True))
            part = f"{rest} of {total} values are missing"
            rows.append({**names, "extent": part, "reason": "Other reasons; probes.parquet has them."})
    return pd.DataFrame(rows, columns=pd.Index([*keys, "extent", "reason"]))


def _in_one(reasons: pd.Series) -> str:
    """The commonest of reasons that differ in numbers alone, and that there are others."""
    counts = reasons.astype("string").value_counts()
    first = str(min(counts.index[counts == counts.max()]))
    return first if len(counts) == 1 else f"{first.rstrip('.')} (or the like, with other numbers)."


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    if not tables:
        return pd.DataFrame(columns=pd.Index([*PLACE, "condition", *MEAN_COLUMNS]))
    return pd.concat(tables, ignore_index=True)
