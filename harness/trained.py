"""The learner of a finished run, as its evaluation had it."""

from pathlib import Path
from typing import Any

from harness import checkpoint, plugins
from harness.checkpoint import TrainingState
from harness.errors import WorkspaceError
from harness.learner import Learner
from harness.selection import select
from harness.spec import RunSpec
from harness.store import Workspace
from harness.worker import fresh_learner


def trained_learner(spec: RunSpec, workspace: Workspace) -> Learner:
    """The selected checkpoint's learner, in evaluation mode.

    Raises WorkspaceError where the run's checkpoint is not there or is damaged.
    """
    learner, content = _loaded(spec, workspace.folder(spec.run_id).checkpoint)
    chosen, _ = select(spec.selection, learner, TrainingState(**content["state"]))
    learner.load_state_dict(chosen)
    return learner.eval()


def snapshot_learner(spec: RunSpec, workspace: Workspace, iteration: int) -> Learner:
    """The learner as it was after `iteration` updates, one of `spec.train.snapshots`, in evaluation mode.

    Raises WorkspaceError as `trained_learner` does.
    """
    return _loaded(spec, workspace.folder(spec.run_id).snapshot(iteration))[0].eval()


def _loaded(spec: RunSpec, path: Path) -> tuple[Learner, dict[str, Any]]:
    content = checkpoint.load(path, spec.training_id)
    if content is None:
        raise WorkspaceError(
            f"The checkpoint {path} is damaged, or was removed (by `harness clean --checkpoints`, say). To have "
            "it again, delete the folder of that run and run the experiment's command; the other runs are kept."
        )
    learner = fresh_learner(
        spec, plugins.build(plugins.METHODS, spec.trainer), plugins.build(plugins.NETWORKS, spec.network)
    )
    learner.load_state_dict(content["learner"])
    return learner, content
