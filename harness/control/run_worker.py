"""One run on control tasks in one process: meta-train, keep checkpoints, let the policy adapt to test tasks."""

import os
import time
import traceback
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch

from harness import checkpoint, plugins, written_tables
from harness.control.meta_training import MetaTraining, Update
from harness.control.pictures import keep_pictures
from harness.control.policy import fresh_policy
from harness.control.policy_network import MLP
from harness.control.policy_probe import POLICY_PROBE_COLUMNS
from harness.control.policy_probing import probe_rows
from harness.control.run_spec import ControlRunSpec, outer_of, source_of
from harness.control.simulation_threads import simulating_with
from harness.control.task_evaluation import evaluate_tasks
from harness.control.task_rows import TASK_COLUMNS, task_row
from harness.environment import describe_environment, keep_freed_memory, peak_memory_mb, reset_peak_memory
from harness.inner_loop_method import InnerLoopMethod
from harness.interruption import DeferredInterrupt
from harness.progress import Progress, Report
from harness.provenance import note_code
from harness.resources import CHECKPOINT_SECONDS
from harness.store import RunFolder, Workspace

CURVE_EVERY = 10
"""Updates a line of the curve."""


@dataclass(kw_only=True)
class _Course:
    """Where a training stands beside its policy: wall time, steps simulated, trajectories dropped, and what the next
    line of the curve is made of.
    """

    seconds: float = 0.0
    steps: int = 0
    dropped: int = 0
    since: list[dict[str, float]] = field(default_factory=list)


