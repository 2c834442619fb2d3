"""Verdicts on reuse for a report: which pairs are judged, on what, and what is refused with the reason.

Two kinds of pairs, each (a, b) with a adapting less than b:

- *methods*: each method that leaves the body as it is against the one that adapts everything, on the test episodes;
- *freezing*: `head only` against `everything` of the freeze probe, on each learner that can adapt everything.

A pair is judged where both sides were measured alike; a source for which they were not is refused, with the
columns that differ, and the others are judged.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from harness.equivalence import DEFAULT_MARGIN_POINTS
from harness.errors import ConfigError
from harness.pairing import Comparison, paired_cells
from harness.report.gather import FinishedRun, Gathered
from harness.report.panels import labelled, natural
from harness.results import PROBE_COLUMNS
from harness.statistics import DIFFERENCE_KEYS, with_shots
from harness.verdicts import MEASURED_COLUMNS, METHODS, PairedCell, judge, judge_cells

FULL_PLUGIN = "maml"
"""The plugin, and the method's name, that adapt everything where the experiment does not say which does."""

HEAD = "head"
"""The last layer, as `harness.learner` calls it, which would load torch."""

HEAD_ONLY, EVERYTHING = "head only", "everything"
OF_METHODS, OF_FREEZING = "methods", "freezing"

FREEZING = Comparison(
    condition="condition",
    keys=("method", *DIFFERENCE_KEYS),
    must_agree=METHODS.must_agree,
    steady=METHODS.steady,
    sizes=METHODS.sizes,
)
"""How the conditions of a probe are compared: within one learner."""

ALIKE = ("protocol_version", "protocol", "batch_norm", "image_size", "precision")
"""Conditions that make rows comparable; with the split and the shape of episodes, those of a panel."""

REUSE_COLUMNS = ("comparison", "method", "a", "b", *DIFFERENCE_KEYS, "in_training", *ALIKE, *MEASURED_COLUMNS)
"""Columns of reuse.csv. comparison: OF_METHODS or OF_FREEZING. method: the learner of the latter, else empty."""


@dataclass(frozen=True, kw_only=True)
class Judging:
    """How an experiment wants its verdicts; see `Experiment.margin_points` and `.full_adaptation`."""

    margin_points: float = DEFAULT_MARGIN_POINTS
    full_adaptation: str | None = None


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A comparison that was not made: on which source, and why, in a sentence. method: as in REUSE_COLUMNS."""

    method: str
    a: str
    b: str
    trained_on: str
    source: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Comparable:
    """Cells that may be compared, as `paired_cells` gives them, and their values of ALIKE, which they share."""

    alike: tuple[object, ...]
    cells: list[tuple[dict[str, object], pd.DataFrame]]


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """The verdicts (columns REUSE_COLUMNS), and what was not judged."""

    rows: pd.DataFrame
    refusals: tuple[Refusal, ...]
    judging: Judging


def reuse_verdicts(gathered: Gathered, judging: Judging) -> Verdicts:
    """All verdicts of the runs and their freeze probes, in the order of the regimes, the pairs and the sources.

    Raises ConfigError for a margin that is not a positive number of points, and for nothing else: what cannot
    be compared is in `refusals`.
    """
    tables: list[pd.DataFrame] = []
    refusals: list[Refusal] = []
    episodes = with_shots(gathered.episodes)
    for a, b in pairs(gathered.runs, judging):
        table, refused = judged(episodes, a, b, METHODS, judging.margin_points)
        tables.append(table.assign(comparison=OF_METHODS, method=""))
        refusals += refused
    table, refused = judged(freezing(gathered.probes), HEAD_ONLY, EVERYTHING, FREEZING, judging.margin_points)
    tables.append(table.assign(comparison=OF_FREEZING))
    rows = pd.concat([table for table in tables if len(table)] or [tables[-1]], ignore_index=True)
    near = gathered.in_training
    inside = [
        source in near.get(regime, ())
        for regime, source in zip(rows["trained_on"], rows["source"], strict=True)
    ]
    rows = rows.assign(in_training=pd.Series(inside, dtype="bool", index=rows.index))[list(REUSE_COLUMNS)]
    return Verdicts(rows=rows, refusals=(*refusals, *_missing(gathered, judging)), judging=judging)


def reference(runs: Sequence[FinishedRun], judging: Judging) -> str | None:
    """The name of the method that adapts everything; None where there is none."""
    if judging.full_adaptation is not None:
        return judging.full_adaptation
    of_plugin = {run.method for run in runs if _plugin(run) == FULL_PLUGIN}
    if FULL_PLUGIN in {run.method for run in runs}:
        return FULL_PLUGIN
    return of_plugin.pop() if len(of_plugin) == 1 else None


def pairs(runs: Sequence[FinishedRun], judging: Judging) -> list[tuple[str, str]]:
    """(method, reference) for every method that leaves the body alone and is not of the reference's plugin.

    It adapts the head alone, or reads out what a method trained that adapts. Both learn from the same: between a
    network trained on episodes and one trained on batches, or not at all, a difference is one of trainings.
    """
    full = reference(runs, judging)
    plugins = {_plugin(run) for run in runs if run.method == full} - {None}
    others = {run.method for run in runs if run.method != full and _plugin(run) not in plugins}
    others -= {run.method for run in runs if _adapts_the_body(run) or _never_adapts(run)}
    others -= {run.method for run in runs if full is not None and _is_trained_otherwise(run, runs, full)}
    return [(name, full) for name in sorted(others, key=natural)] if full is not None else []


def _adapts_the_body(run: FinishedRun) -> bool:
    """As the run's status says; runs before it did are of methods that leave the body alone, or of the reference."""
    return any(layer != HEAD for layer in run.status.get("adapted_layers", ()))


