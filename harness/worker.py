"""One run in one process: no Ray, no gin, no tensorflow. Serial and Ray runs call the same `execute`."""

import os
import time
import traceback
from dataclasses import asdict

import pandas as pd
import torch

from harness import checkpoint, plugins
from harness.environment import describe_environment, keep_freed_memory, peak_memory_mb, reset_peak_memory
from harness.episode_sequence import SourceSequence, evaluation_sequence
from harness.evaluation import evaluate
from harness.files import explained
from harness.learner import Learner
from harness.method import Method, Trainable, can_adapt
from harness.networks import Network
from harness.pools import Pool, open_pool
from harness.probing import probe_all
from harness.progress import Progress, Report
from harness.read_ahead import ReadAhead
from harness.row_columns import run_columns
from harness.seeds import seed_torch
from harness.selection import select
from harness.spec import RunSpec, SourceSpec
from harness.store import RunFolder, Workspace
from harness.training import Trainer
from harness.updates import updates

THREADS = 1
"""Torch threads of a worker: one worker a core is faster than one worker on all, and sums in a fixed order."""


def execute(spec: RunSpec, workspace: Workspace, report: Report) -> None:
    """Train, select a checkpoint, evaluate, probe, and leave the results in runs/<run_id>/.

    A finished run returns at once; an interrupted one resumes to the same numbers. On an error the run's
    status says `failed` with the traceback, and the error goes on up; on Ctrl-C a checkpoint is saved, the
    status says `interrupted`, and KeyboardInterrupt goes on up.
    """
    folder = workspace.folder(spec.run_id)
    if folder.is_done:
        return
    torch.set_num_threads(THREADS)
    keep_freed_memory()
    reset_peak_memory()
    folder.begin(spec)
    try:
        _execute(spec, workspace, folder, report)
    except KeyboardInterrupt:
        folder.write_status("interrupted")
        raise
    except Exception as error:
        folder.write_status(
            "failed", error=f"{type(error).__name__}: {error}", traceback=traceback.format_exc()
        )
        raise


def _execute(spec: RunSpec, workspace: Workspace, folder: RunFolder, report: Report) -> None:
    method: Method = plugins.build(plugins.METHODS, spec.method)
    network: Network = plugins.build(plugins.NETWORKS, spec.network)
    trainer: Trainable = plugins.build(plugins.METHODS, spec.trainer)
    learner = fresh_learner(spec, trainer, network)
    checkpoint.adopt(spec, workspace)
    folder.write_status("training")
    state = _trainer(spec, workspace, folder, trainer, learner, report).run()
    chosen, iteration = select(spec.selection, learner, state)
    learner.load_state_dict(chosen)

    began = time.perf_counter()
    if spec.probes and folder.episodes.exists():  # an earlier launch was interrupted while probing
        evaluation_seconds = float(pd.read_parquet(folder.episodes)["seconds"].sum())
    else:
        folder.write_status("evaluating")
        folder.write_episodes(_evaluate_all(spec, workspace, method, network.name, learner, report))
        evaluation_seconds = time.perf_counter() - began
    began = time.perf_counter()
    if spec.probes:
        folder.write_status("probing")
        probe_all(spec, workspace, folder, method, network.name, learner, report)
    folder.write_status(
        "done",
        iterations=state.iteration,
        selected_iteration=iteration,
        best_valid_accuracy=state.best_valid if state.best else None,
        training_seconds=round(state.seconds, 3),
        waiting_seconds=round(state.waiting_seconds, 3),
        evaluation_seconds=round(evaluation_seconds, 3),
        probe_seconds=round(time.perf_counter() - began, 3),
        peak_memory_mb=peak_memory_mb(),
        environment=describe_environment(),
        process=os.getpid(),
        adapted_layers=sorted(method.adapted_layers(learner)) if can_adapt(method) else [],
    )
    with explained(folder.previous_checkpoint):
        folder.previous_checkpoint.unlink(missing_ok=True)


def fresh_learner(spec: RunSpec, method: Trainable, network: Network) -> Learner:
    """The learner before its first update: pure in the spec."""
    seed_torch(spec.seed, "init")
    return spec.compute.place(
        method.init(network.build(spec.images.channels, spec.images.size), spec.max_way)
    )


def _trainer(
    spec: RunSpec,
    workspace: Workspace,
    folder: RunFolder,
    method: Trainable,
    learner: Learner,
    report: Report,
) -> Trainer:
    train, images = spec.train, spec.images

    def pool(source: SourceSpec, split: str) -> Pool:
        return open_pool(workspace.cache, source.pool_key(split, images))

    # A stream of its own: whoever tests on the valid split must not test on the episodes that chose.
    validation = [
        SourceSequence(
            pool(source, "valid"),
            train.validation_shape,
            images,
            seed=spec.seed,
            stream="/selection",
            device=spec.compute.device,
        )
        for source in train.validation_sources
    ]
    return Trainer(
        spec=spec,
        method=method,
        learner=learner,
        updates=updates(method, spec, [pool(source, "train") for source in train.sources]),
        validation=validation,
        folder=folder,
        report=report,
    )


def _evaluate_all(
    spec: RunSpec, workspace: Workspace, method: Method, network: str, learner: Learner, report: Report
) -> pd.DataFrame:
    """One row an episode, over all evaluations of the spec."""
    total = sum(evaluation.n_episodes for evaluation in spec.evaluations)
    began = told = time.perf_counter()
    rows: list[dict[str, object]] = []
    for evaluation in spec.evaluations:
        pool = open_pool(workspace.cache, evaluation.source.pool_key(evaluation.split, spec.images))
        sequence = evaluation_sequence(spec, evaluation, pool)
        columns = run_columns(spec, method, network, evaluation)
        with ReadAhead(sequence, range(evaluation.n_episodes)) as episodes:
            for score in evaluate(method, learner, episodes, seed=spec.seed):
                rows.append({**columns, **asdict(score)})
                now = time.perf_counter()
                if now - told > 0.5 or len(rows) == total:
                    told, done = now, len(rows)
                    rate = done / max(now - began, 1e-9)
                    report(
                        Progress(
                            run_id=spec.run_id, state="evaluating", done=done, total=total, per_second=rate
                        )
                    )
    return pd.DataFrame(rows)
