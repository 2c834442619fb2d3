"""What a Ray worker does: look where it is and whether it may work here, have the pools, then the run."""

import functools
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from harness.attempt import Execute, Outcome, attempt, record_failure
from harness.interruption import DeferredInterrupt
from harness.node_pools import PoolOffer, ensure_pools
from harness.progress import Progress, Report
from harness.ray_session import keeping_its_core, ray_here
from harness.resources import Resources
from harness.spec import Launchable, RunSpec
from harness.store import Workspace

POST_SECONDS = 0.5
"""Between two notes of one state on the board."""


@dataclass(frozen=True, kw_only=True)
class Driver:
    """What a worker is told of the process that launches the runs.

    origin: where its code lies; None where the workers' may lie elsewhere. execute: None for `worker.execute`. here:
    whether all workers are on its machine. offer, server: the pools it has, and the actor that hands them out; None
    where workers need neither.
    """

    origin: str | None
    version: str
    execute: Execute | None
    resources: Resources
    here: bool
    offer: PoolOffer | None = None
    server: Any = None

    def unlike_here(self) -> str | None:
        """Why this process must not work for that driver; None where it may."""
        here = str(Path(harness.__file__).resolve())
        if self.origin in (None, here) and harness.__version__ == self.version:
            return None
        return (
            f"The worker uses harness {harness.__version__} from {here}, "
            f"the driver {self.version} from {self.origin}: install the same on both."
        )

    def place(self, workspace: Workspace) -> Workspace:
        """The driver's workspace as this node has it: with the cache named in its $HARNESS_CACHE, if one is."""
        named = None if self.here else os.environ.get("HARNESS_CACHE")
        return workspace.with_cache(Path(named).resolve()) if named else workspace

    def have_pools(self, run: Launchable, place: Workspace) -> None:
        """Have the pools of a run on images on this node. Raises as `node_pools.ensure_pools` does."""
        if self.offer is None or not isinstance(run, RunSpec):
            return
        ray = ray_here()

        def part(key: str, name: str, offset: int) -> bytes | None:
            asked = self.server.part.remote(key, name, offset)
            content: bytes | None = keeping_its_core(ray.get, asked)
            return content

        ensure_pools(run, place.cache, self.offer, part)


def in_worker(run: Launchable, workspace: Workspace, board: Any, driver: Driver) -> Outcome:
    """The task of a run; whatever goes wrong is an outcome and a record. workspace: as the driver has it."""
    heed_interrupts()
    board.begin.remote(run.run_id)
    place = driver.place(workspace)
    error = driver.unlike_here()
    if error is not None:
        record_failure(run, place, error)
        return Outcome(run_id=run.run_id, state="failed", error=error)
    if place.url is None and not place.runs.is_dir():
        error = (
            f"{socket.gethostname()} does not see {place.runs}: use a folder that all nodes of the cluster see by "
            "that path, or a URL such as --out s3://bucket/experiment."
        )
        return Outcome(run_id=run.run_id, state="failed", error=error, mistake=True)
    last: list[tuple[str, float]] = []

    def post(progress: Progress) -> None:
        now = time.monotonic()
        if not last or last[0][0] != progress.state or now - last[0][1] >= POST_SECONDS:
            last[:] = [(progress.state, now)]
            board.post.remote(progress)

    load_whole()
    execute = driver.execute or _sharing(run, workspace, board, driver)
    return attempt(run, place, post, _with_pools(driver, execute))


def heed_interrupts() -> None:
    """Ray interrupts by Ctrl-C's signal, which is ignored where a shell has started the driver in the background."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def load_whole() -> None:
    """Have all imported that runs need; an interrupt waits for that, and is raised then.

    Ray uses this process again, where half an import would break the next run.
    """
    with DeferredInterrupt() as interrupt:
        from harness.worker import load

        load()
    if interrupt.requested:
        raise KeyboardInterrupt


def _with_pools(driver: Driver, execute: Execute) -> Execute:
    """`execute`, after the run's pools are in this node's cache."""

    def executed(run: Launchable, workspace: Workspace, report: Report) -> None:
        if not workspace.folder(run.run_id).is_done:
            driver.have_pools(run, workspace)
        execute(run, workspace, report)

    return executed


def _sharing(run: Launchable, workspace: Workspace, board: Any, driver: Driver) -> Execute:
    """`worker.execute` as the resources ask, with other Ray workers to help where that was asked for."""
    from harness.worker import execute

    others: dict[str, Any] = {}
    if driver.resources.evaluation_shards > 1:
        from harness.ray_shards import Shards

        others["share"] = Shards(ray=ray_here(), workspace=workspace, board=board, driver=driver)
    if run.compute.training_workers > 1:
        from harness.ray_team import Recruiter

        others["recruit"] = Recruiter(ray=ray_here(), workspace=workspace, driver=driver)
    return functools.partial(execute, checkpoint_seconds=driver.resources.checkpoint_seconds, **others)
