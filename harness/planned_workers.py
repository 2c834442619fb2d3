"""Whether trainings can be shared by as many workers as `Compute.training_workers` says, to the numbers of one."""

from collections.abc import Iterator
from dataclasses import replace

from harness.compute import Compute
from harness.experiment import Experiment
from harness.method import Trainable, trains_on


def worker_problems(experiment: Experiment) -> Iterator[str]:
    """One sentence for each reason why they cannot."""
    workers = experiment.compute.training_workers
    if workers == 1:
        return
    asked, without = f"Compute.training_workers is {workers}", "leave training_workers out"
    trainers = [method.trainer for method in experiment.methods]
    if any(trains_on(trainer) == "episodes" for trainer in trainers):
        for regime in experiment.regimes:
            if regime.meta_batch < workers:
                yield (
                    f"{asked}, but an update of the regime {regime.label!r} has {regime.meta_batch} episodes: lower "
                    f"it to at most {regime.meta_batch}, or raise Regime.meta_batch."
                )
        if experiment.network.batch_norm == "running":
            yield (
                f"{asked}, but the network's batch_norm is 'running', whose averages go by the order of all tasks of "
                f"an update: choose another policy, or {without}."
            )
    for trainer in trainers:
        if trains_on(trainer) == "batches":
            yield (
                f"{asked}, but {trainer.name!r} trains on batches of images, which are normalised together: {without}, "
                "or give such methods an experiment of their own."
            )
        elif reason := getattr(trainer, "unshared", ""):
            yield f"{asked}, but {trainer.name!r} {reason}: {without}, or give it an experiment of its own."


def compute_of(compute: Compute, trainer: Trainable) -> Compute:
    """How a method computes; what has no effect on a method that is not trained makes no other run."""
    return replace(compute, training_workers=1) if trains_on(trainer) == "nothing" else compute
