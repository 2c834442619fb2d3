"""Stands in for `worker.execute` where a test is about launching, not about learning."""

import os
import signal
import time

from harness.progress import Progress, Report
from harness.spec import RunSpec
from harness.store import Workspace
from harness.training import TrainingDivergedError


def execute(run: RunSpec, workspace: Workspace, report: Report) -> None:
    """Seed 1 fails, 2 is killed, 3 waits to be interrupted, 4 diverges, 5 is killed once; all others finish."""
    folder = workspace.folder(run.run_id)
    folder.begin(run)
    folder.write_status("training", process=os.getpid())
    if run.seed == 1:
        raise ValueError("made to fail")
    if run.seed == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if run.seed == 5 and not (folder.path / "tried").exists():
        (folder.path / "tried").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if run.seed == 4:
        raise TrainingDivergedError("the loss is nan")
    try:
        for done in range(3):
            report(Progress(run_id=run.run_id, state="training", done=done, total=3, per_second=1.0))
            for _ in range(600 if run.seed == 3 else 1):
                time.sleep(0.05)  # Ray's interrupt does not cut a sleep short
    except KeyboardInterrupt:
        folder.write_status("interrupted")
        raise
    (folder.path / "began").write_text(str(time.time()))
    folder.episodes.write_bytes(b"made up, PAR1")
    folder.write_status("done")
