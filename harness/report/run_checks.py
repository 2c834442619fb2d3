"""Whether a run that says it is done can be reported: its files belong together and hold what a run's files hold.

Files may have been cut, edited or copied here from elsewhere. What is asked of them is what a report reads, so that one
bad run is left out with its reason and never breaks the report of the others.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from harness.store import RunFolder

NAMES = {"method_name": str, "trained_on": str, "seed": int}
PARTS = ("method", "trainer", "network", "images", "train")
"""Keys that every spec has: those of NAMES with their types, and JSON objects."""

OBJECTS = (
    *("method.params", "trainer.params", "network.params"),
    *("train.shape", "train.validation_shape", "train.augmentation"),
)
"""Places of a spec at which there is a JSON object, null or nothing."""

SOURCES = ("train.sources", "train.validation_sources")
"""Places of a spec at which there is a list of objects with a name, null or nothing."""

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
    missing = [key for key in (*NAMES, *PARTS) if key not in spec]
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
    """The keys whose values are not of the type that they should be."""
    for key, kind in NAMES.items():
        if not isinstance(spec[key], kind) or isinstance(spec[key], bool):
            yield key
    yield from (key for key in PARTS if not isinstance(spec[key], dict))
    for place in OBJECTS:
        if not isinstance(at(spec, place), dict | None):
            yield place
    for place in SOURCES:
        found = at(spec, place)
        if found is not None and not (isinstance(found, list) and all(map(_is_source, found))):
            yield place


def at(spec: Mapping[str, Any], place: str) -> Any:
    """The value at `a.b`; None where there is none, or what should hold it is no object."""
    found: Any = spec
    for key in place.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _is_source(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return False
    return all(isinstance(at(value, place), dict | None) for place in ("component", "component.params"))


def _wrong_in_status(status: Mapping[str, Any]) -> Iterator[str]:
    for key in STATUS_NUMBERS:
        if not isinstance(status.get(key), int | float | None):
            yield key
    layers = status.get("adapted_layers")
    if layers is not None and not (isinstance(layers, list) and all(isinstance(one, str) for one in layers)):
        yield "adapted_layers"
