"""`harness run` and `harness report`, step by step: plan, prepare pools, launch, report."""

import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from harness import across_stage, distance_stage
from harness.attempt import Outcome
from harness.config import load_experiment
from harness.control.experiment import ControlExperiment
from harness.control.run_spec import CONTROL
from harness.cost import duration, estimate
from harness.data_needs import check_data_dir
from harness.demo import can_draw, demonstration, draw_stand_ins
from harness.display import Display, say_what_is_unlike, showing
from harness.experiment import Experiment
from harness.files import explained, write_json
from harness.launch import check_options, launch
from harness.lease import held
from harness.missing_sources import hinted
from harness.plan import Plan, plan
from harness.planned_sources import datasets_of
from harness.pool_status import note_use
from harness.pools import ensure_pool
from harness.record import CONFIG, RECORD, read_record, timed, took, write_record
from harness.store import RunFolder, Workspace, run_folders
from harness.tracking.following import following


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for. `out` None: reports/<the experiment's name>."""

    config: Path
    bindings: Sequence[str]
    out: Path | None
    workers: int | None
    backend: str
    address: str | None
    fresh: bool
    data_dir: Path | None
    cache: Path
    demo: bool = False
    first: str = ""

    @property
    def command(self) -> str:
        """The command that gives these results again, without what concerns this machine only.

        `first`, where there is one: the command whose runs are tried again.
        """
        if self.first:
            return self.first
        words = ["harness", "run", str(self.config)]
        words += [word for binding in self.bindings for word in ("--set", binding)]
        words += ["--demo"] if self.demo else []
        return shlex.join(words + (["--out", str(self.out)] if self.out else []))


def run(request: Request, console: Console) -> int:
    """Do everything that `harness run` does; 0, or what `_failures` says when some run failed.

    Raises HarnessError when the request is wrong or its pools cannot be prepared, before any result is
    touched; KeyboardInterrupt on Ctrl-C and on SIGTERM, when the runs in flight have saved their state.
    """
    check_options(request.backend, request.workers, request.address)
    check_data_dir(request.data_dir)
    experiment, text = load_experiment(request.config, request.bindings)
    if isinstance(experiment, ControlExperiment):
        from harness.control.workflow import run_control

        with _terminable():
            return _failures(*run_control(experiment, text, request, console))
    return _run_images(experiment, text, request, console)


def _run_images(experiment: Experiment, text: str, request: Request, console: Console) -> int:
    """`run` for an experiment on images."""
    for tracker in experiment.trackers:
        tracker.check()
    if request.demo:
        experiment, text = demonstration(experiment), f"# Run with --demo: cut short, on stand-ins.\n{text}"
        request = replace(request, data_dir=_stand_ins(experiment, request.cache, console))
    with hinted(request.config, request.bindings, demo=any(map(can_draw, datasets_of(experiment)))):
        planned = plan(experiment, data_dir=request.data_dir, cache=request.cache)
    if request.address is None:
        experiment.compute.check_device()
    folder = request.out or Path("reports") / experiment.name
    workspace = Workspace(runs=folder / "runs", cache=request.cache)
    with (
        _terminable(),
        held(workspace.runs, lambda said: console.print(said, highlight=False, soft_wrap=True)),
    ):
        began = time.perf_counter()
        _prepare(planned, request, Display(console=console, n_runs=0))
        before = read_record(folder)
        if request.fresh:
            _remove(planned, workspace)
        _announce(planned, workspace, console)
        say_what_is_unlike(planned, console)
        _say_what_is_replaced(before, planned, folder, console)
        write_record(before, planned, request.command, text, workspace)
        waiting = sum(not workspace.folder(run.run_id).is_done for run in planned.runs)
        with (
            showing(console, waiting) as display,
            following(planned, workspace, display) as watcher,
            timed(workspace.runs, began, waiting > 0),
        ):
            outcomes = launch(
                planned.runs,
                workspace,
                backend=request.backend,
                workers=request.workers,
                address=request.address,
                resources=experiment.resources,
                on_progress=watcher.progress,
                on_outcome=watcher.outcome,
            )
            _measure_after(planned, workspace, console)
        report(folder, console, even_empty=True)
    return _failures(outcomes, workspace)


