"""Frames in, frames out: a verdict per pair of conditions and source.

A pair is (a, b): a adapts less, b adapts everything. What the verdicts mean is in `equivalence`, what their errors
mean in `nested`. `judge` takes any frame with one row an episode and condition, be that methods or masks of
adapted layers of one learner; `method_verdicts` is `judge` for the methods of an episodes frame. Accuracies,
differences and margins are shares (0..1) here; only `margin_points` and sentences are in percentage points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.bootstrap import DRAWS, bootstrap_interval
from harness.effect_size import cohens_d
from harness.equivalence import (
    ALPHA,
    DEFAULT_MARGIN_POINTS,
    FAILS,
    HOLDS,
    INCONCLUSIVE,
    UNTESTED,
    MarginTests,
    checked_margin,
    holm,
    margin_tests,
    verdict_of,
)
from harness.nested import Floats, Ints, NestedMean, nested_mean
from harness.pairing import MUST_AGREE, Comparison, paired_cells
from harness.sample_size import what_would_settle
from harness.statistics import DIFFERENCE_KEYS, interval, with_shots

METHODS = Comparison(
    condition="method",
    keys=DIFFERENCE_KEYS,
    must_agree=MUST_AGREE,
    steady=("selection", "adaptation_steps", "max_images_per_class"),
    sizes=("n_query",),
)
"""How the methods of an episodes frame are compared."""

WITHIN_FAMILY = ("source", "split", "n_way", "shots")
"""Keys whose values share one correction for many tests; the pair and the other keys name the family."""

FEWEST_PAIRS = 20
"""Fewer episodes get no test: accuracies in steps of 1/75 can agree by luck and look certain."""

MEASURED_COLUMNS = {
    "difference": "float64",  # mean accuracy of a minus that of b
    "low": "float64",  # the 95 % interval, of `bootstrap`
    "high": "float64",
    "normal_ci95": "float64",  # half of the normal interval of one seed; NaN for several
    "n_episodes": "int64",  # pairs, of all seeds
    "n_seeds": "int64",
    "seed_sd": "float64",  # of the difference, from training to training; NaN for one seed
    "episode_sd": "float64",  # of the difference, within seeds
    "d": "float64",  # Cohen's, with its 95 % interval
    "d_low": "float64",
    "d_high": "float64",
    "margin": "float64",
    "p_not_worse": "float64",  # p-values of `equivalence.MarginTests`; NaN where nothing was tested
    "p_equivalent": "float64",
    "p_b_better": "float64",
    "p_worse": "float64",
    "p_b_better_holm": "float64",
    "p_worse_holm": "float64",
    "verdict": "string",  # one of `equivalence.VERDICTS`
    "why": "string",
    "more_episodes": "Int64",  # in each seed; empty where none would do, or the verdict stands
    "more_seeds": "Int64",
    "settle": "string",  # the same in words
}
"""Columns of `judge` after a, b and the keys of the comparison."""

PairedCell = tuple[dict[str, object], pd.DataFrame]
"""What names a cell (a, b and the keys of the comparison), and its pairs, as `pairing.paired_cells` gives them."""

VERDICT_COLUMNS = ("a", "b", *DIFFERENCE_KEYS, *MEASURED_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class _Cell:
    """One row before its family decides: what names it, its mean difference, its tests and its numbers."""

    names: dict[str, object]
    mean: NestedMean
    tests: MarginTests
    numbers: dict[str, object]


def method_verdicts(
    episodes: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    *,
    margin_points: float = DEFAULT_MARGIN_POINTS,
    draws: int = DRAWS,
) -> pd.DataFrame:
    """`judge` for `pairs` of methods of an episodes frame (results.EPISODE_COLUMNS); columns VERDICT_COLUMNS.

    p-values are corrected over all rows of one pair and `trained_on`.
    """
    return judge(with_shots(episodes), pairs, METHODS, margin_points=margin_points, draws=draws)


def judge(
    frame: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    comparison: Comparison,
    *,
    margin_points: float = DEFAULT_MARGIN_POINTS,
    draws: int = DRAWS,
) -> pd.DataFrame:
    """One row per pair and keys of `comparison` where both have episodes in common.

    `frame` has the columns seed, episode, accuracy (0..1) and those of `comparison`. The result has a, b, the
    keys and MEASURED_COLUMNS, in the order of `pairs`, then of the keys; a is what adapts less. It is the
    same for any order of the rows of `frame`. `draws` is of the bootstrap.

    Raises ConfigError for a margin that is not a positive number, and as `pairing.paired_cells` does: unknown
    conditions, episodes measured twice, columns that are missing, that differ within a pair or within a cell.
    """
    checked_margin(margin_points)
    paired = [
        ({"a": a, "b": b, **key}, cell)
        for a, b in pairs
        for key, cell in paired_cells(frame, a, b, comparison)
    ]
    types = {key: frame[key].dtype for key in comparison.keys}
    return judge_cells(paired, comparison, types, margin_points=margin_points, draws=draws)


def judge_cells(
    paired: Sequence[PairedCell],
    comparison: Comparison,
    types: Mapping[str, Any],
    *,
    margin_points: float = DEFAULT_MARGIN_POINTS,
    draws: int = DRAWS,
) -> pd.DataFrame:
    """`judge` for rows that are paired already; `types` are of the keys of `comparison`, in the table.

    Raises ConfigError for a margin that is not a positive number.
    """
    margin = checked_margin(margin_points)
    cells = [_measured(names, cell, margin, draws) for names, cell in paired]
    family_keys = ["a", "b", *(key for key in comparison.keys if key not in WITHIN_FAMILY)]
    families: dict[str, list[int]] = {}
    for position, cell in enumerate(cells):
        families.setdefault(str([cell.names[key] for key in family_keys]), []).append(position)
    rows: list[dict[str, object]] = [{}] * len(cells)
    for members in families.values():
        decided = _decided([cells[position] for position in members], margin)
        for position, row in zip(members, decided, strict=True):
            rows[position] = row
    known = {"a": "string", "b": "string", **{key: types[key] for key in comparison.keys}}
    table = pd.DataFrame(rows, columns=pd.Index([*known, *MEASURED_COLUMNS]))
    return table.astype({**known, **MEASURED_COLUMNS})


def _measured(names: dict[str, object], cell: pd.DataFrame, margin: float, draws: int) -> _Cell:
    values: Floats = cell["difference"].to_numpy(dtype=np.float64)
    seeds: Ints = cell["seed"].to_numpy(dtype=np.int64)
    mean, effect = nested_mean(values, seeds), cohens_d(values, seeds)
    testable = len(values) >= FEWEST_PAIRS and mean.episode_df > 0
    tests = margin_tests(mean, margin) if testable else UNTESTED
    low, high = bootstrap_interval(values, seeds, draws=draws)
    numbers: dict[str, object] = {
        "difference": mean.mean, "low": low, "high": high,
        "normal_ci95": interval(values, seeds) if mean.n_seeds == 1 else float("nan"),
        "n_episodes": mean.n_episodes, "n_seeds": mean.n_seeds,
        "seed_sd": float(np.sqrt(mean.seed_variance)), "episode_sd": float(np.sqrt(mean.episode_variance)),
        "d": effect.d, "d_low": effect.low, "d_high": effect.high, "margin": margin,
        "p_not_worse": tests.not_worse, "p_equivalent": tests.equivalent,
        "p_b_better": tests.b_better, "p_worse": tests.worse,
    }  # fmt: skip
    return _Cell(names=names, mean=mean, tests=tests, numbers=numbers)


def _decided(cells: list[_Cell], margin: float) -> list[dict[str, object]]:
    """The rows of one family, with p-values corrected and verdicts given."""
    tests = [cell.tests for cell in cells]
    better, worse = holm([test.b_better for test in tests]), holm([test.worse for test in tests])
    tested = int(np.count_nonzero(~np.isnan(worse)))
    rows = []
    for cell, p_better, p_worse in zip(cells, better, worse, strict=True):
        verdict = verdict_of(cell.tests, p_worse)
        row = {
            **cell.names, **cell.numbers, "p_b_better_holm": p_better, "p_worse_holm": p_worse,
            "verdict": verdict, "why": _why(cell, verdict, p_better, p_worse, margin),
            "more_episodes": None, "more_seeds": None, "settle": "",
        }  # fmt: skip
        if verdict == INCONCLUSIVE:
            row.update(_settling(cell, margin, max(tested, 1)))
        rows.append(row)
    return rows


def _settling(cell: _Cell, margin: float, n_sources: int) -> dict[str, object]:
    if cell.tests is UNTESTED:
        where = "`n_episodes` of the Evaluation, or of the probe"
        return {"settle": f"Test on at least {FEWEST_PAIRS} episodes, two a seed ({where})."}
    need = what_would_settle(cell.mean, margin, n_sources=n_sources)
    return {"more_episodes": need.episodes, "more_seeds": need.seeds, "settle": need.said}


def _why(cell: _Cell, verdict: str, p_better: float, p_worse: float, margin: float) -> str:
    """The verdict's reason in one sentence, and what one seed cannot say."""
    a, b = cell.names["a"], cell.names["b"]
    points = f"{100 * margin:g} point" + ("" if 100 * margin == 1 else "s")
    if cell.tests is UNTESTED:
        return f"Only {cell.mean.n_episodes} episodes were compared; a test takes {FEWEST_PAIRS}, two a seed."
    if verdict == HOLDS:
        said = f"{a} is not worse than {b} by {points} or more ({_p(cell.tests.not_worse)})"
    elif verdict == FAILS:
        said = f"{b} is better than {a} by more than {points} (corrected {_p(p_worse)})"
    elif p_better < ALPHA:
        said = f"{b} is better than {a} (corrected {_p(p_better)}), but whether by more than {points} is open"
    else:
        said = f"{b} may or may not be better than {a} by {points}"
    return said + (", for this one trained network." if cell.mean.n_seeds == 1 else ".")


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
