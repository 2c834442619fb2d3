"""`harness run`, `harness plan` and `harness report` for control experiments, step by step."""

import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

import harness
from harness.attempt import Outcome
from harness.control.experiment import ControlExperiment
from harness.control.planning import plan_control
from harness.control.report.build import build_control_report
from harness.control.run_spec import CONTROL, ControlRunSpec
from harness.control.run_worker import execute_control
from harness.cost import GUESSED, duration
from harness.errors import ConfigError
from harness.failed_runs import exit_code
from harness.files import write_json, write_text
from harness.interruption import terminable
from harness.lease import held
from harness.local_resources import without_effect
from harness.plugin_code import plugin_digests
from harness.record import CONFIG, RECORD, keep_record, read_record, recorded_runs, took
from harness.remote.experiment_mirror import ExperimentMirror
from harness.renewal import delete_runs
from harness.request import Request
from harness.stage import Stage
from harness.store import Workspace
from harness.wording import counted

UPDATE_STEPS = 12_000
"""Steps a second of one core in a whole update of TRPO with (100, 100) units: sampled, and learned from."""


def run_control(
    experiment: ControlExperiment,
    text: str,
    request: Request,
    mirror: ExperimentMirror | None,
    console: Console,
) -> int:
    """Plan, launch and report; returns and raises as `workflow.run` does."""
    if request.demo:
        raise ConfigError("--demo draws stand-ins of images; a control experiment needs none: leave it out.")
    planned = plan_control(experiment)
    stage = request.stage(experiment.name, text, mirror, console)
    workspace = stage.workspace
    stage.note(without_effect(experiment.resources, request.backend, moves_bodies=True))
    with terminable(), held(workspace.runs, stage.say, url=workspace.url):
        outcomes = _launch(experiment, planned, stage, fresh=request.fresh)
        if any(workspace.folder(run.run_id).is_done for run in planned):
            report_control(workspace.runs.parent, console)
            stage.push_report()
    return exit_code(outcomes, workspace)


def _launch(
    experiment: ControlExperiment, planned: Sequence[ControlRunSpec], stage: Stage, *, fresh: bool
) -> list[Outcome]:
    began, workspace, run_ids = time.perf_counter(), stage.workspace, [run.run_id for run in planned]
    if stage.mirror:
        stage.mirror.pull_record()
    stage.pull_runs(run_ids, finish=not fresh)
    before = stage.record_before()
    if fresh:
        delete_runs(planned, stage)
    stage.discard_damaged(planned)
    seconds = _seconds_left(planned, workspace)
    stage.say_ahead(experiment.name, planned, counted(len(planned), "run"), seconds, GUESSED)
    stage.say_what_is_replaced(before, planned)
    same = before.get("runs") == run_ids and any(workspace.folder(run_id).path.is_dir() for run_id in run_ids)
    record = _record(experiment, planned, stage.command)
    keep_record(record, before if same else {}, stage.config, workspace, run_ids)

    asked = experiment.resources
    return stage.execute(
        planned,
        asked,
        began=began,
        after=functools.partial(stage.pull_runs, run_ids),
        experiment=experiment.name,
        trackers=experiment.trackers,
        execute=functools.partial(
            execute_control, threads=int(asked.cpus), checkpoint_seconds=asked.checkpoint_seconds
        ),
    )


def report_control(folder: Path, console: Console) -> Path:
    """Write the report of the runs in `folder` and say what it found. Raises WorkspaceError where none is done."""
    record = read_record(folder)
    runs = recorded_runs(folder)
    config = next((path for path in (folder / "runs" / CONFIG, folder / CONFIG) if path.is_file()), None)
    gin = config.read_text(encoding="utf-8") if config else None
    built = build_control_report(folder, record, runs, took=took(record, runs), gin=gin)
    if gin is not None:
        write_text(folder / CONFIG, gin)
    if record:
        write_json(folder / RECORD, record)
    if built.missing_runs:
        console.print(built.missing_runs, highlight=False, soft_wrap=True, markup=False)
    for row in built.summary.to_dict("records"):
        console.print(
            f"{row['method']} on {row['source']}: return {row['before']:.1f} before adaptation, {row['after']:.1f} "
            f"after (gain {row['gain']:.1f} ± {row['gain_ci95']:.1f}, {row['n_tasks']} tasks, seeds: {row['n_seeds']})",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    for line in built.verdicts:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    page = built.path.with_suffix(".html")
    console.print(f"Report: {built.path}, and to open in a browser {page}", highlight=False, soft_wrap=True)
    return built.path


def show_control_plan(experiment: ControlExperiment, runs: Path, console: Console) -> None:
    """Print the runs, and roughly what they will take."""
    planned, workspace = plan_control(experiment), Workspace(runs=runs, cache=runs)
    for run in planned:
        state = "done" if workspace.folder(run.run_id).is_done else "to do"
        console.print(f"{run.run_id}  {state}", highlight=False, soft_wrap=True)
    seconds = _seconds_left(planned, workspace)
    ahead = f"very roughly {duration(seconds)} of one core ({GUESSED})" if seconds else "all done"
    console.print(f"{counted(len(planned), 'run')}; {ahead}.", highlight=False, soft_wrap=True)


def _seconds_left(planned: Sequence[ControlRunSpec], workspace: Workspace) -> float:
    """A guess by the steps that are simulated and learned from."""
    return sum(run.work for run in planned if not workspace.folder(run.run_id).is_done) / UPDATE_STEPS


def _record(experiment: ControlExperiment, planned: Sequence[ControlRunSpec], command: str) -> dict[str, Any]:
    """What a report must know and the runs do not."""
    return {
        "kind": CONTROL,
        "name": experiment.name,
        "title": experiment.title,
        "claim": experiment.claim,
        "command": command,
        "harness": harness.__version__,
        "margin_return": experiment.margin_return,
        "plugins": plugin_digests(run.to_json() for run in planned),
        "runs": [run.run_id for run in planned],
    }
