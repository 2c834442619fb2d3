"""Which rows may be compared, and what is said where they may not.

A *condition* is whatever two sets of rows differ in by design: two methods, or two masks of adapted layers of
one learner. Rows are paired on (seed, episode) within the same key columns, so each difference is one of the
very same episode; whatever else changes a number must be the same on both sides.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.errors import ConfigError, did_you_mean, named_choices
from harness.results import CONDITIONS, LEADERBOARD_KEYS
from harness.wording import first_few

MUST_AGREE = (
    "network",
    "batch_norm",
    "image_size",
    "precision",
    "protocol",
    "protocol_version",
    "fingerprint",
)
"""What two methods must share for a difference between them to be about the methods."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How the rows of a frame are compared, by the names of its columns.

    condition: what a pair differs in. keys: what makes a cell, in which pairs are averaged. must_agree: what
    has one value in all rows of a cell, on both sides. steady: what may differ between the two sides, while
    each has one value from seed to seed. sizes: what is the same in each pair, and in all of a cell but where the key
    `shots` is empty, as there the protocol draws the shape of every episode. value: what is compared.
    """

    condition: str
    keys: tuple[str, ...]
    must_agree: tuple[str, ...]
    steady: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    value: str = "accuracy"


def paired_cells(
    frame: pd.DataFrame, a: str, b: str, comparison: Comparison
) -> Iterator[tuple[dict[str, object], pd.DataFrame]]:
    """The pairs of conditions a and b, cell by cell: the cell's keys, and its rows of (seed, episode, `difference`).

    Cells come in the order of their keys; `difference` is the value of a minus that of b.
    Raises ConfigError as `pair_episodes` does, for a pair of one condition with itself, and for a cell whose
    rows may not be averaged.
    """
    keys, sizes = list(comparison.keys), comparison.sizes
    columns = [*comparison.must_agree, *comparison.steady, *sizes]
    if a == b:
        raise ConfigError(
            f"The pair ({a!r}, {b!r}) compares a {comparison.condition} with itself. Name two different ones."
        )
    refuse_missing(frame, comparison.steady)
    both = pair_episodes(
        frame,
        a,
        b,
        keys=keys,
        must_agree=(*comparison.must_agree, *sizes),
        condition=comparison.condition,
        also=comparison.steady,
        value=comparison.value,
    )
    both = _without_drawn_sizes(both, [size + side for size in sizes for side in ("_a", "_b")])
    cells = both.groupby(keys, sort=True, dropna=False)
    mixed = _is_mixed(both, [column + side for column in columns for side in ("_a", "_b")], cells.ngroup())
    for values, cell in cells:
        key = dict(zip(keys, values, strict=True))
        for name, side in ((a, "_a"), (b, "_b")) if mixed else ():
            own = pd.DataFrame({column: cell[column + side] for column in columns})
            _refuse_mixture(own, f"{comparison.condition} {name}, {said(key, keys)}")
        yield key, cell[["seed", "episode", "difference"]]


def _without_drawn_sizes(both: pd.DataFrame, sizes: Sequence[str]) -> pd.DataFrame:
    """`sizes` emptied where the protocol drew them: they then say nothing about a cell."""
    if not sizes:
        return both
    drawn = both["shots"].isna()
    return both.assign(**{size: both[size].astype("Int64").mask(drawn) for size in sizes})


def pair_episodes(
    frame: pd.DataFrame,
    a: str,
    b: str,
    *,
    keys: Sequence[str],
    must_agree: Sequence[str],
    condition: str = "condition",
    also: Sequence[str] = (),
    value: str = "accuracy",
) -> pd.DataFrame:
    """Rows of `a` beside those of `b`: `keys`, seed, episode, `difference`, and with _a and _b `value`, `must_agree`
    and `also`.

    `frame` has the columns `condition`, `keys`, seed, episode, `value` and `must_agree`; `difference` is the value
    of a minus that of b. Episodes that only one of the two has are left out.

    Raises ConfigError for a missing column, an unknown condition, an episode measured twice, and pairs that
    differ in `must_agree`, whose columns it names.
    """
    refuse_missing(frame, [condition, *keys, "seed", "episode", value, *must_agree])
    known = frame[condition].unique().tolist()
    for name in (a, b):
        if name not in known:
            raise ConfigError(
                f"There are no episodes of {condition} {name!r}.{did_you_mean(name, known)} "
                f"{condition.capitalize()}s: {named_choices(known)}."
            )
    needed = list(dict.fromkeys([*keys, "seed", "episode", value, *must_agree, *also]))
    sides = []
    for name in (a, b):
        rows = frame[condition] == name
        side = frame.loc[rows, needed]
        if side.duplicated([*keys, "seed", "episode"]).any():
            refuse_repeats(frame[rows], [condition, *keys])
        sides.append(side)
    left, right = sides
    both = left.merge(right, on=[*keys, "seed", "episode"], suffixes=("_a", "_b"), validate="one_to_one")
    _refuse_unlike(both, a, b, must_agree, condition)
    return both.assign(difference=both[f"{value}_a"] - both[f"{value}_b"])


def refuse_missing(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise ConfigError, naming them, when `frame` lacks some of `columns`."""
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ConfigError(
            f"A comparison needs the columns {named_choices(missing)}, which the rows do not have "
            f"(they have {named_choices(map(str, frame.columns))}). Give rows that have them."
        )