def execute_control(
    spec: ControlRunSpec,
    workspace: Workspace,
    report: Report,
    *,
    threads: int = 1,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> None:
    """Meta-train, evaluate, and leave the results in runs/<run_id>/; as `worker.execute` for other runs.

    threads: of its simulators, whose number changes no bit. checkpoint_seconds: as `Resources` has it.
    A finished run returns at once; an interrupted one resumes to the same numbers. On an error the run's status says
    `failed` with the traceback, and the error goes on up; on Ctrl-C a checkpoint is saved.
    """
    folder = workspace.folder(spec.run_id)
    if folder.is_done:
        return
    torch.set_num_threads(1)
    keep_freed_memory()
    reset_peak_memory()
    folder.begin(spec)
    try:
        with simulating_with(threads):
            _execute(spec, workspace, folder, report, checkpoint_seconds)
    except KeyboardInterrupt:
        folder.write_status("interrupted")
        raise
    except Exception as error:
        folder.write_status(
            "failed", error=f"{type(error).__name__}: {error}", traceback=traceback.format_exc()
        )
        raise


def _execute(
    spec: ControlRunSpec, workspace: Workspace, folder: RunFolder, report: Report, checkpoint_seconds: float
) -> None:
    note_code(spec, folder, checkpoint.adopt(spec, workspace))
    folder.write_status("training")
    if folder.mirror is not None:
        folder.mirror.push_status()
    training, course = trained(spec, folder, report, checkpoint_seconds)
    folder.write_status("evaluating")
    if folder.mirror is not None:
        folder.mirror.push_when_due()
    began = time.perf_counter()
    frame = pd.DataFrame(_evaluated(spec, training, report))
    keep_pictures(spec, training.policy, folder)
    folder.write_table(folder.episodes, frame, TASK_COLUMNS)
    if spec.probes:
        folder.write_status("probing")
        rows = pd.DataFrame(probe_rows(spec, training.policy, report))
        folder.write_table(folder.probes, rows, POLICY_PROBE_COLUMNS)
    folder.write_status(
        "done",
        iterations=training.iteration,
        training_seconds=round(course.seconds, 3),
        evaluation_seconds=round(time.perf_counter() - began, 3),
        simulated_steps=course.steps + int(frame["steps"].sum()),
        dropped_trajectories=course.dropped + int(frame["dropped"].sum()),
        peak_memory_mb=peak_memory_mb(),
        environment=describe_environment(),
        process=os.getpid(),
        adapted_layers=sorted(training.adapted_layers),
        **written_tables.digests(folder.path),
    )
    folder.previous_checkpoint.unlink(missing_ok=True)


def build_training(spec: ControlRunSpec) -> MetaTraining:
    """The training before its first update: pure in the spec. Raises WorkspaceError where its source has changed."""
    method: InnerLoopMethod = plugins.build(plugins.POLICY_METHODS, spec.method)
    network: MLP = plugins.build(plugins.POLICY_NETWORKS, spec.network)
    source = source_of(spec.train.source)
    policy = fresh_policy(network, method, source, seed=spec.seed)
    spec.compute.place(policy)
    return MetaTraining(
        policy,
        method,
        source,
        meta_batch=spec.train.meta_batch,
        sampling=spec.train.sampling,
        outer=outer_of(spec.train.outer),
        seed=spec.seed,
    )


def trained(
    spec: ControlRunSpec, folder: RunFolder, report: Report, checkpoint_seconds: float = CHECKPOINT_SECONDS
) -> tuple[MetaTraining, "_Course"]:
    """The training at its last update, resumed from the folder's checkpoint where there is one."""
    training, course = build_training(spec), _Course()
    found = checkpoint.latest(folder, spec.training_id)
    if found is not None:
        training.load_state_dict(found[1]["training"])
        course = _Course(**found[1]["course"])
        if found[0] != folder.checkpoint:  # damaged, and must not take the place of the good one
            folder.checkpoint.unlink(missing_ok=True)
    folder.cut_curve(training.iteration)
    before, began, first = course.seconds, time.perf_counter(), training.iteration
    saved = began
    with DeferredInterrupt() as interrupt:
        while training.iteration < spec.train.iterations:
            update = training.update()
            now = time.perf_counter()
            course.seconds = before + now - began
            _note(course, update)
            if update.iteration % CURVE_EVERY == 0 or update.iteration == spec.train.iterations:
                _write_line(folder, course, update.iteration)
            if interrupt.requested or now - saved > checkpoint_seconds:
                _save(folder, spec, training, course)
                saved = now
            report(
                Progress(
                    run_id=spec.run_id,
                    state="training",
                    done=update.iteration,
                    total=spec.train.iterations,
                    per_second=(update.iteration - first) / max(now - began, 1e-9),
                )
            )
            if interrupt.requested:
                raise KeyboardInterrupt
        _save(folder, spec, training, course)
    return training, course


def _save(folder: RunFolder, spec: ControlRunSpec, training: MetaTraining, course: _Course) -> None:
    content: dict[str, Any] = {
        "training_id": spec.training_id,
        "training": training.state_dict(),
        "course": dict(vars(course)),
        "state": {"iteration": training.iteration},
    }
    checkpoint.write(folder, content)
    if folder.mirror is not None:
        folder.mirror.push_when_due()


def _note(course: _Course, update: Update) -> None:
    course.steps += update.steps
    course.dropped += update.dropped
    course.since.append(
        {
            "return_before": update.return_before,
            "return_after": update.return_after,
            "kl": update.taken.kl,
            "share": update.taken.share,
            "dropped": update.dropped,
        }
    )


def _write_line(folder: RunFolder, course: _Course, iteration: int) -> None:
    means = {key: sum(each[key] for each in course.since) / len(course.since) for key in course.since[0]}
    folder.append_curve({"iteration": iteration, **means, "seconds": round(course.seconds, 3)})
    course.since = []


def _evaluated(spec: ControlRunSpec, training: MetaTraining, report: Report) -> list[dict[str, object]]:
    """One row a task, over all evaluations of the spec."""
    method: InnerLoopMethod = plugins.build(plugins.POLICY_METHODS, spec.method)
    network: MLP = plugins.build(plugins.POLICY_NETWORKS, spec.network)
    total = sum(evaluation.n_tasks for evaluation in spec.evaluations)
    began = time.perf_counter()
    rows: list[dict[str, object]] = []
    for evaluation in spec.evaluations:
        source = source_of(evaluation.source)
        for outcome in evaluate_tasks(
            training.policy,
            method,
            source,
            split=evaluation.split,
            n_tasks=evaluation.n_tasks,
            sampling=evaluation.sampling,
            seed=spec.seed,
        ):
            rows.append(task_row(spec, evaluation, outcome, network=network.name, horizon=source.horizon))
            rate = len(rows) / max(time.perf_counter() - began, 1e-9)
            report(
                Progress(run_id=spec.run_id, state="evaluating", done=len(rows), total=total, per_second=rate)
            )
    return rows
