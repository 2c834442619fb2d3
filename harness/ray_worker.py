"""What a Ray worker does: look where it is, have its pools, then the run; and the board where it says how far it is."""

import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from harness.attempt import Execute, Outcome, attempt, record_failure
from harness.node_pools import PoolOffer, ensure_pools
from harness.progress import Progress, Report
from harness.ray_session import result_of
from harness.spec import RunSpec
from harness.store import Workspace

POST_SECONDS = 0.5


class Board:
    """Where workers pin what they have to say, and the driver reads it. Lives as a Ray actor."""

    def __init__(self) -> None:
        self._latest: dict[str, Progress] = {}
        self._begun: list[str] = []

    def begin(self, run_id: str) -> None:
        """A worker has taken up that run."""
        self._begun.append(run_id)

    def post(self, progress: Progress) -> None:
        """Replace what is known of that run."""
        self._latest[progress.run_id] = progress

    def drain(self) -> tuple[list[str], list[Progress]]:
        """What is new since the last call: runs that began, and how far runs are."""
        begun, self._begun = self._begun, []
        latest, self._latest = list(self._latest.values()), {}
        return begun, latest


@dataclass(frozen=True, kw_only=True)
class Driver:
    """What a worker is told of the process that launches the runs.

    origin: where its code lies; None where the workers' may lie elsewhere. here: whether all workers are on its
    machine. offer, server: the pools it has, and the actor that hands them out; None where workers need neither.
    """

    origin: str | None
    version: str
    execute: Execute | None
    here: bool
    offer: PoolOffer | None = None
    server: Any = None


def in_worker(run: RunSpec, workspace: Workspace, board: Any, driver: Driver) -> Outcome:
    """The run, on this node; whatever goes wrong is an outcome and a record."""
    # Ray interrupts by Ctrl-C's signal, which is ignored where a shell has started the driver in the background.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    board.begin.remote(run.run_id)
    place = workspace if driver.here else on_this_node(workspace)
    here = str(Path(harness.__file__).resolve())
    if driver.origin not in (None, here) or harness.__version__ != driver.version:
        error = (
            f"The worker uses harness {harness.__version__} from {here}, "
            f"the driver {driver.version} from {driver.origin}: install the same on both."
        )
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

    return attempt(run, place, post, _with_pools(driver))


def on_this_node(workspace: Workspace) -> Workspace:
    """With the cache that this node names in $HARNESS_CACHE; without one, that of the driver."""
    named = os.environ.get("HARNESS_CACHE")
    return workspace.with_cache(Path(named).resolve() if named else workspace.cache)


def _with_pools(driver: Driver) -> Execute | None:
    """What executes a run, after its pools are in this node's cache."""
    if driver.offer is None:
        return driver.execute
    offer, server = driver.offer, driver.server

    def part(key: str, name: str, offset: int) -> bytes | None:
        content: bytes | None = result_of(server.part.remote(key, name, offset))
        return content

    def execute(run: RunSpec, workspace: Workspace, report: Report) -> None:
        if not workspace.folder(run.run_id).is_done:
            ensure_pools(run, workspace.cache, offer, part)
        if driver.execute is not None:
            driver.execute(run, workspace, report)
        else:
            from harness.worker import execute as work

            work(run, workspace, report)

    return execute
