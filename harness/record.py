"""What an experiment's folder knows beside its runs: what they are made for, and how long they took.

    <out>/runs/experiment.json, config.gin   what the runs are made for, written before the first one starts
    <out>/experiment.json, config.gin        copies of these, written with the report

So what lies beside a report belongs to that report, also when a changed experiment was begun and interrupted.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import harness
from harness.across_stage import across_files
from harness.cost import duration
from harness.demo import MARK
from harness.distance_stage import distance_file, probe_runs
from harness.errors import WorkspaceError
from harness.files import write_json, write_text
from harness.json_kinds import strays
from harness.plan import Plan
from harness.plugin_code import plugin_digests
from harness.search.recorded import WRITTEN_AGAIN, RecordedSearch, read_search
from harness.store import RunFolder, Workspace, run_folders

RECORD, CONFIG = "experiment.json", "config.gin"


@dataclass(frozen=True, kw_only=True)
class _LeftOut:
    source: str
    where: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class _Verdicts:
    margin_points: float
    full_adaptation: str | None


KINDS: Mapping[str, Any] = {
    **dict.fromkeys(("name", "title", "claim", "command"), str),
    **dict.fromkeys(("raw_data", "subsets", "distances", "across"), tuple[str, ...]),
    "left_out": tuple[_LeftOut, ...],
    "verdicts": _Verdicts | None,
}
"""What a report needs to stand under the keys of a record, where it has them."""

EARLIER = "earlier_runs"
"""In a record whose trials are still tried: results of the same search, which its choice may lead to again."""


def write_record(
    before: dict[str, Any],
    planned: Plan,
    command: str,
    config: str,
    workspace: Workspace,
    search: RecordedSearch | None = None,
) -> None:
    """Write what a report must know and the runs do not, and the config that the runs are made for.

    before: the record that is there; what it says of the time is kept when it is about the same runs and some
    of them are still here. search: how the runs' settings are chosen; while its trials run, the plan has no runs yet,
    and what `before` knows of later trials and of results stays, so that nobody takes them for unused.
    """
    experiment = planned.experiment
    runs = [run.run_id for run in planned.runs]
    settings = experiment.dissimilarity
    distances = [distance_file(run, settings) for run in probe_runs(planned)] if settings else []
    made = [*runs, *(search.trial_runs if search else ())]
    same = _is_the_same(before, runs, search) and any(workspace.folder(run).path.is_dir() for run in made)
    value: dict[str, Any] = {
        "name": experiment.name,
        "title": experiment.title,
        "claim": experiment.claim,
        "command": command,
        "harness": harness.__version__,
        "raw_data": sorted(
            {
                need.dataset.name
                for need in planned.pools
                if need.dataset.needs_data and not need.dataset.name.endswith(MARK)
            }
        ),
        "left_out": [
            {"source": left.source, "where": left.where, "reason": left.reason} for left in planned.left_out
        ],
        "subsets": list(planned.subsets),
        "verdicts": {
            "margin_points": experiment.margin_points,
            "full_adaptation": experiment.full_adaptation,
        },
        "distances": distances,
        "across": [name for name, _ in across_files(planned)],
        "plugins": plugin_digests(run.to_json() for run in planned.runs),
        "runs": runs,
    }
    if search is not None:
        earlier = _search_of(before, Path(RECORD)) if same and not runs else None
        value["search"] = (search.with_later(earlier) if earlier else search).to_json()
        if earlier and (results := earlier_runs(before)):
            value[EARLIER] = results
    keep_record(value, before if same else {}, config, workspace, made)


def keep_record(
    value: dict[str, Any], same: dict[str, Any], config: str, workspace: Workspace, made: Sequence[str]
) -> None:
    """Write the record `value` and the config, with the times of `same`: the record before of the same runs, or {}.

    made: all runs that the record is about.
    """
    if same:
        value |= {key: same[key] for key in ("seconds", "time_missing", "started") if key in same}
    else:
        value["started"] = datetime.now(UTC).isoformat(timespec="seconds")
        if any(workspace.folder(run).is_done for run in made):
            value["time_missing"] = True  # that of runs which other commands made
    write_text(workspace.runs / CONFIG, config)
    write_json(workspace.runs / RECORD, value)


def _is_the_same(before: dict[str, Any], runs: list[str], search: RecordedSearch | None) -> bool:
    """Whether the record `before` is about these runs; with a search, about runs of these trials."""
    earlier = _search_of(before, Path(RECORD))
    if search is None:
        return earlier is None and before.get("runs") == runs
    return search.is_of_same_trials(earlier) and (not runs or before.get("runs") in ([], runs))


@contextmanager
def timed(runs: Path, began: float, working: bool) -> Iterator[None]:
    """Add the time since `began` to the record, however the block ends, unless there is nothing to do.

    Meanwhile the record says that time is missing in it, and that stays when this process is killed.
    """
    if not working:
        yield
        return
    record = read_record(runs.parent)
    write_json(runs / RECORD, {**record, "time_missing": True})
    try:
        yield
    finally:
        seconds = record.get("seconds", 0) + time.perf_counter() - began
        write_json(runs / RECORD, {**record, "seconds": round(seconds, 1)})


def took(record: dict[str, Any], runs: Sequence[RunFolder]) -> str:
    """How long the experiment took, in words; no more than is known when a command was killed."""
    seconds = _seconds(record, "seconds")
    if record.get("time_missing"):
        keys = ("training_seconds", "evaluation_seconds")
        seconds = max([seconds, *(sum(_seconds(run.status(), key) for key in keys) for run in runs)])
    least = "at least " if record.get("time_missing") else ""
    return f"{least}{duration(seconds)} of wall clock" if seconds else ""


def _seconds(values: Mapping[str, Any], key: str) -> float:
    """What is recorded there; 0 for what is missing or damaged."""
    found = values.get(key)
    return found if isinstance(found, int | float) else 0.0


def read_record(folder: Path) -> dict[str, Any]:
    """The record of the runs in `folder`, else that of its report; empty when there is none.

    Raises WorkspaceError when it is damaged.
    """
    path = next((path for path in (folder / "runs" / RECORD, folder / RECORD) if path.exists()), None)
    return {} if path is None else read_file(path)


def read_file(path: Path) -> dict[str, Any]:
    """The record in the file `path`. Raises WorkspaceError when it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WorkspaceError(f"{path} cannot be read ({error}). {WRITTEN_AGAIN}") from error
    if not isinstance(value, dict) or not all(_are_names(value.get(key, ())) for key in ("runs", EARLIER)):
        raise WorkspaceError(f"{path} is damaged or foreign. {WRITTEN_AGAIN}")
    if wrong := [
        place for key, kind in KINDS.items() if key in value for place in strays(value[key], kind, key)
    ]:
        raise WorkspaceError(f"{path} is damaged: it has another kind of {', '.join(wrong)}. {WRITTEN_AGAIN}")
    _search_of(value, path)
    return value


