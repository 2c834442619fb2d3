"""Runs -> outcomes: one after another in this process, or side by side with Ray.

The only file that imports ray. Either way `worker.execute(spec, workspace, report)` does the work and gives
the same numbers. A failed run is an outcome, not an exception; the others go on. Runs that share a training
never run at the same time: the first trains, the rest take its checkpoint.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from harness.attempt import Execute, Outcome, attempt, not_tried, record_failure
from harness.errors import ConfigError, did_you_mean, named_choices
from harness.files import make_folder
from harness.progress import Progress, Report
from harness.schedule import Schedule
from harness.spec import RunSpec
from harness.store import Workspace

BACKENDS = ("ray", "serial")

POLL_SECONDS = 0.3
POST_SECONDS = 0.5
GRACE_SECONDS = 120.0
"""How long interrupted runs may take to write their checkpoints."""

WORKER_ENV = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""The environment of worker processes, unless it is set already."""

RAY_ENV = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # leave GPUs visible, and silence Ray's warning about it
    "RAY_DEDUP_LOGS": "0",
}


def launch(
    runs: Sequence[RunSpec],
    workspace: Workspace,
    *,
    backend: str = "ray",
    workers: int | None = None,
    address: str | None = None,
    on_progress: Report | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    execute: Execute | None = None,
) -> list[Outcome]:
    """Execute `runs`; one outcome each, in their order.

    Args:
        backend: `ray`, or `serial` for one after another in this process.
        workers: runs at the same time on this machine; None for one per core it may use. Ray only.
        address: of a running Ray cluster, which must see the same folders; None starts Ray on this machine.
        on_progress: called in this process, now and then, with what the runs say of themselves.
        on_outcome: called in this process whenever a run ends.
        execute: what does a run; None for `worker.execute`. With Ray, a function that workers can import.

    Raises ConfigError as `check_options` does and KeyboardInterrupt on Ctrl-C, after the runs in flight have
    saved their state.
    """
    check_options(backend, workers, address)
    place = Workspace(runs=make_folder(workspace.runs).resolve(), cache=workspace.cache.resolve())
    waiting = [run for run in runs if not place.folder(run.run_id).is_done]
    outcomes = {run.run_id: Outcome(run_id=run.run_id, state="done") for run in runs}
    if backend == "serial":
        ended = _serial(waiting, place, on_progress or _silent, execute)
    else:
        ended = _ray(waiting, place, workers or _cores(), address, on_progress or _silent, execute)
    with contextlib.closing(ended):
        for outcome in ended:
            outcomes[outcome.run_id] = outcome
            if on_outcome is not None:
                on_outcome(outcome)
    return [outcomes[run.run_id] for run in runs]


def check_options(backend: str, workers: int | None = None, address: str | None = None) -> None:
    """Raises ConfigError for an unknown backend, and for options that would have no effect."""
    if backend not in BACKENDS:
        raise ConfigError(
            f"The backend must be one of {named_choices(BACKENDS)}; got {backend!r}."
            f"{did_you_mean(backend, BACKENDS)}"
        )
    for option, value in (("--workers", workers), ("--address", address)):
        if backend == "serial" and value is not None:
            raise ConfigError(
                f"{option} {value} means nothing to --backend serial, which runs one after another in this "
                f"process: leave out {option}, or use --backend ray."
            )
    if workers is not None and address is not None:
        raise ConfigError(
            f"--workers {workers} is for Ray on this machine and has no effect with --address {address}, whose "
            "cluster decides how many runs it takes at the same time: leave out one of them."
        )


