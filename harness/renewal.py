"""`harness run --fresh`: the experiment's runs are deleted before it begins, here and at its URL."""

import shutil
from collections.abc import Collection, Sequence

from harness.files import explained
from harness.spec import Launchable
from harness.stage import Stage
from harness.store import run_folders


def delete_runs(
    runs: Sequence[Launchable],
    stage: Stage,
    *,
    others: Collection[str] = (),
    tables: Collection[str] = (),
) -> None:
    """Delete `runs`, those named `others`, and all that share a training with one of them.

    The latter because a run takes over the checkpoint of whichever run has its training. tables: files right below
    the folder of the runs that go, too.
    """
    workspace = stage.workspace
    own = {*(run.run_id for run in runs), *others}
    trainings = {run.training_id for run in runs}
    trainings |= {str(spec["training_id"]) for run_id in others if (spec := workspace.folder(run_id).spec())}
    removed = [
        folder.path
        for folder in run_folders(workspace.runs)
        if folder.path.name in own or folder.spec().get("training_id") in trainings
    ]
    if stage.mirror:
        stage.mirror.delete((path.name for path in removed), sorted(tables))
    for path in removed:
        with explained(path):
            shutil.rmtree(path)
    for name in tables:
        with explained(workspace.runs / name):
            (workspace.runs / name).unlink(missing_ok=True)
