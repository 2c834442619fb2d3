"""Everything a report needs from the run folders, and a refusal where runs do not belong together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import WorkspaceError
from harness.report.panels import PANEL_KEYS, natural
from harness.report.run_checks import absent, disagreement, unfit
from harness.results import ACROSS_COLUMNS, DISTANCE_COLUMNS, EPISODE_COLUMNS, PROBE_COLUMNS
from harness.spec import kind_of_training
from harness.statistics import with_shots
from harness.store import (
    LeftOut,
    RunFolder,
    empty_table,
    read_curves,
    read_episodes,
    read_probes,
    read_tables,
)

OWN = ("run_id", "training_id", "seed", "evaluations")
"""Keys of a spec in which two runs of one entry may differ."""

RUN_CONDITIONS = (
    "batch_norm",
    "selection",
    "adaptation_steps",
    "image_size",
    "precision",
    "protocol_version",
)
"""Conditions that are the same for all episodes of a run."""

SHARED = ("network", "images")
"""Keys of a spec in which all runs trained on one regime must agree."""

SHARED_ALIKE = ("train", "max_way")
"""Keys in which those of them must agree that learn from the same (episodes, batches, or nothing) by like steps."""


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A run whose results are whole: its spec and status as JSON data, its episodes; folder: where the rest lies."""

    run_id: str
    spec: dict[str, Any]
    status: dict[str, Any]
    episodes: pd.DataFrame
    folder: RunFolder | None = None

    @property
    def method(self) -> str:
        """The method's name in rows."""
        return str(self.spec["method_name"])

    @property
    def trained_on(self) -> str:
        """The regime's name in rows."""
        return str(self.spec["trained_on"])

    @property
    def seed(self) -> int:
        """The seed."""
        return int(self.spec["seed"])

    @property
    def columns(self) -> dict[str, object]:
        """What every row that it measured has in common."""
        return {
            "run_id": self.run_id,
            "method": self.method,
            "trained_on": self.trained_on,
            "seed": self.seed,
        }

    @property
    def training_sources(self) -> tuple[str, ...]:
        """Names of the sources it was trained on."""
        found = self.spec.get("train", {}).get("sources", [])
        return tuple(str(source["name"]) for source in found)


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """The finished runs sorted by (trained_on, method, seed), their curves, and the runs that are missing.

    probes: what their probes measured, columns as in results.PROBE_COLUMNS with texts as categories, since the
    rows are millions and the texts few; without_probes: finished runs whose probes cannot be used. distances: of the
    sources from those of the training, columns as in results.DISTANCE_COLUMNS; without_distances: runs whose
    trained body should have measured them and whose file is not there or damaged. across, without_across: the same of
    comparisons between trainings, columns as in results.ACROSS_COLUMNS. cut_curves: finished runs of whose curve a
    part, or all, cannot be read.
    """

    runs: tuple[FinishedRun, ...]
    curves: pd.DataFrame
    left_out: tuple[LeftOut, ...]
    probes: pd.DataFrame
    without_probes: tuple[LeftOut, ...]
    distances: pd.DataFrame = field(default_factory=lambda: empty_table(DISTANCE_COLUMNS))
    without_distances: tuple[LeftOut, ...] = ()
    cut_curves: tuple[LeftOut, ...] = ()
    across: pd.DataFrame = field(default_factory=lambda: empty_table(ACROSS_COLUMNS))
    without_across: tuple[LeftOut, ...] = ()

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """All episodes, columns as in results.EPISODE_COLUMNS, texts as categories, in the order of the texts."""
        frames = [run.episodes for run in self.runs] or [read_episodes([])[0]]
        return _with_categories(pd.concat(frames, ignore_index=True), EPISODE_COLUMNS)

    @cached_property
    def in_training(self) -> dict[str, frozenset[str]]:
        """Regime -> the sources in it."""
        return {run.trained_on: frozenset(run.training_sources) for run in self.runs}


def gather(
    folders: list[RunFolder],
    distance_files: Sequence[Path] = (),
    across_files: Sequence[Path] = (),
    *,
    chosen: bool = False,
) -> Gathered:
    """Read `folders`, leaving out, with the reason, what is unfinished, damaged or not what its name says.

    `distance_files` lie in the folders of the runs that measured them; those of other runs are passed over.
    `across_files` are of several runs each. chosen: each method's settings were chosen for it, so that methods of one
    regime may differ in how they were trained.
    Raises WorkspaceError when finished runs disagree: two configurations under one name.
    """
    runs: list[FinishedRun] = []
    left_out: list[LeftOut] = []
    for folder in folders:
        run, missing = read_run(folder)
        runs += [run] if run else []
        left_out += missing
    runs.sort(key=lambda run: (natural(run.trained_on), natural(run.method), run.seed, run.run_id))
    _refuse_mixtures(runs, chosen)
    by_id = {folder.path.name: folder for folder in folders}
    probes, without = _probes(runs, by_id)
    kept = {run.run_id for run in runs}
    of_kept = [path for path in distance_files if path.parent.name in kept]
    distances, missing_distances = read_tables(of_kept, DISTANCE_COLUMNS)
    across, missing_across = read_tables(across_files, ACROSS_COLUMNS)
    curves, cut = read_curves([folder for folder in folders if folder.path.name in kept])
    return Gathered(
        runs=tuple(runs),
        curves=curves,
        cut_curves=tuple(cut),
        left_out=tuple(sorted(left_out, key=lambda run: run.run_id)),
        probes=probes,
        without_probes=without,
        distances=distances,
        without_distances=tuple(missing_distances),
        across=across,
        without_across=tuple(missing_across),
    )


