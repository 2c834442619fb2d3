"""Whether a run that says it is done can be reported: its files belong together and hold what a run's files hold.

Files may have been cut, edited or copied here from elsewhere. What is asked of them is what a report reads, so that one
bad run is left out with its reason and never breaks the report of the others.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from harness.json_kinds import strays
from harness.spec import RunSpec
from harness.store import RunFolder

NEEDED = ("method_name", "trained_on", "seed", "method", "trainer", "network", "images", "train")
"""Keys that every spec has."""

STATUS_NUMBERS = (
    *("iterations", "selected_iteration", "training_seconds", "waiting_seconds", "evaluation_seconds"),
    "peak_memory_mb",
)

UNREADABLE = "spec.json is missing or damaged; `harness retry` makes it again"


def absent(folder: RunFolder) -> str:
    """Why a run's folder is not there."""
    return "never started" if folder.path.parent.is_dir() else "the runs are not here, only their report"


def unfit(
    name: str, spec: Mapping[str, Any], status: Mapping[str, Any], episodes: pd.DataFrame
) -> str | None:
    """Why the run in the folder `name` cannot be used, in a clause; None when it can.

    spec, status: JSON data. episodes: columns as in results.EPISODE_COLUMNS.
    """
    if not spec:
        return UNREADABLE
    missing = [key for key in NEEDED if key not in spec]
    if missing:
        return f"spec.json is missing, damaged or foreign: it has no {', '.join(missing)}"
    if wrong := list(_wrong_in_spec(spec)):
        return f"spec.json is damaged or foreign: it has another kind of {', '.join(wrong)}"
    if wrong := list(_wrong_in_status(status)):
        return f"status.json is damaged: it has another kind of {', '.join(wrong)}"
    if spec.get("run_id", name) != name:
        return f"spec.json is that of the run {spec['run_id']}"
    return _unfit_episodes(name, spec, episodes)


def _unfit_episodes(name: str, spec: Mapping[str, Any], episodes: pd.DataFrame) -> str | None:
    if reason := foreign_rows(name, spec, episodes):
        return reason
    if not episodes["accuracy"].between(0, 1).all():
        return "episodes.parquet holds accuracies that are no numbers from 0 to 1"
    return None


def foreign_rows(name: str, spec: Mapping[str, Any], episodes: pd.DataFrame) -> str | None:
    """Why the rows of episodes.parquet are not those of the run in the folder `name` alone; None when they are."""
    if episodes.empty:
        return "episodes.parquet holds no episodes"
    strangers = sorted(set(episodes["run_id"].unique()) - {name})
    if strangers:
        return f"episodes.parquet holds episodes of the run {', '.join(map(str, strangers))}"
    for column, key in (("method", "method_name"), ("trained_on", "trained_on"), ("seed", "seed")):
        if set(episodes[column].unique()) != {spec[key]}:
            return f"episodes.parquet and spec.json disagree about {column}"
    return None


def disagreement(file: str, own: Mapping[str, object], rows: pd.DataFrame) -> str:
    """Why the rows of `file` are not of the run whose columns are `own`, in a clause; empty when they are."""
    wrong = [column for column, value in own.items() if set(rows[column].unique()) != {value}]
    return f"{file} and spec.json disagree about {', '.join(wrong)}" if wrong else ""


def _wrong_in_spec(spec: Mapping[str, Any]) -> Iterator[str]:
    """The places whose values are not of the kind that they should be."""
    wrong = list(strays(spec, RunSpec))
    yield from wrong
    if wrong:
        return
    train, tests = spec["train"], spec.get("evaluations", ())
    sources = {f"train.{key}": train.get(key, ()) for key in ("sources", "validation_sources")}
    sources["evaluations"] = [test["source"] for test in tests if "source" in test]
    yield from (place for place, found in sources.items() if not all("name" in source for source in found))


def _wrong_in_status(status: Mapping[str, Any]) -> Iterator[str]:
    for key in STATUS_NUMBERS:
        if not isinstance(status.get(key), int | float | None):
            yield key
    if list(strays(status.get("adapted_layers", []), tuple[str, ...])):
        yield "adapted_layers"