def report(folder: Path, console: Console, *, even_empty: bool = False) -> Path:
    """Write the report of the runs in `folder` again and show the leaderboard; returns the report's path.

    Raises WorkspaceError, and leaves an earlier report as it is, when there are no runs there or, unless
    `even_empty`, none has finished.
    """
    from harness.report.build import build_report
    from harness.report.reuse_verdicts import Judging
    from harness.report.terminal import answer_lines, leaderboard_table

    record, config = read_record(folder), folder / "runs" / CONFIG
    if record.get("kind") == CONTROL:
        from harness.control.workflow import report_control

        return report_control(folder, console)
    runs = [RunFolder(folder / "runs" / run_id) for run_id in record.get("runs", ())]
    built = build_report(
        folder,
        title=record.get("title") or folder.resolve().name,
        claim=record.get("claim", ""),
        command=record.get("command", ""),
        took=took(record, runs),
        raw_data=record.get("raw_data", ()),
        without=[
            f"{left['source']}, {left['where']}: {left['reason']}" for left in record.get("left_out", ())
        ],
        subsets=record.get("subsets", ()),
        judging=Judging(**(record.get("verdicts") or {})),
        config=config if config.is_file() else None,
        runs=runs or None,
        distances=record.get("distances", ()),
        across=record.get("across", ()),
        even_empty=even_empty,
    )
    if record:
        write_json(folder / RECORD, record)
    if len(built.board):
        console.print(leaderboard_table(built.board))
    for line in answer_lines(built.answer):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    page = built.path.with_suffix(".html")
    console.print(f"Report: {built.path}, and to open in a browser {page}", highlight=False, soft_wrap=True)
    return built.path


def _stand_ins(experiment: Experiment, cache: Path, console: Console) -> Path:
    with console.status("Drawing stand-ins") as status:
        return draw_stand_ins(experiment, cache, lambda name: status.update(f"Drawing {name}"))


def _announce(planned: Plan, workspace: Workspace, console: Console) -> None:
    done = sum(workspace.folder(run.run_id).is_done for run in planned.runs)
    seconds = sum(guess.seconds for guess in estimate(planned.runs, workspace))
    finished = f", {done} of them done already" if done else ""
    ahead = f"; very roughly {duration(seconds)} of one core" if done < len(planned.runs) else ""
    console.print(f"{planned.experiment.name}: {len(planned.runs)} runs{finished}{ahead}.", highlight=False)


def _say_what_is_replaced(before: dict[str, Any], planned: Plan, folder: Path, console: Console) -> None:
    """One experiment's folder holds one report: say so when it was about other runs."""
    others = set(before.get("runs", ())) - {run.run_id for run in planned.runs}
    if others:
        console.print(
            f"Note: the report in {folder} will be about these runs only; {len(others)} runs of other settings "
            "leave it and stay in runs/. Use --out to keep both reports.",
            highlight=False,
            soft_wrap=True,
        )


def _prepare(planned: Plan, request: Request, display: Display) -> None:
    for need in planned.pools:
        ensure_pool(
            need.dataset,
            need.source,
            need.split,
            need.images,
            data_dir=request.data_dir,
            cache=request.cache,
            progress=display.pool,
        )
        note_use(request.cache, need.key, planned.experiment.name)


def _measure_after(planned: Plan, workspace: Workspace, console: Console) -> None:
    """What the experiment asks for of its finished runs: distances between sources, comparisons of trainings.

    Says why some are missing.
    """

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    for reason in (
        *distance_stage.measure_missing(planned, workspace, lambda it: say(f"measuring distances, {it}")),
        *across_stage.measure_missing(planned, workspace, lambda it: say(f"comparing trainings, {it}")),
    ):
        say(reason)


def _remove(planned: Plan, workspace: Workspace) -> None:
    """Delete the plan's own runs, what was compared of them, and all runs that share a training with them.

    The latter because a run takes over the checkpoint of whichever run has its training.
    """
    own, trainings = ({getattr(run, key) for run in planned.runs} for key in ("run_id", "training_id"))
    for folder in run_folders(workspace.runs):
        if folder.path.name in own or folder.spec().get("training_id") in trainings:
            with explained(folder.path):
                shutil.rmtree(folder.path)
    for name, _ in across_stage.across_files(planned):
        with explained(workspace.runs / name):
            (workspace.runs / name).unlink(missing_ok=True)


def _failures(outcomes: Sequence[Outcome], workspace: Workspace) -> int:
    """Say which runs failed and why: 0 for none, 2 when only the user's mistakes failed them, else 1."""
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if not failed:
        return 0
    others = "; the others are in the report" if len(failed) < len(outcomes) else ""
    lines = [f"{len(failed)} of {len(outcomes)} runs failed{others}."]
    for outcome in failed:
        lines.append(f"  {outcome.run_id}: {outcome.error}")
        if not outcome.mistake:
            lines.append(f"    traceback: {workspace.folder(outcome.run_id).path / 'status.json'}")
    lines.append("Mend the cause and run the same command again; finished runs are kept.")
    print("\n".join(lines), file=sys.stderr)
    return 2 if all(outcome.mistake for outcome in failed) else 1


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM, which batch systems send, end the work as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        # A shell starts what it runs in the background with Ctrl-C ignored: raising that would do nothing.
        if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