def _probes(
    runs: list[FinishedRun], folders: dict[str, RunFolder]
) -> tuple[pd.DataFrame, tuple[LeftOut, ...]]:
    """The probes of `runs`, in their order, and the runs whose probes are damaged or another run's."""
    frames: list[pd.DataFrame] = []
    without: list[LeftOut] = []
    for run in runs:
        if not run.spec.get("probes") and not folders[run.run_id].probes.exists():
            continue
        found, unread = read_probes([folders[run.run_id]])
        without += [
            LeftOut(run_id=one.run_id, reason=_plain(one.reason, folders[one.run_id].path)) for one in unread
        ]
        if found.empty:
            continue
        if reason := disagreement("probes.parquet", run.columns, found):
            without.append(LeftOut(run_id=run.run_id, reason=reason))
        else:
            frames.append(found)
    probes = pd.concat(frames, ignore_index=True) if frames else read_probes([])[0]
    blank = {name: probes[name].fillna("") for name in ("condition", "layer", "reason")}
    return _with_categories(probes.assign(**blank), PROBE_COLUMNS), tuple(without)


def _with_categories(frame: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Rows are pairs and groups by these over and over, which takes several times as long with texts."""
    texts = [name for name, kind in columns.items() if kind == "string"]
    return frame.astype(dict.fromkeys(texts, "category"))


def read_run(folder: RunFolder) -> tuple[FinishedRun | None, list[LeftOut]]:
    """A finished run; None, with the reason, for what is unfinished, damaged or not what its name says."""
    name = folder.path.name
    if not folder.path.is_dir():
        return None, [LeftOut(run_id=name, reason=absent(folder))]
    episodes, left_out = read_episodes([folder])
    if left_out:
        return None, [LeftOut(run_id=name, reason=_plain(left_out[0].reason, folder.path))]
    spec, status = folder.spec(), folder.status()
    if reason := unfit(name, spec, status, episodes):
        return None, [LeftOut(run_id=name, reason=_plain(reason, folder.path))]
    return FinishedRun(run_id=name, spec=spec, status=status, episodes=episodes, folder=folder), []


def _plain(reason: str, path: Path) -> str:
    """One line without the folder's place on this machine."""
    line = " ".join(reason.replace(f"{path}/", "").split())
    return line if len(line) <= 300 else line[:299] + "…"


def _refuse_mixtures(runs: list[FinishedRun], chosen: bool) -> None:
    """Raise WorkspaceError when runs that share a row have different settings; and, unless `chosen`, a regime."""
    seen: dict[tuple[object, ...], tuple[FinishedRun, Any]] = {}
    for run in runs:
        place = with_shots(run.episodes.head(1)).iloc[0]
        alike = tuple(place[[key for key in RUN_CONDITIONS if key in PANEL_KEYS]])
        entry = {key: value for key, value in run.spec.items() if key not in OWN}
        regime, training = ({key: run.spec.get(key) for key in keys} for keys in (SHARED, SHARED_ALIKE))
        kind = kind_of_training(run.spec.get("train", {}))
        row = ("method", run.method, run.trained_on, *tuple(place[list(RUN_CONDITIONS)]))
        shared = (
            (("regime", run.trained_on, *alike), regime),
            (("training", run.trained_on, kind, *alike), training),
        )
        for key, value in ((row, entry), *(() if chosen else shared)):
            other, known = seen.setdefault(key, (run, value))
            if found := list(differences_of(known, value)):
                raise WorkspaceError(mixture(other, run, found))


def mixture(one: FinishedRun, other: FinishedRun, found: Sequence[str]) -> str:
    """That two finished runs cannot be in one report. found: clauses of `differences_of` their specs."""
    what = f"method {one.method!r}, " if one.method == other.method else ""
    return (
        f"Two configurations share one name ({what}trained on {one.trained_on!r}): the finished runs "
        f"{one.run_id} and {other.run_id} differ in {'; '.join(found[:5])}. Move the outdated run folders "
        "away, or report one configuration with `harness run CONFIG`, which reads its own runs only."
    )


def differences_of(a: Any, b: Any, path: str = "") -> Iterator[str]:
    """`train.iterations (100, 5000)` for every leaf in which two JSON values differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted({*a, *b}):
            yield from differences_of(a.get(key), b.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for index, (left, right) in enumerate(zip(a, b, strict=True)):
            yield from differences_of(left, right, f"{path}[{index}]")
    elif a != b:
        yield f"{path} ({a!r}, {b!r})"