def refuse_repeats(frame: pd.DataFrame, keys: Sequence[str]) -> None:
    """Raise ConfigError when (seed, episode) is there twice under one value of `keys`."""
    repeated = frame[frame.duplicated([*keys, "seed", "episode"], keep=False)]
    if repeated.empty:
        return
    first = repeated.iloc[0]
    place = [*(key for key in (*LEADERBOARD_KEYS, *keys) if key in frame), "seed"]
    place = list(dict.fromkeys(place))
    same = repeated[
        (repeated[place].astype("string") == first[place].astype("string")).fillna(True).all(axis=1)
    ]
    runs = sorted(same["run_id"].unique().tolist()) if "run_id" in same else []
    suspects = [column for column in ("network", "n_query", *CONDITIONS) if column in same]
    differing = [column for column in suspects if same[column].nunique() > 1]
    raise ConfigError(
        f"Episodes of {said(dict(zip(place, first[place], strict=True)), place)} were measured more than once"
        + (f", by the runs {named_choices(runs)}" if runs else "")
        + (f", which differ in {named_choices(differing)}" if differing else "")
        + ". They are not results of one configuration: keep one of these runs and leave the others out."
    )


def _is_mixed(rows: pd.DataFrame, columns: Sequence[str], cells: pd.Series) -> bool:
    """Whether any of `columns` has more than one value in any cell; `cells` numbers the cell of each row from 0.

    One pass over all cells, since there are hundreds and hardly ever a mixture.
    """
    numbers = cells.to_numpy(dtype=np.int64)
    firsts = np.unique(numbers, return_index=True)[1][numbers]
    for column in columns:
        codes = pd.factorize(rows[column], use_na_sentinel=False)[0]
        if np.any(codes != codes[firsts]):
            return True
    return False


def _refuse_mixture(cell: pd.DataFrame, where: str) -> None:
    """Raise ConfigError, naming the columns, when some column of `cell` has more than one value.

    Pairs may agree seed by seed and yet not be averaged: seed 0 under one protocol, seed 1 under another.
    """
    differing = [str(column) for column in cell if cell[column].nunique(dropna=False) > 1]
    if differing:
        values = "; ".join(f"{column}: {_values(cell[column])}" for column in differing)
        raise ConfigError(
            f"Rows of {where} cannot be averaged: they differ in {named_choices(differing)} ({values}). "
            f"Compare runs that share these."
        )


def _refuse_unlike(both: pd.DataFrame, a: str, b: str, columns: Sequence[str], condition: str) -> None:
    differing = [c for c in columns if _unlike(both[f"{c}_a"], both[f"{c}_b"])]
    if differing:
        values = "; ".join(
            f"{c}: {_values(both[f'{c}_a'])} for {a!r}, {_values(both[f'{c}_b'])} for {b!r}"
            for c in differing
        )
        raise ConfigError(
            f"{condition.capitalize()}s {a!r} and {b!r} cannot be compared: they differ in "
            f"{named_choices(differing)} ({values}). Compare runs that share these."
        )


def _unlike(left: pd.Series, right: pd.Series) -> bool:
    """Whether two columns differ anywhere; two empty values are alike."""
    same = (left == right).fillna(False).to_numpy(dtype=bool)
    empty = (left.isna() & right.isna()).to_numpy(dtype=bool)
    return bool(np.any(~(same | empty)))


def _values(column: pd.Series) -> str:
    found = sorted(map(str, column.unique().tolist()))
    return first_few(found, 4)


def said(row: Mapping[str, object], keys: Sequence[str]) -> str:
    """`method maml, source omniglot, shots 1`: what a message calls a row; empty values are left out."""
    known = {key: row[key] for key in keys if row[key] is not pd.NA}
    return ", ".join(
        f"{key} {value:g}" if key == "shots" else f"{key} {value}" for key, value in known.items()
    )
