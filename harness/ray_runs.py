"""Runs side by side, one a Ray task: started longest first, watched, stopped when overdue, tried again when lost."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import harness
from harness.attempt import Execute, Outcome, not_tried, record_failure
from harness.errors import ConfigError
from harness.local_resources import cores_for_ray
from harness.node_pools import PoolServer, offer_of
from harness.progress import Progress, Report
from harness.ray_board import Board
from harness.ray_session import on_this_machine, ray_started
from harness.ray_worker import Driver, in_worker
from harness.resources import Resources
from harness.schedule import Schedule
from harness.spec import Launchable
from harness.store import Workspace

POLL_SECONDS = 0.3

MOST_AHEAD, AHEAD_A_CORE = 256, 4
"""Runs that Ray has at a time, at least, and for each core of the cluster. Each takes the driver's memory and time."""

GRACE_SECONDS = 120.0
"""How long interrupted runs may take to write their checkpoints."""

ASK_AGAIN_SECONDS = 30.0
"""Between two interrupts of an overdue run: one can be lost in the import of a library."""


@dataclass(kw_only=True)
class _Flight:
    """A run that Ray has. tries: how often it was begun. began, stopping: since when it runs, and is being stopped.

    asked: when it was last interrupted.
    """

    run: Launchable
    tries: int = 1
    began: float | None = None
    stopping: float | None = None
    asked: float = 0.0


def ray_outcomes(
    runs: Sequence[Launchable],
    workspace: Workspace,
    *,
    workers: int | None,
    address: str | None,
    resources: Resources,
    data_dir: Path | None,
    report: Report,
    say: Callable[[str], None],
    execute: Execute | None,
) -> Generator[Outcome]:
    """The outcomes of `runs` as they land, see `launch.launch`; runs in flight are interrupted when it is closed."""
    if not runs:
        return
    most = max(resources.evaluation_shards, *(run.compute.training_workers for run in runs))
    cores = cores_for_ray(len(runs) * most, workers, resources)
    with ray_started(workspace, cores, address, say) as ray:
        driver = _driver(ray, runs, workspace, data_dir, execute, resources, here=address is None)
        fleet = _Fleet(ray=ray, workspace=workspace, resources=resources, driver=driver)
        fleet.check(runs)
        schedule = Schedule(runs)
        fleet.start(schedule.first())
        try:
            while fleet.flying:
                for outcome in fleet.landed(report):
                    run = fleet.runs[outcome.run_id]
                    dropped = schedule.drop(run) if outcome.diverged else []
                    fleet.start(schedule.after(run, trained=outcome.state == "done"))
                    yield outcome
                    for sibling in dropped:
                        yield not_tried(sibling, outcome, workspace)
        except BaseException:
            fleet.interrupt()
            raise


def _driver(
    ray: Any,
    runs: Sequence[Launchable],
    workspace: Workspace,
    data_dir: Path | None,
    execute: Execute | None,
    resources: Resources,
    *,
    here: bool,
) -> Driver:
    """What workers are told; on another machine they may need this one's pools."""
    said: dict[str, Any] = {
        "version": harness.__version__,
        "execute": execute,
        "resources": resources,
        "here": here,
    }
    if here:
        return Driver(origin=str(Path(harness.__file__).resolve()), **said)
    server = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(PoolServer)
    return Driver(
        origin=None,
        offer=offer_of(runs, workspace.cache, data_dir),
        server=server.options(**on_this_machine()).remote(workspace.cache),
        **said,
    )