def _never_adapts(run: FinishedRun) -> bool:
    """Whether neither it nor what trained its network adapts, as with embeddings that are compared (ProtoNet).

    A read-out of another's training (NIL) is judged. Runs before their status said what adapts are, too.
    """
    trainer = run.spec.get("trainer", {}).get("plugin")
    return run.status.get("adapted_layers") == [] and trainer in (None, _plugin(run))


def _is_trained_otherwise(run: FinishedRun, runs: Sequence[FinishedRun], full: str) -> bool:
    """From batches, say, where the reference learns from episodes; False where there is no run of the reference."""
    like = {_learns_from(other) for other in runs if other.method == full}
    return bool(like) and _learns_from(run) not in like


def _learns_from(run: FinishedRun) -> str:
    return str(run.spec.get("train", {}).get("learns_from", "episodes"))


def freezing(probes: pd.DataFrame) -> pd.DataFrame:
    """The rows of the freeze probe that have a value, as episodes with `shots`; one learner has one `method`."""
    rows = probes[(probes["probe"] == "freeze") & (probes["quantity"] == "accuracy")]
    return as_episodes(rows[rows["value"].notna()])


def as_episodes(probes: pd.DataFrame) -> pd.DataFrame:
    """Accuracies that a probe measured, as episodes: `accuracy`, `shots`, texts, and a label for each learner."""
    rows = probes[probes["episode"].notna()].rename(columns={"value": "accuracy"})
    texts = [name for name, kind in PROBE_COLUMNS.items() if kind == "string"]
    return labelled(with_shots(rows.astype({"episode": "int64", **dict.fromkeys(texts, "string")})))


def judged(
    frame: pd.DataFrame, a: str, b: str, comparison: Comparison, margin_points: float
) -> tuple[pd.DataFrame, list[Refusal]]:
    """`verdicts.judge` for one pair wherever both sides were measured alike, with the columns ALIKE, and the rest."""
    families: dict[tuple[object, ...], list[PairedCell]] = {}
    refusals: list[Refusal] = []
    for part in comparable(frame, a, b, comparison):
        if isinstance(part, Refusal):
            refusals.append(part)
        else:
            cells = [({"a": a, "b": b, **key}, cell) for key, cell in part.cells]
            families.setdefault(part.alike, []).extend(cells)
    tables = []
    types = {key: frame[key].dtype for key in comparison.keys}
    for alike, paired in families.items():
        table = judge_cells(paired, comparison, types, margin_points=margin_points)
        same = {name: pd.Series(value, index=table.index) for name, value in zip(ALIKE, alike, strict=True)}
        tables.append(table.assign(**same))
    nothing = judge(frame[:0], [], comparison, margin_points=margin_points)
    empty = nothing.assign(**{name: frame[name][:0] for name in ALIKE})
    return (pd.concat(tables, ignore_index=True) if tables else empty), refusals


