"""The state of a training, on disk: everything that resuming needs to give the same numbers."""

import io
import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from harness.files import explained, write_aside
from harness.learner import Learner
from harness.siblings import siblings
from harness.spec import Launchable
from harness.store import RunFolder, Workspace


@dataclass(kw_only=True)
class TrainingState:
    """Where a training stands.

    `iteration` updates are done. `best_valid` and `best_iteration` are of the checkpoint kept in `best`.
    `seconds` of wall time so far, `waiting_seconds` of them spent waiting for training episodes.
    `loss_sum` over `loss_count` iterations is the loss since the last line of the curve; `last_loss` and
    `last_valid` are those of that line. `updates_by_workers`: of a training that several workers share, how many
    updates how many workers made.
    """

    iteration: int = 0
    seconds: float = 0.0
    waiting_seconds: float = 0.0
    best_valid: float = -math.inf
    best_iteration: int = 0
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    loss_sum: float = 0.0
    loss_count: int = 0
    last_loss: float | None = None
    last_valid: float | None = None
    updates_by_workers: dict[int, int] = field(default_factory=dict)


def save(
    folder: RunFolder,
    training_id: str,
    learner: Learner,
    optimiser: torch.optim.Optimizer,
    state: TrainingState,
) -> None:
    """Write the checkpoint, whole or not at all; the one before it stays beside it, should this one get damaged."""
    content = {
        "training_id": training_id,
        "learner": learner.state_dict(),
        "optimiser": optimiser.state_dict(),
        "state": {
            name: value for name, value in vars(state).items() if name != "updates_by_workers" or value
        },
    }
    write(folder, content)


def write(folder: RunFolder, content: dict[str, Any]) -> None:
    """Write a checkpoint of any content that has its `training_id`; the one before it stays beside it."""
    if folder.checkpoint.exists():
        with explained(folder.checkpoint):
            folder.checkpoint.replace(folder.previous_checkpoint)
    _write(folder.checkpoint, content)


def save_snapshot(path: Path, training_id: str, learner: Learner) -> None:
    """Write the learner alone, whole or not at all; `load` reads it."""
    _write(path, {"training_id": training_id, "learner": learner.state_dict()})


def _write(path: Path, content: dict[str, Any]) -> None:
    # Through memory: torch's own writer reports a full disk as an internal error, Python's as what it is.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_aside(path, lambda aside: aside.write_bytes(buffer.getbuffer()))


def load(path: Path, training_id: str) -> dict[str, Any] | None:
    """The checkpoint's content; None when it is not there, is damaged, or belongs to another training.

    Only tensors and plain values are unpickled (`weights_only`), so a foreign file cannot run code.
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises many kinds for a damaged file; all mean the same here
        return None
    known = isinstance(content, dict) and content.get("training_id") == training_id
    return content if known else None


def latest(folder: RunFolder, training_id: str) -> tuple[Path, dict[str, Any]] | None:
    """The file and content of a run's last checkpoint that can be read; None where there is none."""
    for path in (folder.checkpoint, folder.previous_checkpoint):
        content = load(path, training_id)
        if content is not None:
            return path, content
    return None


def restore(content: dict[str, Any], learner: Learner, optimiser: torch.optim.Optimizer) -> TrainingState:
    """Put a loaded checkpoint back into the learner and the optimiser."""
    learner.load_state_dict(content["learner"])
    optimiser.load_state_dict(content["optimiser"])
    return TrainingState(**content["state"])


def adopt(spec: Launchable, workspace: Workspace) -> RunFolder | None:
    """Take over the furthest checkpoint, with its curve and snapshots, of any run that shares this training.

    Returns that run; None where the run has gone as far itself, or no other shares its training.
    Runs of one training differ only in how they predict, so a learner trained once serves them all.
    """
    folder = workspace.folder(spec.run_id)
    own = _iteration(latest(folder, spec.training_id))
    reached = [
        (_iteration(found), found[0], sibling)
        for sibling in siblings(workspace.runs, spec.run_id, spec.training_id)
        if (found := latest(sibling, spec.training_id)) is not None
    ]
    if not reached:
        return None
    best, path, source = max(reached, key=lambda one: one[0])
    if best <= own:
        return None
    write_aside(folder.checkpoint, lambda aside: shutil.copyfile(path, aside))
    for iteration in getattr(getattr(spec, "train", None), "snapshots", ()):
        if (kept := source.snapshot(iteration)).exists():
            write_aside(
                folder.snapshot(iteration),
                lambda aside, kept=kept: shutil.copyfile(kept, aside),  # type: ignore[misc]
            )
    curve = source.path / "curve.jsonl"
    if curve.exists():
        write_aside(folder.path / "curve.jsonl", lambda aside: shutil.copyfile(curve, aside))
    return source


def _iteration(found: tuple[Path, dict[str, Any]] | None) -> int:
    return -1 if found is None else int(found[1]["state"]["iteration"])