@dataclass(kw_only=True)
class _Fleet:
    """The runs that Ray has at the moment (`flying`), and those that it is to have when there is room (`waiting`)."""

    ray: Any
    workspace: Workspace
    resources: Resources
    driver: Driver
    flying: dict[Any, _Flight] = field(default_factory=dict)
    runs: dict[str, Launchable] = field(default_factory=dict)
    waiting: deque[tuple[Launchable, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        # What a board forgets when it dies is said again soon; no run is lost for it.
        self._board = self.ray.remote(num_cpus=0, max_restarts=-1)(Board).remote()
        self._task = self.ray.remote(max_retries=0)(in_worker)

    def check(self, runs: Sequence[Launchable]) -> None:
        """Raises ConfigError where no node of the cluster could ever give a run what it is to have."""
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        for run in {run.compute.device: run for run in runs}.values():
            wanted = self.resources.options(on_gpu=run.compute.device == "cuda")
            named = {
                "CPU": wanted["num_cpus"],
                "GPU": wanted.get("num_gpus", 0),
                **wanted.get("resources", {}),
            }
            if any(all(node.get(name, 0) >= amount for name, amount in named.items()) for node in nodes):
                continue
            if named["GPU"] and not any(node.get("GPU") for node in nodes):
                raise ConfigError(
                    "Compute.device is 'cuda', but Ray knows of no GPU in its cluster. Start Ray on a machine that has "
                    "one (`ray start --num-gpus 1`), or set Compute.device = 'cpu'."
                )
            asked = ", ".join(f"{amount:g} {name}" for name, amount in named.items() if amount)
            have = "; ".join(
                ", ".join(f"{node.get(name, 0):g} {name}" for name, amount in named.items() if amount)
                for node in nodes
            )
            raise ConfigError(
                f"Experiment.resources asks for {asked} a run, and no node of Ray's cluster has that ({have}). Ask for "
                "less, or start a node that has it (`ray start`, with --num-cpus, --num-gpus or --resources)."
            )

    def start(self, runs: Iterable[Launchable], *, tries: int = 1) -> None:
        """Give them to Ray, which begins each when there is room, but no more at a time than it can look over."""
        self.waiting.extend((run, tries) for run in runs)
        most = self._most_ahead() if self.waiting else 0
        while self.waiting and len(self.flying) < most:
            run, tried = self.waiting.popleft()
            self.runs[run.run_id] = run
            options = self.resources.options(on_gpu=run.compute.device == "cuda")
            reference = self._task.options(**options).remote(run, self.workspace, self._board, self.driver)
            self.flying[reference] = _Flight(run=run, tries=tried)

    def _most_ahead(self) -> int:
        """Runs that Ray is given: more than the cluster can begin, and no more than its driver can wait for."""
        return max(MOST_AHEAD, AHEAD_A_CORE * int(self.ray.cluster_resources().get("CPU", 0)))

    def landed(self, report: Report) -> list[Outcome]:
        """Wait a little, pass on what the runs say, and return what ended; what was lost is tried again."""
        self.ray.wait(list(self.flying), timeout=POLL_SECONDS)
        done, _ = self.ray.wait(list(self.flying), num_returns=len(self.flying), timeout=0)
        begun, latest = self._news()
        heard = {*begun, *(progress.run_id for progress in latest)}
        for flight in self.flying.values():
            if flight.began is None and flight.run.run_id in heard:
                flight.began = time.monotonic()
        for progress in latest:
            report(progress)
        self._stop_overdue()
        outcomes = []
        for reference in done:
            flight = self.flying.pop(reference)
            outcome, lost = self._outcome(reference, flight)
            if lost and flight.tries <= self.resources.retries:
                self.start([flight.run], tries=flight.tries + 1)
            else:
                outcomes.append(outcome)
        self.start([])
        return outcomes

    def _news(self) -> tuple[list[str], list[Progress]]:
        """What the board has; nothing where it has just died."""
        try:
            found: tuple[list[str], list[Progress]] = self.ray.get(self._board.drain.remote())
        except self.ray.exceptions.RayActorError:
            return [], []
        return found

    def interrupt(self) -> None:
        """Let the runs in flight save their state, and wait for that."""
        for reference in self.flying:
            self.ray.cancel(reference)
        if self.flying:
            self.ray.wait(list(self.flying), num_returns=len(self.flying), timeout=GRACE_SECONDS)

    def _stop_overdue(self) -> None:
        """Interrupt what has taken too long; kill what does not stop then."""
        now, limit = time.monotonic(), self.resources.hours
        for reference, flight in self.flying.items():
            if limit is None or flight.began is None or now - flight.began < 3600 * limit:
                continue
            if flight.stopping is None:
                flight.stopping = now
            elif now - flight.asked < ASK_AGAIN_SECONDS:
                continue
            flight.asked = now
            self.ray.cancel(reference, force=now - flight.stopping > GRACE_SECONDS)

    def _outcome(self, reference: Any, flight: _Flight) -> tuple[Outcome, bool]:
        """How a task has ended, also when its process died; and whether it was lost through no fault of its own."""
        run = flight.run
        try:
            outcome: Outcome = self.ray.get(reference)
        except KeyboardInterrupt:
            raise
        except Exception as problem:  # whatever Ray says, the run failed and the others go on
            error, lost = self._why(problem, flight)
            record_failure(run, self.workspace, error, str(problem))
            seconds = 0.0 if flight.began is None else time.monotonic() - flight.began
            return Outcome(run_id=run.run_id, state="failed", error=error, seconds=seconds), lost
        if outcome.error and self.workspace.url is None and self.workspace.folder(run.run_id).state is None:
            record_failure(run, self.workspace, outcome.error)  # the worker does not see that folder
        return outcome, False

    def _why(self, problem: Exception, flight: _Flight) -> tuple[str, bool]:
        if flight.stopping is not None:
            return (
                f"It took longer than Resources.hours = {self.resources.hours:g}, and was stopped. Raise that in the "
                "gin file, or with --set, and `harness run` resumes from the last checkpoint; `harness retry` repeats "
                "the limit.",
                False,
            )
        tried = f" ({flight.tries} times)" if flight.tries > 1 else ""
        known = self.ray.exceptions
        if isinstance(problem, known.WorkerCrashedError | known.OutOfMemoryError):
            return (
                f"The worker process was killed{tried}, most likely because memory ran out: use fewer --workers. Or "
                "the disk of Ray's own files is full ($RAY_TMPDIR, by default /tmp): free some space. The same command "
                "resumes from the last checkpoint.",
                True,
            )
        last = str(problem).strip().rpartition(chr(10))[2]
        lost = isinstance(problem, known.RayError) and not isinstance(
            problem, known.RayTaskError | known.TaskCancelledError
        )
        return f"{type(problem).__name__}{tried}: {last}", lost
