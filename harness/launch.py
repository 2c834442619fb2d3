"""Runs -> outcomes: one after another in this process, or side by side with Ray (`harness.ray_runs`).

Either way `worker.execute(spec, workspace, report)` does the work and gives
the same numbers. A failed run is an outcome, not an exception; the others go on. Runs that share a training
never run at the same time: the first trains, the rest take its checkpoint.
"""

import contextlib
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.attempt import Execute, Outcome, attempt, not_tried
from harness.errors import ConfigError, WorkspaceError, did_you_mean, named_choices
from harness.files import make_folder
from harness.progress import Progress, Report
from harness.ray_runs import ray_outcomes
from harness.resources import Resources
from harness.spec import Launchable
from harness.store import Workspace

BACKENDS = ("ray", "serial")


def launch(
    runs: Sequence[Launchable],
    workspace: Workspace,
    *,
    backend: str = "ray",
    workers: int | None = None,
    address: str | None = None,
    resources: Resources | None = None,
    data_dir: Path | None = None,
    on_progress: Report | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    execute: Execute | None = None,
) -> list[Outcome]:
    """Execute `runs`; one outcome each, in their order.

    Args:
        backend: `ray`, or `serial` for one after another in this process.
        workers: runs at the same time on this machine; None for what its cores allow. Ray only.
        address: of a running Ray cluster, which must see the folder of the runs unless they lie at a URL; None
            starts Ray on this machine.
        resources: what a run gets, and how long and often it may try; None for the defaults.
        data_dir: where raw data is; nodes of a cluster on which a pool is not prepared look for it there.
        on_progress, on_outcome, on_note: called in this process with what the runs say of themselves, whenever a run
            ends, and with what else a person would like to know.
        execute: what does a run; None for `worker.execute`. With Ray, a function that workers can import.

    Raises ConfigError as `check_options` does, and KeyboardInterrupt on Ctrl-C when the runs have saved their state.
    """
    check_options(backend, workers, address)
    place = replace(workspace, runs=make_folder(workspace.runs).resolve(), cache=workspace.cache.resolve())
    waiting = [run for run in runs if not place.folder(run.run_id).is_done]
    outcomes = {run.run_id: Outcome(run_id=run.run_id, state="done") for run in runs}
    given = resources or Resources()
    if backend == "serial":
        ended = _serial(waiting, place, on_progress or _silent, execute or _here(given))
    else:
        ended = ray_outcomes(
            waiting,
            place,
            workers=workers,
            address=address,
            resources=given,
            data_dir=data_dir.resolve() if data_dir else None,
            report=on_progress or _silent,
            say=on_note or _silent,
            execute=execute,
        )
    with contextlib.closing(ended):
        for outcome in ended:
            outcomes[outcome.run_id] = outcome
            _refresh(place, outcome)
            if on_outcome is not None:
                on_outcome(outcome)
    return [outcomes[run.run_id] for run in runs]


def _refresh(place: Workspace, outcome: Outcome) -> None:
    """Take what a worker elsewhere has left of a run at a URL; where that fails, it is taken before the report."""
    mirror = place.folder(outcome.run_id).mirror
    if mirror is not None:
        with contextlib.suppress(WorkspaceError):
            mirror.pull(networks=False)


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


def _here(resources: Resources) -> Execute:
    """`worker.execute` as the resources ask, as far as that concerns a run in this process."""

    def execute(run: Any, workspace: Workspace, report: Report) -> None:
        from harness import worker

        worker.execute(run, workspace, report, checkpoint_seconds=resources.checkpoint_seconds)

    return execute


def _serial(
    runs: Iterable[Launchable], workspace: Workspace, report: Report, execute: Execute
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


def _silent(_: Progress | str) -> None:
    """Nobody watches."""