def _search_of(record: dict[str, Any], path: Path) -> RecordedSearch | None:
    return read_search(record.get("search"), path)


def recorded_runs(folder: Path) -> list[RunFolder]:
    """The results of the last `harness run` in `folder`, begun or not; without a record of one, all that are there.

    Raises WorkspaceError when the record is damaged.
    """
    runs, record = folder / "runs", read_record(folder)
    listed = [RunFolder(runs / run_id) for run_id in record.get("runs", ())]
    return listed if listed or "search" in record else run_folders(runs) if runs.is_dir() else []


def recorded_search(folder: Path) -> RecordedSearch | None:
    """The search of the last `harness run` in `folder`, where it has one. WorkspaceError when the record is damaged."""
    return _search_of(read_record(folder), folder / RECORD)


def earlier_runs(record: dict[str, Any]) -> list[str]:
    """The results that a record with a search knows of: its own, else those of the same search before its trials."""
    return list(record.get("runs") or record.get(EARLIER, ()))


def recorded_trials(folder: Path) -> list[RunFolder]:
    """The runs of that search's trials, begun or not. Raises WorkspaceError when the record is damaged."""
    search = recorded_search(folder)
    return [RunFolder(folder / "runs" / run_id) for run_id in (search.trial_runs if search else ())]


def _are_names(runs: Any) -> bool:
    """Whether these are names of folders, and of nothing elsewhere."""
    return isinstance(runs, list | tuple) and all(
        isinstance(run, str) and run not in ("", ".", "..") and Path(run).name == run for run in runs
    )