def comparable(frame: pd.DataFrame, a: str, b: str, comparison: Comparison) -> Iterator[Comparable | Refusal]:
    """The cells that may be compared, all at once or one by one, and a refusal for each that may not.

    A cell that only one of the two has is passed over where the other has none in its regime at all.
    """
    condition = comparison.condition
    own = frame[frame[condition].isin([a, b])]
    learners = [key for key in comparison.keys if key in ("method", "trained_on")]
    both = own.groupby(learners, dropna=False)[condition].transform("nunique") == 2
    own = own[both]
    if whole := _all_comparable(own, a, b, comparison):
        yield whole
        return
    for values, cell in own.groupby(list(comparison.keys), sort=True, dropna=False):
        key = dict(zip(comparison.keys, values, strict=True))
        parts = [part for _, part in cell.groupby(list(ALIKE)) if part[condition].nunique() == 2]
        for part in parts or [cell]:
            found, reason = _comparable_cell(part, a, b, comparison)
            if found:
                yield found
                continue
            where = {name: str(key[name]) for name in ("trained_on", "source")}
            yield Refusal(method=str(key.get("method", "")), a=a, b=b, reason=reason, **where)


def _all_comparable(own: pd.DataFrame, a: str, b: str, comparison: Comparison) -> Comparable | None:
    """All cells, where every one can be compared as it stands: one pass in the place of one a cell."""
    keys = list(comparison.keys)
    if own.empty or (own[list(ALIKE)].nunique() > 1).any():
        return None
    try:
        found = list(paired_cells(own, a, b, comparison))
    except ConfigError:
        return None
    if len(found) != len(own[keys].drop_duplicates()):
        return None
    return Comparable(alike=_alike(own), cells=found)


def _comparable_cell(
    cell: pd.DataFrame, a: str, b: str, comparison: Comparison
) -> tuple[Comparable | None, str]:
    """The pairs of one cell; None, with the reason, where there are none."""
    there = set(cell[comparison.condition])
    if missing := [name for name in (a, b) if name not in there]:
        return None, f"Nothing was measured of {missing[0]}."
    try:
        found = list(paired_cells(cell, a, b, comparison))
    except ConfigError as error:
        return None, str(error)
    if not found:
        return None, "They have no episode in common."
    return Comparable(alike=_alike(cell), cells=found), ""


def _alike(rows: pd.DataFrame) -> tuple[object, ...]:
    return tuple(rows[list(ALIKE)].iloc[0])


def _missing(gathered: Gathered, judging: Judging) -> Iterator[Refusal]:
    """Methods that are not judged by what they are; pairs of which one side has no finished run in a regime."""
    trained = {(run.trained_on, run.method) for run in gathered.runs}
    full = reference(gathered.runs, judging)
    if full is None:
        return
    reasons = {
        (run.trained_on, run.method): reason
        for run in gathered.runs
        if run.method != full and (reason := _says_nothing(run, gathered.runs, full))
    }
    for (regime, name), reason in sorted(reasons.items()):
        yield Refusal(method="", a=name, b=full, trained_on=regime, source="", reason=reason)
    wanted = pairs(gathered.runs, judging)
    for regime in sorted({regime for regime, _ in trained}, key=natural):
        for a, b in wanted:
            absent = [name for name in (a, b) if (regime, name) not in trained]
            if absent:
                reason = f"There is no finished run of {' and '.join(absent)}."
                yield Refusal(method="", a=a, b=b, trained_on=regime, source="", reason=reason)


def _says_nothing(run: FinishedRun, runs: Sequence[FinishedRun], full: str) -> str:
    """Why a comparison of the run's method with the one that adapts everything says nothing about reuse, if so."""
    name = run.method
    if _adapts_the_body(run):
        return f"{name} adapts the body, too: how it compares with {full} says nothing about reuse."
    if _never_adapts(run):
        return f"{name} learns without an inner loop: how it compares with {full} says nothing about reuse."
    if _is_trained_otherwise(run, runs, full):
        return f"{name} is trained otherwise than {full}: how they compare says nothing about reuse."
    return ""


def _plugin(run: FinishedRun) -> str | None:
    found = run.spec.get("method", {}).get("plugin")
    return None if found is None else str(found)
