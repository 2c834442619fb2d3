"""What the probes measured, as numbers for a report: means of cells with intervals, and paired differences.

Every frame has the columns `place` (regime and episodes, a heading), `trained_on`, `method` (the learner's label)
and `source`, and is sorted by them. Accuracies and their differences are shares, 0..1 and -1..1.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from harness.cell_means import MEAN_COLUMNS, cell_means
from harness.errors import ConfigError
from harness.nested import half_width, nested_mean
from harness.pairing import paired_cells
from harness.report.panels import PANEL_KEYS, heading, labelled, natural
from harness.report.reuse_verdicts import EVERYTHING, FREEZING, HEAD_ONLY, Refusal, comparable
from harness.reuse_fraction import reuse_fractions
from harness.statistics import with_shots

PROBES = ("freeze", "read_outs", "similarity", "movement", "gradient_flow", "specialisation")
NOTHING, BODY_ONLY, AS_TRAINED = "nothing", "body only", "as trained"
BEFORE, AFTER = "before", "after"

HEAD = "head"
"""The last layer, as `harness.learner` calls it, which would load torch."""

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


def place_key(row: dict[str, object]) -> tuple[object, ...]:
    """The place of a row; an empty value is None, so that places can be compared."""
    return tuple(None if pd.isna(row[key]) else row[key] for key in FULL_PLACE)  # type: ignore[call-overload]


def with_places(frame: pd.DataFrame, titles: dict[tuple[object, ...], str]) -> pd.DataFrame:
    """`frame` with `place`; it has the columns FULL_PLACE."""
    groups = frame.groupby(list(FULL_PLACE), dropna=False, sort=False).ngroup()
    first = frame.loc[~groups.duplicated()]
    names = {
        group: titles[place_key(row)] for group, row in zip(groups[first.index], first.to_dict("records"))
    }
    return frame.assign(place=groups.map(names).astype("string"))


def prepared(probes: pd.DataFrame) -> pd.DataFrame:
    """`probes` with `shots` and labels; what was pooled over episodes stands with the episodes of its run."""
    run = ["run_id", "source", "split"]
    pooled = probes["episode"].isna()
    if (pooled & probes["n_way"].isna()).any():
        shapes = ["n_way", "n_support", "n_query"]
        known = probes.groupby(run)[shapes].transform("first")
        probes = probes.assign(**{name: probes[name].fillna(known[name]) for name in shapes})
    return labelled(with_shots(probes))


def means(
    frame: pd.DataFrame, probe: str, keys: Sequence[str], quantities: Sequence[str] = ()
) -> pd.DataFrame:
    """Means over episodes of what `probe` measured, by PLACE and `keys`; columns these and MEAN_COLUMNS."""
    rows = frame[(frame["probe"] == probe) & frame["episode"].notna()]
    if quantities:
        rows = rows[rows["quantity"].isin(quantities)]
    return cell_means(rows, [*PLACE, *keys])


def pooled(frame: pd.DataFrame, probe: str, keys: Sequence[str]) -> pd.DataFrame:
    """The same of what was estimated from all episodes at once: means over seeds."""
    rows = frame[(frame["probe"] == probe) & frame["episode"].isna()]
    return cell_means(rows, [*PLACE, *keys])


def fractions(freeze: pd.DataFrame) -> tuple[pd.DataFrame, list[Refusal]]:
    """Reuse fractions (columns PLACE and reuse_fraction.FRACTION_COLUMNS) of the freeze probe, and what was refused.

    freeze: as `reuse_verdicts.freezing` gives it, with places.
    """
    wanted = freeze[freeze["condition"].isin([NOTHING, HEAD_ONLY, EVERYTHING])]
    refusals: list[Refusal] = []
    tables: list[pd.DataFrame] = []
    for place, cell in wanted.groupby(list(PLACE), sort=True):
        if cell["condition"].nunique() < 3:
            continue
        try:
            found = reuse_fractions(cell, FREEZING, none=NOTHING, head=HEAD_ONLY, full=EVERYTHING)
        except ConfigError as error:
            where = dict(zip(PLACE[1:], map(str, place[1:]), strict=True))
            refusals.append(Refusal(a=HEAD_ONLY, b=NOTHING, reason=str(error), **where))
            continue
        tables.append(found.assign(place=place[0]))
    return _joined(tables), refusals


def differences(
    frame: pd.DataFrame, probe: str, base: str, quantity: str = "accuracy"
) -> tuple[pd.DataFrame, list[Refusal]]:
    """Every condition of a probe less `base` on the same episodes: PLACE, condition, MEAN_COLUMNS; and refusals.

    `frame` is `prepared`, with places; `ci95` is half the interval of the mean of the paired differences.
    """
    own = frame[(frame["probe"] == probe) & (frame["quantity"] == quantity) & (frame["layer"] == "")]
    rows = own[own["value"].notna() & own["episode"].notna() & own["step"].isna()]
    rows = rows.rename(columns={"value": "accuracy"})
    tables: list[pd.DataFrame] = []
    refusals: list[Refusal] = []
    for condition in rows["condition"].unique():
        if condition == base:
            continue
        for part in comparable(rows, str(condition), base, FREEZING):
            if isinstance(part, Refusal):
                refusals.append(part)
                continue
            tables += [_difference(part, str(condition), base)]
    return _joined(tables), refusals


def _difference(part: pd.DataFrame, condition: str, base: str) -> pd.DataFrame:
    ((_, cell),) = paired_cells(part, condition, base, FREEZING)
    values = cell["difference"].to_numpy(dtype=np.float64)
    found = nested_mean(values, cell["seed"].to_numpy(dtype=np.int64))
    row = {name: part[name].iloc[0] for name in PLACE}
    numbers = (found.mean, half_width(found), found.n_episodes, found.n_seeds)
    return pd.DataFrame([{**row, "condition": condition, **dict(zip(MEAN_COLUMNS, numbers, strict=True))}])


def changes(frame: pd.DataFrame) -> pd.DataFrame:
    """Specialisation after less before adaptation on the same episodes: PLACE, quantity, MEAN_COLUMNS."""
    keys = [*PLACE, "quantity", "seed", "episode"]
    rows = frame[(frame["probe"] == "specialisation") & frame["episode"].notna() & frame["value"].notna()]
    sides = [rows.loc[rows["condition"] == side, [*keys, "value"]] for side in (BEFORE, AFTER)]
    both = sides[0].merge(sides[1], on=keys, suffixes=("_before", "_after"))
    return cell_means(both.assign(value=both["value_after"] - both["value_before"]), [*PLACE, "quantity"])


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


def unmeasured(frame: pd.DataFrame) -> pd.DataFrame:
    """What a probe could not measure: probe, method, trained_on, reason, and the sources, joined."""
    rows = frame[frame["value"].isna() & (frame["reason"] != "")]
    rows = rows[["probe", "method", "trained_on", "reason", "source"]].drop_duplicates()
    keys = ["probe", "method", "trained_on", "reason"]
    return rows.groupby(keys, sort=True)["source"].agg(lambda names: ", ".join(sorted(names))).reset_index()


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    if not tables:
        return pd.DataFrame(columns=pd.Index([*PLACE, "condition", *MEAN_COLUMNS]))
    return pd.concat(tables, ignore_index=True).sort_values(list(PLACE), kind="stable", ignore_index=True)
