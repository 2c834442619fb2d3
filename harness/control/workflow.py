"""`harness run`, `harness plan` and `harness report` for control experiments, step by step."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console

import harness
from harness.control.experiment import ControlExperiment
from harness.control.planning import plan_control
from harness.control.report import build_control_report
from harness.control.run_spec import CONTROL, ControlRunSpec
from harness.control.run_worker import execute_control
from harness.cost import duration
from harness.display import showing
from harness.errors import ConfigError
from harness.files import explained, write_json, write_text
from harness.launch import launch
from harness.lease import held
from harness.record import CONFIG, RECORD, read_record, timed, took
from harness.store import RunFolder, Workspace, run_folders

if TYPE_CHECKING:
    from harness.attempt import Execute, Outcome
    from harness.spec import RunSpec
    from harness.workflow import Request

UPDATE_STEPS = 12_000
"""Steps a second of one core in a whole update of TRPO with (100, 100) units: sampled, and learned from."""


def run_control(
    experiment: ControlExperiment, text: str, request: "Request", console: Console
) -> "tuple[Sequence[Outcome], Workspace]":
    """Plan, launch and report; the outcomes. Raises as `workflow.run` does."""
    if request.demo:
        raise ConfigError("--demo draws stand-ins of images; a control experiment needs none: leave it out.")
    planned = plan_control(experiment)
    folder = request.out or Path("reports") / experiment.name
    workspace = Workspace(runs=folder / "runs", cache=request.cache)
    with held(workspace.runs, lambda said: console.print(said, highlight=False, soft_wrap=True)):
        began = time.perf_counter()
        if request.fresh:
            _remove(planned, workspace)
        waiting = sum(not workspace.folder(run.run_id).is_done for run in planned)
        console.print(
            f"{experiment.name}: {len(planned)} runs, {len(planned) - waiting} of them done already; "
            f"{estimate_text(planned, workspace)}.",
            highlight=False,
        )
        _write_record(experiment, planned, request.command, text, workspace)
        with showing(console, waiting) as display, timed(workspace.runs, began, waiting > 0):
            outcomes = launch(
                cast("Sequence[RunSpec]", planned),
                workspace,
                backend=request.backend,
                workers=request.workers,
                address=request.address,
                resources=experiment.resources,
                on_progress=display.progress,
                on_outcome=display.outcome,
                execute=cast("Execute", execute_control),
            )
        if any(workspace.folder(run.run_id).is_done for run in planned):
            report_control(folder, console)
    return outcomes, workspace


def report_control(folder: Path, console: Console) -> Path:
    """Write the report of the runs in `folder` and say what it found. Raises WorkspaceError where none is done."""
    record = read_record(folder)
    runs = [RunFolder(folder / "runs" / run_id) for run_id in record.get("runs", ())]
    built = build_control_report(folder, record, runs, took=took(record, runs))
    config = folder / "runs" / CONFIG
    if config.is_file():
        write_text(folder / CONFIG, config.read_text(encoding="utf-8"))
    write_json(folder / RECORD, record)
    for row in built.summary.to_dict("records"):
        console.print(
            f"{row['method']} on {row['source']}: return {row['before']:.1f} before adaptation, {row['after']:.1f} "
            f"after (gain {row['gain']:.1f} ± {row['gain_ci95']:.1f}, {row['n_tasks']} tasks, seeds: {row['n_seeds']})",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"Report: {built.path}", highlight=False, soft_wrap=True)
    return built.path


def show_control_plan(experiment: ControlExperiment, runs: Path, console: Console) -> None:
    """Print the runs, and roughly what they will take."""
    planned, workspace = plan_control(experiment), Workspace(runs=runs, cache=runs)
    for run in planned:
        state = "done" if workspace.folder(run.run_id).is_done else "to do"
        console.print(f"{run.run_id}  {state}", highlight=False, soft_wrap=True)
    console.print(f"{len(planned)} runs; {estimate_text(planned, workspace)}.", highlight=False)


def estimate_text(planned: Sequence[ControlRunSpec], workspace: Workspace) -> str:
    """What is left, in words: a guess by the steps that are simulated and learned from."""
    steps = sum(run.work for run in planned if not workspace.folder(run.run_id).is_done)
    return f"very roughly {duration(steps / UPDATE_STEPS)} of one core" if steps else "all done"


def _remove(planned: Sequence[ControlRunSpec], workspace: Workspace) -> None:
    """Delete the plan's runs, and all that share a training with them, whose checkpoint a new run would take over."""
    own, trainings = ({getattr(run, key) for run in planned} for key in ("run_id", "training_id"))
    for folder in run_folders(workspace.runs):
        if folder.path.name in own or folder.spec().get("training_id") in trainings:
            with explained(folder.path):
                shutil.rmtree(folder.path)


def _write_record(
    experiment: ControlExperiment,
    planned: Sequence[ControlRunSpec],
    command: str,
    text: str,
    workspace: Workspace,
) -> None:
    before: dict[str, Any] = read_record(workspace.runs.parent)
    value: dict[str, Any] = {
        "kind": CONTROL,
        "name": experiment.name,
        "title": experiment.title,
        "claim": experiment.claim,
        "command": command,
        "harness": harness.__version__,
        "margin_return": experiment.margin_return,
        "runs": [run.run_id for run in planned],
    }
    if before.get("runs") == value["runs"]:
        value |= {key: before[key] for key in ("seconds", "time_missing") if key in before}
    write_text(workspace.runs / CONFIG, text)
    write_json(workspace.runs / RECORD, value)
