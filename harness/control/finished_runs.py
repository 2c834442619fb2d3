"""Finished runs on control tasks, read back: whatever is missing or damaged is left out with its reason."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.control.policy_probe import POLICY_PROBE_COLUMNS
from harness.control.task_rows import CURVE, TASK_COLUMNS
from harness.report.gather import FinishedRun
from harness.report.panels import natural
from harness.report.run_checks import at, foreign_rows
from harness.report.settings import parameter_words
from harness.store import LeftOut, RunFolder, read_curves, read_finished, read_tables

SAMPLING = "sampling"
"""Column of a finished run's tasks beside TASK_COLUMNS: how its trajectories were sampled, in words."""

OBJECTS = (
    *("method.params", "network.params", "train.sampling", "train.outer.params"),
    "train.source.component.params",
)
"""Places of a spec at which there is a JSON object."""


@dataclass(frozen=True, kw_only=True)
class GatheredRuns:
    """The finished runs by (trained_on, method, seed), what they measured, and the runs that are missing.

    tasks: columns of TASK_COLUMNS and SAMPLING. probes: of POLICY_PROBE_COLUMNS. curves: as of `read_curves`, keys of
    CURVE. without_probes: finished runs whose probes cannot be read; cut_curves: those of whose curve a part cannot.
    """

    runs: tuple[FinishedRun, ...]
    tasks: pd.DataFrame
    probes: pd.DataFrame
    curves: pd.DataFrame
    left_out: tuple[LeftOut, ...]
    without_probes: tuple[LeftOut, ...]
    cut_curves: tuple[LeftOut, ...]


def gather_runs(folders: Sequence[RunFolder]) -> GatheredRuns:
    """Read them all."""
    runs: list[FinishedRun] = []
    left_out: list[LeftOut] = []
    for folder in folders:
        run, missing = read_control_run(folder)
        runs += [run] if run else []
        left_out += missing
    runs.sort(key=lambda run: (natural(run.trained_on), natural(run.method), run.seed, run.run_id))
    kept = [run.folder for run in runs if run.folder]
    frames = [run.episodes for run in runs]
    probes, without = read_tables([one.probes for one in kept if _is_probed(one)], POLICY_PROBE_COLUMNS)
    curves, cut = read_curves(kept, CURVE)
    return GatheredRuns(
        runs=tuple(runs),
        tasks=pd.concat(frames, ignore_index=True)
        if frames
        else pd.DataFrame(columns=[*TASK_COLUMNS, SAMPLING]),
        probes=probes.assign(**{name: probes[name].fillna("") for name in ("condition", "layer", "reason")}),
        curves=curves,
        left_out=tuple(sorted(left_out, key=lambda run: run.run_id)),
        without_probes=tuple(without),
        cut_curves=tuple(cut),
    )


def _is_probed(folder: RunFolder) -> bool:
    return folder.probes.exists() or bool(folder.spec().get("probes"))


def read_control_run(folder: RunFolder) -> tuple[FinishedRun | None, list[LeftOut]]:
    """A finished run, its episodes being its tasks; None, with the reason, for what cannot be used."""
    name = folder.path.name
    if not folder.path.is_dir():
        return None, [LeftOut(run_id=name, reason="never started")]
    tasks, left_out = read_finished([(folder, folder.episodes)], TASK_COLUMNS)
    if left_out:
        reason = " ".join(left_out[0].reason.replace(f"{folder.path}/", "").split())
        return None, [LeftOut(run_id=name, reason=reason)]
    spec, status = folder.spec(), folder.status()
    if reason := _unfit(name, spec, tasks):
        return None, [LeftOut(run_id=name, reason=reason)]
    whole = tasks.assign(**{SAMPLING: _samplings(spec)})
    return FinishedRun(run_id=name, spec=spec, status=status, episodes=whole, folder=folder), []


def _unfit(name: str, spec: Mapping[str, Any], tasks: pd.DataFrame) -> str:
    """Why the run in the folder `name` cannot be used, in a clause; empty when it can."""
    if wrong := list(_wrong_places(spec)):
        return f"spec.json is missing, damaged or foreign: see its {', '.join(wrong)}"
    if spec.get("run_id", name) != name:
        return f"spec.json is that of the run {spec['run_id']}"
    if reason := foreign_rows(name, spec, tasks):
        return reason
    if len(tasks) != sum(int(one["n_tasks"]) for one in spec["evaluations"]):
        return "episodes.parquet and spec.json disagree about the number of tasks"
    if not np.isfinite(tasks[["return_before", "return_after"]].to_numpy(np.float64)).all():
        return "episodes.parquet holds returns that are no numbers"
    return ""


def _wrong_places(spec: Mapping[str, Any]) -> Iterator[str]:
    for key, kind in (("method_name", str), ("trained_on", str), ("seed", int)):
        if not isinstance(spec.get(key), kind):
            yield key
    yield from (place for place in OBJECTS if not isinstance(at(spec, place), dict))
    evaluations = spec.get("evaluations")
    if not isinstance(evaluations, list) or not all(map(_is_evaluation, evaluations)):
        yield "evaluations"


def _is_evaluation(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("n_tasks"), int)
        and isinstance(at(value, "sampling"), dict)
        and isinstance(at(value, "source.component.params"), dict)
    )


def _samplings(spec: Mapping[str, Any]) -> list[str]:
    """How each row's trajectories were sampled: rows lie evaluation by evaluation."""
    return [
        said
        for one in spec["evaluations"]
        for said in [parameter_words({"params": one["sampling"]})] * int(one["n_tasks"])
    ]


def told_apart(tasks: pd.DataFrame) -> pd.DataFrame:
    """`tasks`, a source of several parameters or samplings being several sources, named by what they differ in."""
    source = tasks["source"].astype("string")
    for column, mark in (
        ("fingerprint", tasks["fingerprint"].astype("string").str.slice(0, 6)),
        (SAMPLING, tasks[SAMPLING].astype("string")),
    ):
        several = tasks.groupby([source, "split"])[column].transform("nunique") > 1
        source = source.mask(several, source + " [" + mark + "]")
    return tasks.assign(source=source)
