"""What a Ray worker does: check that it has the driver's code, then a run."""

import functools
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from harness.attempt import Execute, Outcome, attempt, record_failure
from harness.progress import Progress
from harness.ray_session import ray_here
from harness.resources import Resources
from harness.spec import RunSpec
from harness.store import Workspace

POST_SECONDS = 0.5
"""Between two notes of one state on the board."""


@dataclass(frozen=True, kw_only=True)
class Driver:
    """What a worker is told: where the driver's code lies (None: elsewhere is fine), and what to execute.

    execute: None for `worker.execute`.
    """

    origin: str | None
    version: str
    execute: Execute | None
    resources: Resources

    def unlike_here(self) -> str | None:
        """Why this process must not work for that driver; None where it may."""
        here = str(Path(harness.__file__).resolve())
        if self.origin in (None, here) and harness.__version__ == self.version:
            return None
        return (
            f"The worker uses harness {harness.__version__} from {here}, "
            f"the driver {self.version} from {self.origin}: install the same on both."
        )


def driver_here(execute: Execute | None, resources: Resources, *, elsewhere: bool) -> Driver:
    """This process as the driver. elsewhere: its workers may have their code in another place."""
    origin = None if elsewhere else str(Path(harness.__file__).resolve())
    return Driver(origin=origin, version=harness.__version__, execute=execute, resources=resources)


def in_worker(run: RunSpec, workspace: Workspace, board: Any, driver: Driver) -> Outcome:
    """The task of a run."""
    heed_interrupts()
    board.begin.remote(run.run_id)
    error = driver.unlike_here()
    if error is not None:
        record_failure(run, workspace, error)
        return Outcome(run_id=run.run_id, state="failed", error=error)
    last: list[tuple[str, float]] = []

    def post(progress: Progress) -> None:
        now = time.monotonic()
        if not last or last[0][0] != progress.state or now - last[0][1] >= POST_SECONDS:
            last[:] = [(progress.state, now)]
            board.post.remote(progress)

    return attempt(run, workspace, post, driver.execute or _sharing(run, workspace, board, driver))


def heed_interrupts() -> None:
    """Ray interrupts by Ctrl-C's signal, which is ignored where a shell has started the driver in the background."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _sharing(run: RunSpec, workspace: Workspace, board: Any, driver: Driver) -> Execute:
    """`worker.execute`, with other Ray workers to help where that was asked for."""
    from harness.worker import execute

    others: dict[str, Any] = {}
    if driver.resources.evaluation_shards > 1:
        from harness.ray_shards import Shards

        others["share"] = Shards(ray=ray_here(), board=board, driver=driver)
    if run.compute.training_workers > 1:
        from harness.ray_team import Recruiter

        others["recruit"] = Recruiter(ray=ray_here(), workspace=workspace, driver=driver)
    return functools.partial(execute, **others)
