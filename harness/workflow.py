"""`harness run` and `harness report`, step by step: plan, prepare pools, launch, report."""

import json
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

import harness
from harness.config import load_experiment
from harness.cost import duration, estimate
from harness.display import Display, showing
from harness.errors import WorkspaceError
from harness.files import explained, make_folder, write_json, write_text
from harness.launch import Outcome, check_backend, is_done, launch
from harness.plan import Plan, plan
from harness.pools import ensure_pool
from harness.store import RunFolder, Workspace, read_episodes

RECORD = "experiment.json"


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

    @property
    def command(self) -> str:
        """The command that gives these results again, without what concerns this machine only."""
        words = ["harness", "run", str(self.config)]
        words += [word for binding in self.bindings for word in ("--set", binding)]
        return shlex.join(words + (["--out", str(self.out)] if self.out else []))


def run(request: Request, console: Console) -> int:
    """Do everything that `harness run` does; 0, or 1 when some run failed.

    Raises HarnessError before anything is written when the request is wrong; KeyboardInterrupt on Ctrl-C and
    on SIGTERM, when the runs in flight have saved their state.
    """
    check_backend(request.backend)
    experiment, text = load_experiment(request.config, request.bindings)
    planned = plan(experiment, data_dir=request.data_dir, cache=request.cache)
    folder = request.out or Path("reports") / experiment.name
    workspace = Workspace(runs=make_folder(folder / "runs"), cache=request.cache)
    with _alone(workspace.runs), _terminable():
        if request.fresh:
            _remove(planned, workspace)
        _announce(planned, workspace, console)
        began = time.perf_counter()
        with showing(console, sum(not is_done(run, workspace) for run in planned.runs)) as display:
            _prepare(planned, request, display)
            write_text(folder / "config.gin", text)
            _record(folder, planned, request.command)
            outcomes = launch(
                planned.runs,
                workspace,
                backend=request.backend,
                workers=request.workers,
                address=request.address,
                on_progress=display.progress,
                on_outcome=display.outcome,
            )
        _record_time(folder, sum(outcome.seconds > 0 for outcome in outcomes), time.perf_counter() - began)
        report(folder, console)
    return _failures(outcomes, workspace)


def report(folder: Path, console: Console) -> Path:
    """Write the report of the runs in `folder` again and show the leaderboard; returns the report's path.

    Raises WorkspaceError when there are no runs there.
    """
    from harness.report.build import build_report
    from harness.report.terminal import leaderboard_table
    from harness.statistics import leaderboard

    record = _read_record(folder)
    runs = [RunFolder(folder / "runs" / run_id) for run_id in record.get("runs", ())]
    path = build_report(
        folder,
        title=record.get("title") or folder.resolve().name,
        claim=record.get("claim", ""),
        command=record.get("command", ""),
        took=duration(record["seconds"]) + " of wall clock" if "seconds" in record else "",
        runs=runs or None,
    )
    episodes, _ = read_episodes(runs or [RunFolder(p) for p in sorted((folder / "runs").iterdir())])
    if len(episodes):
        console.print(leaderboard_table(leaderboard(episodes)))
    console.print(f"Report: {path}", highlight=False, soft_wrap=True)
    return path


def _announce(planned: Plan, workspace: Workspace, console: Console) -> None:
    waiting = [run for run in planned.runs if not is_done(run, workspace)]
    done = len(planned.runs) - len(waiting)
    seconds = sum(guess.seconds for guess in estimate(waiting, workspace))
    finished = f", {done} of them done already" if done else ""
    ahead = f"; very roughly {duration(seconds)} of one core" if waiting else ""
    console.print(f"{planned.experiment.name}: {len(planned.runs)} runs{finished}{ahead}.", highlight=False)


def _prepare(planned: Plan, request: Request, display: Display) -> None:
    for need in planned.pools:
        ensure_pool(
            need.dataset,
            need.source,
            need.split,
            need.image_size,
            data_dir=request.data_dir,
            cache=request.cache,
            progress=display.pool,
        )


def _remove(planned: Plan, workspace: Workspace) -> None:
    """Delete the folders of the plan's own runs, and nothing else."""
    for run in planned.runs:
        path = workspace.folder(run.run_id).path
        if path.exists():
            with explained(path):
                shutil.rmtree(path)


def _record(folder: Path, planned: Plan, command: str) -> None:
    """Write experiment.json: what a report must know and the runs do not.

    The seconds that an earlier, interrupted command spent on the same runs are kept.
    """
    experiment = planned.experiment
    runs = [run.run_id for run in planned.runs]
    before = _read_record(folder)
    spent = {"seconds": before["seconds"]} if before.get("runs") == runs and "seconds" in before else {}
    value = {
        "name": experiment.name,
        "title": experiment.title,
        "claim": experiment.claim,
        "command": command,
        "harness": harness.__version__,
        "runs": runs,
        **spent,
    }
    write_json(folder / RECORD, value)


def _record_time(folder: Path, executed: int, seconds: float) -> None:
    """Add what this command took to experiment.json, unless it found everything done."""
    record = _read_record(folder)
    if executed:
        write_json(folder / RECORD, {**record, "seconds": round(record.get("seconds", 0) + seconds, 1)})


def _read_record(folder: Path) -> dict[str, Any]:
    """experiment.json; empty when there is none. Raises WorkspaceError when it is damaged."""
    path = folder / RECORD
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WorkspaceError(
            f"{path} cannot be read ({error}). Delete it; `harness run` writes it again."
        ) from error
    return value if isinstance(value, dict) else {}


def _failures(outcomes: Sequence[Outcome], workspace: Workspace) -> int:
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if not failed:
        return 0
    lines = [f"{len(failed)} of {len(outcomes)} runs failed; the others are in the report."]
    for outcome in failed:
        status = workspace.folder(outcome.run_id).path / "status.json"
        lines.append(f"  {outcome.run_id}: {outcome.error}\n    traceback: {status}")
    lines.append("Mend the cause and run the same command again; finished runs are kept.")
    print("\n".join(lines), file=sys.stderr)
    return 1


@contextmanager
def _alone(runs: Path) -> Iterator[None]:
    """Hold the folder for this process. Raises WorkspaceError when another `harness run` has it.

    Where files cannot be locked, nothing is checked.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = runs / ".lock"
    with explained(path):
        handle = path.open("a")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WorkspaceError(
                f"Another `harness run` works in {runs.parent}. "
                "Wait for it, or choose another folder with --out."
            ) from error
        except OSError:
            pass
        yield


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM, which batch systems send, end the work as Ctrl-C does."""

    def interrupt(*_: object) -> None:
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
