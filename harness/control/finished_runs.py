"""Finished runs on control tasks, read back: whatever is missing or damaged is left out with its reason."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.control.policy_probe import POLICY_PROBE_COLUMNS
from harness.control.task_rows import CURVE, TASK_COLUMNS
from harness.errors import WorkspaceError
from harness.json_kinds import at
from harness.report.gather import FinishedRun, differences_of, mixture
from harness.report.panels import natural
from harness.report.run_checks import UNREADABLE, absent, disagreement, foreign_rows
from harness.report.settings import flat_words, parameter_words, unshared
from harness.store import LeftOut, RunFolder, read_curves, read_finished, read_tables

SAMPLING = "sampling"
"""Column of a finished run's tasks beside TASK_COLUMNS: how its trajectories were sampled, in words."""

PLACES: dict[str, type] = {
    "method_name": str,
    "trained_on": str,
    "seed": int,
    "method.plugin": str,
    "method.params": dict,
    "network.plugin": str,
    "network.params": dict,
    "train.source.name": str,
    "train.source.fingerprint": str,
    "train.source.component.plugin": str,
    "train.source.component.params": dict,
    "train.source.component.params.horizon": int,
    "train.sampling.trajectories": int,
    "train.outer.plugin": str,
    "train.outer.params": dict,
    "train.iterations": int,
    "train.meta_batch": int,
    "evaluations": list,
}
"""What a spec has where, as far as it is read."""

OF_EVALUATION: dict[str, type] = {
    "source.name": str,
    "source.component.plugin": str,
    "source.component.params": dict,
    "split": str,
    "sampling": dict,
    "n_tasks": int,
}
"""The same of each of its evaluations."""

OWN = ("run_id", "training_id", "seed")
"""Keys of a spec in which two runs of one method and training may differ."""

SHARED = ("train", "network", "evaluations", "protocol_version", "compute")
"""Keys in which all runs of one training must agree."""


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
    """Read them all. Raises WorkspaceError when finished runs disagree: two configurations under one name."""
    runs: list[FinishedRun] = []
    left_out: list[LeftOut] = []
    for folder in folders:
        run, missing = read_control_run(folder)
        runs += [run] if run else []
        left_out += missing
    runs.sort(key=lambda run: (natural(run.trained_on), natural(run.method), run.seed, run.run_id))
    _refuse_mixtures(runs)
    kept = [run.folder for run in runs if run.folder]
    frames = [run.episodes for run in runs]
    probes, without = _probes(runs)
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


def _refuse_mixtures(runs: Sequence[FinishedRun]) -> None:
    """Raise WorkspaceError when runs of one name have different settings: folders of several commands lie together."""
    seen: dict[tuple[str, ...], tuple[FinishedRun, dict[str, Any]]] = {}
    for run in runs:
        whole = {key: value for key, value in run.spec.items() if key not in OWN}
        shared = {key: run.spec.get(key) for key in SHARED}
        for key, value in (((run.trained_on, run.method), whole), ((run.trained_on,), shared)):
            other, known = seen.setdefault(key, (run, value))
            if other is not run and (found := list(differences_of(known, value))):
                raise WorkspaceError(mixture(other, run, found))


def _probes(runs: Sequence[FinishedRun]) -> tuple[pd.DataFrame, list[LeftOut]]:
    """The probes of `runs`, in their order, and the runs whose probes are damaged or another run's."""
    frames, without = [read_tables([], POLICY_PROBE_COLUMNS)[0]], []
    for run in runs:
        if run.folder is None or not (run.spec.get("probes") or run.folder.probes.exists()):
            continue
        found, unread = read_tables([run.folder.probes], POLICY_PROBE_COLUMNS)
        if unread or len(found) == 0:
            without += unread
        elif reason := disagreement("probes.parquet", run.columns, found):
            without.append(LeftOut(run_id=run.run_id, reason=reason))
        else:
            frames.append(found)
    return pd.concat(frames, ignore_index=True), without


def read_control_run(folder: RunFolder) -> tuple[FinishedRun | None, list[LeftOut]]:
    """A finished run, its episodes being its tasks; None, with the reason, for what cannot be used.

    Tasks have SAMPLING, and `network` with its parameters, as what is one network by its name may be two.
    """
    name = folder.path.name
    if not folder.path.is_dir():
        return None, [LeftOut(run_id=name, reason=absent(folder))]
    tasks, left_out = read_finished([(folder, folder.episodes)], TASK_COLUMNS)
    if left_out:
        reason = " ".join(left_out[0].reason.replace(f"{folder.path}/", "").split())
        return None, [LeftOut(run_id=name, reason=reason)]
    spec, status = folder.spec(), folder.status()
    if reason := _unfit(name, spec, tasks):
        return None, [LeftOut(run_id=name, reason=reason)]
    whole = tasks.assign(**{SAMPLING: _samplings(spec)}, network=_network_words(spec))
    # What a run was tested on twice has the same rows twice: the same tasks, met by the same trajectories.
    whole = whole.drop_duplicates(["source", "split", "fingerprint", SAMPLING, "episode"], ignore_index=True)
    return FinishedRun(run_id=name, spec=spec, status=status, episodes=whole, folder=folder), []


def _unfit(name: str, spec: Mapping[str, Any], tasks: pd.DataFrame) -> str:
    """Why the run in the folder `name` cannot be used, in a clause; empty when it can."""
    if not spec:
        return UNREADABLE
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
    yield from (place for place, kind in PLACES.items() if not _is(at(spec, place), kind))
    for number, one in enumerate(_evaluations(spec)):
        wrong = [place for place, kind in OF_EVALUATION.items() if not _is(at(one, place), kind)]
        yield from (f"evaluations[{number}].{place}" for place in wrong)


def _evaluations(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = spec.get("evaluations")
    return [one if isinstance(one, dict) else {} for one in found] if isinstance(found, list) else []


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _network_words(spec: Mapping[str, Any]) -> str:
    """`mlp, hidden 64 64, initial_std 1, min_std 1e-06`."""
    params = dict(spec["network"]["params"])
    name = str(params.pop("name", spec["network"]["plugin"]))
    return ", ".join(filter(None, [name, flat_words(params)]))


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
    for words in (tasks["fingerprint"].astype("string").str.slice(0, 6), tasks[SAMPLING].astype("string")):
        mark = words.groupby([source, tasks["split"]]).transform(_marks).astype("string")
        source = source.mask(mark != "", source + " [" + mark + "]")
    return tasks.assign(source=source)


def _marks(values: pd.Series) -> pd.Series:
    """What tells each of the values of one source from the others; empty where there is one only."""
    several = list(dict.fromkeys(map(str, values)))
    if len(several) < 2:
        return pd.Series("", index=values.index)
    marks = {value: ", ".join(parts) for value, parts in zip(several, unshared(several), strict=True)}
    return values.map(marks)
