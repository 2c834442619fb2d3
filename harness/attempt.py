"""One run, executed so that whatever goes wrong becomes an outcome and a record."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.errors import HarnessError, WorkspaceError
from harness.heartbeat import Pulse, stop_beating
from harness.progress import Report
from harness.spec import Launchable
from harness.store import RunFolder, Workspace

Execute = Callable[[Any, Workspace, Report], None]
"""Does one run of its own kind: of images by default."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended. `seconds` is the wall clock of this launch, 0 for a run that was done before.

    `diverged`: its training would fail in the same way again. `mistake`: what went wrong is for the user to
    mend (a full disk, say), and `error` says how.
    """

    run_id: str
    state: str
    error: str | None = None
    seconds: float = 0.0
    diverged: bool = False
    mistake: bool = False


def attempt(run: Launchable, workspace: Workspace, report: Report, execute: Execute | None) -> Outcome:
    """Execute one run here. Only KeyboardInterrupt and its like get out.

    Of an experiment at a URL, what is there of the run is pulled before, and what came of it pushed after.
    """
    started = time.perf_counter()
    error, diverged, mistake, pulled = None, False, False, False
    folder = workspace.folder(run.run_id)
    pulse = Pulse(folder, report)
    try:
        if folder.mirror is not None:
            folder.mirror.pull(run.training_id)
        pulled = True
        (execute or _worker())(run, workspace, pulse)
        if folder.mirror is not None:
            folder.mirror.push()
    except KeyboardInterrupt:
        pulse.leave_last()
        _push_quietly(folder)
        raise
    except HarnessError as problem:
        error, mistake = str(problem), True
    except Exception as problem:  # the worker has written the traceback into the run's status
        error, diverged = f"{type(problem).__name__}: {problem}", _is_divergence(problem)
    if error is not None and folder.state != "failed" and not folder.is_done:  # done: it could not be pushed
        record_failure(run, workspace, error)
    if error is not None and pulled:  # else what is here may be less than what is there
        _push_quietly(folder)
    stop_beating(folder)
    return Outcome(
        run_id=run.run_id,
        state="done" if error is None else "failed",
        error=error,
        seconds=time.perf_counter() - started,
        diverged=diverged,
        mistake=mistake,
    )


def _push_quietly(folder: RunFolder) -> None:
    """Push what there is of a run that has failed or was interrupted, in one try: what cannot be sent stays here."""
    if folder.mirror is not None:
        with contextlib.suppress(WorkspaceError):
            folder.mirror.push(tries=1)


def _is_divergence(problem: Exception) -> bool:
    from harness.control.rollout import DynamicsError
    from harness.training import TrainingDivergedError

    return isinstance(problem, TrainingDivergedError | DynamicsError)


def _worker() -> Execute:
    from harness.worker import execute

    return execute


def record_failure(run: Launchable, workspace: Workspace, error: str, trace: str = "") -> None:
    """Write the failure of a run that could not do so itself; a disk that refuses is left alone."""
    folder = workspace.folder(run.run_id)
    with contextlib.suppress(HarnessError):
        if not folder.spec():
            folder.begin(run)
        folder.write_status("failed", error=error, traceback=trace)
        if folder.mirror is not None:  # its other files may be on another machine
            folder.mirror.push_status(tries=1)


def not_tried(run: Launchable, leader: Outcome, workspace: Workspace) -> Outcome:
    """The outcome of a run whose training, shared with `leader`, has diverged and would do so again."""
    error = f"Its training, shared with {leader.run_id}, failed: {leader.error}"
    record_failure(run, workspace, error)
    return Outcome(run_id=run.run_id, state="failed", error=error, diverged=True)
