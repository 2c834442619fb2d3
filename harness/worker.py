"""One run in one process: no Ray, no gin, no tensorflow. Serial and Ray runs call the same `execute`."""

import os
import time
import traceback

import pandas as pd
import torch

from harness import checkpoint, plugins, written_tables
from harness.environment import describe_environment, keep_freed_memory, peak_memory_mb, reset_peak_memory
from harness.episode_sequence import SourceSequence
from harness.files import explained
from harness.learner import Learner
from harness.method import Method, Trainable, can_adapt
from harness.networks import Network
from harness.pools import Pool, open_pool
from harness.probing import probe_all
from harness.progress import Progress, Report
from harness.provenance import note_code
from harness.resources import CHECKPOINT_SECONDS
from harness.run_evaluation import RunEvaluation, Share, Tell
from harness.seeds import seed_torch
from harness.selection import select
from harness.spec import RunSpec, SourceSpec
from harness.store import RunFolder, Workspace
from harness.training import Recruit, Trainer
from harness.updates import Updates, updates

THREADS = 1
"""Torch threads of a worker: one worker a core is faster than one worker on all, and sums in a fixed order."""

REPORT_SECONDS = 0.5
"""Between two reports of progress."""


def execute(
    spec: RunSpec,
    workspace: Workspace,
    report: Report,
    *,
    share: Share | None = None,
    recruit: Recruit | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> None:
    """Train, select a checkpoint, evaluate, probe, and leave the results in runs/<run_id>/.

    share: has other workers do parts of the evaluation; None to do all of it here. recruit: has them compute shares
    of the training's updates, where `Compute.training_workers` asks for that; None to compute all of them here.
    checkpoint_seconds: as `Resources` has it.

    A finished run returns at once; an interrupted one resumes to the same numbers. On an error the run's
    status says `failed` with the traceback, and the error goes on up; on Ctrl-C a checkpoint is saved, the
    status says `interrupted`, and KeyboardInterrupt goes on up.
    """
    folder = workspace.folder(spec.run_id)
    if folder.is_done:
        return
    settle()
    reset_peak_memory()
    folder.begin(spec)
    try:
        _execute(spec, workspace, folder, report, share, recruit, checkpoint_seconds)
    except KeyboardInterrupt:
        folder.write_status("interrupted")
        raise
    except Exception as error:
        folder.write_status(
            "failed", error=f"{type(error).__name__}: {error}", traceback=traceback.format_exc()
        )
        raise


def settle() -> None:
    """Make of this process a worker."""
    torch.set_num_threads(THREADS)
    keep_freed_memory()


def load() -> None:
    """Have all imported that a run needs: PyTorch imports hundreds of modules when the first optimiser is made."""
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])


def _execute(
    spec: RunSpec,
    workspace: Workspace,
    folder: RunFolder,
    report: Report,
    share: Share | None,
    recruit: Recruit | None,
    checkpoint_seconds: float,
) -> None:
    method: Method = plugins.build(plugins.METHODS, spec.method)
    network: Network = plugins.build(plugins.NETWORKS, spec.network)
    trainer: Trainable = plugins.build(plugins.METHODS, spec.trainer)
    learner = fresh_learner(spec, trainer, network)
    note_code(spec, folder, checkpoint.adopt(spec, workspace))
    folder.write_status("training")
    if folder.mirror is not None:
        folder.mirror.push_status()
    training = _trainer(spec, workspace, folder, trainer, learner, report, recruit, checkpoint_seconds)
    state = training.run()
    chosen, iteration = select(spec.selection, learner, state)
    learner.load_state_dict(chosen)

    evaluation = RunEvaluation(
        spec=spec, workspace=workspace, method=method, network=network.name, learner=learner
    )
    evaluation_seconds = _evaluated(evaluation, folder, report, share)
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
        **written_tables.digests(folder.path),
        **({"updates_by_workers": state.updates_by_workers} if state.updates_by_workers else {}),
    )
    with explained(folder.previous_checkpoint):
        folder.previous_checkpoint.unlink(missing_ok=True)


def _evaluated(evaluation: RunEvaluation, folder: RunFolder, report: Report, share: Share | None) -> float:
    """Write the rows of the test episodes, unless they are there already; the seconds that this took."""
    spec, began = evaluation.spec, time.perf_counter()
    if spec.probes and folder.episodes.exists():  # an earlier launch was interrupted while probing
        return float(pd.read_parquet(folder.episodes)["seconds"].sum())
    folder.write_status("evaluating")
    if folder.mirror is not None:
        folder.mirror.push_when_due()
    rows = (share or RunEvaluation.whole)(evaluation, _telling(spec, evaluation.n_episodes, report))
    folder.write_episodes(pd.DataFrame(rows))
    return time.perf_counter() - began


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
    recruit: Recruit | None,
    checkpoint_seconds: float,
) -> Trainer:
    train, images = spec.train, spec.images
    # A stream of its own: whoever tests on the valid split must not test on the episodes that chose.
    validation = [
        SourceSequence(
            _pool(spec, workspace, source, "valid"),
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
        updates=training_updates(spec, workspace, method),
        validation=validation,
        folder=folder,
        report=report,
        recruit=recruit,
        checkpoint_seconds=checkpoint_seconds,
    )


def training_updates(spec: RunSpec, workspace: Workspace, method: Trainable) -> Updates | None:
    """What the updates of a run's training learn from; None where there are none."""
    pools = [_pool(spec, workspace, source, "train") for source in spec.train.sources]
    return updates(method, spec, pools)


def _pool(spec: RunSpec, workspace: Workspace, source: SourceSpec, split: str) -> Pool:
    return open_pool(workspace.cache, source.pool_key(split, spec.images))


def _telling(spec: RunSpec, total: int, report: Report) -> Tell:
    """Says now and then how many of `total` test episodes are done.

    The rate leaves out what comes before the first is done: reading ahead, and a whole group that is predicted at once.
    """
    began = told = time.perf_counter()
    first: tuple[int, float] | None = None

    def tell(done: int) -> None:
        nonlocal told, first
        now = time.perf_counter()
        first = first or (done, now)
        if now - told > REPORT_SECONDS or done == total:
            told = now
            rate = (done - first[0]) / max(now - first[1], 1e-9)
            if done == total:
                rate = total / max(now - began, 1e-9)
            report(Progress(run_id=spec.run_id, state="evaluating", done=done, total=total, per_second=rate))

    return tell
