"""Which runs of a folder share a training, found without reading every run's spec for every run."""

import json
import os
from functools import cache
from pathlib import Path

from harness.store import RunFolder


def siblings(runs: Path, run_id: str, training_id: str) -> list[RunFolder]:
    """The other runs in the folder `runs` that have this training, by name."""
    with os.scandir(runs) as entries:
        found = [entry.name for entry in entries if training_of(entry.path) == training_id]
    return [RunFolder(runs / name) for name in sorted(found) if name != run_id]


def training_of(run: str | os.PathLike[str]) -> str | None:
    """The training of the run in that folder; None where there is no spec, or a damaged one."""
    try:
        return _read_once(os.fspath(run))
    except (OSError, ValueError, KeyError, TypeError):
        return None


@cache
def _read_once(run: str) -> str:
    """A run's folder has the name of its content, so what a process has read once stays true; a failure is not kept."""
    return str(json.loads(Path(run, "spec.json").read_text(encoding="utf-8"))["training_id"])