def _cores() -> int:
    """The cores that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _serial(
    runs: Iterable[RunSpec], workspace: Workspace, report: Report, execute: Execute | None
) -> Generator[Outcome]:
    diverged: dict[str, Outcome] = {}
    for run in runs:
        leader = diverged.get(run.training_id)
        if leader is not None:
            yield not_tried(run, leader, workspace)
            continue
        outcome = attempt(run, workspace, report, execute)
        if outcome.diverged:
            diverged[run.training_id] = outcome
        yield outcome


def _silent(progress: Progress) -> None:
    """Nobody watches."""


class Board:
    """Where workers pin what they have to say, and the driver reads it. Lives as a Ray actor."""

    def __init__(self) -> None:
        self._latest: dict[str, Progress] = {}

    def post(self, progress: Progress) -> None:
        """Replace what is known of that run."""
        self._latest[progress.run_id] = progress

    def drain(self) -> list[Progress]:
        """What is new since the last call."""
        latest, self._latest = list(self._latest.values()), {}
        return latest


def _ray(
    runs: Sequence[RunSpec],
    workspace: Workspace,
    workers: int,
    address: str | None,
    report: Report,
    execute: Execute | None,
) -> Generator[Outcome]:
    if not runs:
        return
    with _ray_started(workspace, min(workers, len(runs)), address) as ray:
        board = ray.remote(num_cpus=0)(Board).remote()
        if any(run.compute.device == "cuda" for run in runs) and not ray.cluster_resources().get("GPU"):
            raise ConfigError(
                "Compute.device is 'cuda', but Ray knows of no GPU in its cluster. Start Ray on a machine that has one "
                "(`ray start --num-gpus 1`), or set Compute.device = 'cpu'."
            )
        task = ray.remote(num_cpus=1, max_retries=0)(_in_worker)
        on_gpu = task.options(num_gpus=1)
        driver = _Driver(
            origin=None if address else str(Path(harness.__file__).resolve()),
            version=harness.__version__,
            execute=execute,
        )
        schedule, flying = Schedule(runs), {}

        def start(ready: Iterable[RunSpec]) -> None:
            for run in ready:
                chosen = on_gpu if run.compute.device == "cuda" else task
                flying[chosen.remote(run, workspace, board, driver)] = run

        start(schedule.first())
        try:
            while flying:
                landed, _ = ray.wait(list(flying), timeout=POLL_SECONDS)
                for progress in ray.get(board.drain.remote()):
                    report(progress)
                for reference in landed:
                    run = flying.pop(reference)
                    outcome = _landed(ray, reference, run, workspace)
                    dropped = schedule.drop(run) if outcome.diverged else []
                    start(schedule.after(run, trained=outcome.state == "done"))
                    yield outcome
                    for sibling in dropped:
                        yield not_tried(sibling, outcome, workspace)
        except (KeyboardInterrupt, GeneratorExit):
            for reference in flying:
                ray.cancel(reference)
            if flying:
                ray.wait(list(flying), num_returns=len(flying), timeout=GRACE_SECONDS)
            raise


@contextlib.contextmanager
def _ray_started(workspace: Workspace, workers: int, address: str | None) -> Iterator[Any]:
    """Ray, running and quiet, for as long as the block lasts.

    Ray puts the driver's working directory first on every worker's sys.path, so the driver stands in the runs
    folder, which holds no code.
    """
    for name, value in RAY_ENV.items():
        os.environ.setdefault(name, value)
    import ray

    env = {name: os.environ.get(name, value) for name, value in WORKER_ENV.items()}
    options: dict[str, Any] = {
        "runtime_env": {"env_vars": env},
        "log_to_driver": False,
        "logging_level": "ERROR",
    }
    if address:
        options |= {"address": address}
    else:
        options |= {
            "address": "local",  # None would join a cluster that runs on this machine
            "num_cpus": workers,
            "include_dashboard": False,
            "object_store_memory": 100 * 1024 * 1024,
        }
    with contextlib.chdir(workspace.runs):
        try:
            try:
                with _own_sigterm():
                    ray.init(**options)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise ConfigError(
                    f"Ray cannot start{f' at {address!r}' if address else ''}: {error}. "
                    "Check --address, or use --backend serial."
                ) from error
            yield ray
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep this process's answer to SIGTERM: `ray.init` puts its own there, which kills without saving."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if before is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


@dataclass(frozen=True, kw_only=True)
class _Driver:
    """What a worker is told: where the driver's code lies (None: elsewhere is fine), and what to execute."""

    origin: str | None
    version: str
    execute: Execute | None


def _in_worker(run: RunSpec, workspace: Workspace, board: Any, driver: _Driver) -> Outcome:
    """What a Ray worker does: check that it has the driver's code, then the run."""
    here = str(Path(harness.__file__).resolve())
    if driver.origin not in (None, here) or harness.__version__ != driver.version:
        error = (
            f"The worker uses harness {harness.__version__} from {here}, "
            f"the driver {driver.version} from {driver.origin}: install the same on both."
        )
        record_failure(run, workspace, error)
        return Outcome(run_id=run.run_id, state="failed", error=error)
    last: list[tuple[str, float]] = []

    def post(progress: Progress) -> None:
        now = time.monotonic()
        if not last or last[0][0] != progress.state or now - last[0][1] >= POST_SECONDS:
            last[:] = [(progress.state, now)]
            board.post.remote(progress)

    return attempt(run, workspace, post, driver.execute)


def _landed(ray: Any, reference: Any, run: RunSpec, workspace: Workspace) -> Outcome:
    """The outcome of a task that has ended, also when its process died."""
    try:
        outcome: Outcome = ray.get(reference)
    except KeyboardInterrupt:
        raise
    except Exception as problem:  # whatever Ray says, the run failed and the others go on
        text = str(problem)
        error = f"{type(problem).__name__}: {text.strip().rpartition(chr(10))[2]}"
        if isinstance(problem, ray.exceptions.WorkerCrashedError | ray.exceptions.OutOfMemoryError):
            error = (
                "The worker process was killed, most likely because memory ran out. Use fewer --workers; "
                "the same command resumes from the last checkpoint."
            )
        record_failure(run, workspace, error, text)
        outcome = Outcome(run_id=run.run_id, state="failed", error=error)
    return outcome
