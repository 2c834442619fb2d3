"""How alike are the features of networks that were trained separately? Across seeds, and across methods.

Raghu et al. 2020 (arXiv 1909.09157), appendix: networks of MAML and of ANIL are as alike as two of MAML. Layer by
layer, each source's images go through the unadapted bodies of every two trainings of a regime: debiased CKA, SVCCA and
mean CCA, as the probe `similarity` has them. Networks of other seeds have no neurons in common, so there is no cosine.
The images are normalised by their own statistics, or by the averages kept in training under the policy `running`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from harness.across_settings import AcrossTrainings
from harness.across_stage import trained_by
from harness.cca import mean_cca, svcca
from harness.cka import debiased_cka, hsic
from harness.layers import Statistics
from harness.learner import Learner
from harness.measured import Measured
from harness.pixels import to_tensor
from harness.pools import open_pool
from harness.results import ACROSS_COLUMNS
from harness.seeds import counter_rng
from harness.spec import EvaluationSpec, RunSpec
from harness.store import Workspace
from harness.trained import trained_learner


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training: a run that has it, and its trained learner."""

    spec: RunSpec
    learner: Learner


def measure_across(
    runs: Sequence[RunSpec], workspace: Workspace, settings: AcrossTrainings, say: Callable[[str], object]
) -> pd.DataFrame:
    """Rows of ACROSS_COLUMNS for every two of `runs`, which are the trainings of one regime.

    `say` is told what is being measured. Raises WorkspaceError as `trained_learner` does.
    """
    learned = [Training(spec=run, learner=trained_learner(run, workspace)) for run in runs]
    rows: list[dict[str, object]] = []
    seen: set[tuple[str, str]] = set()
    for evaluation in runs[0].evaluations:
        place = (evaluation.source.name, evaluation.split)
        if place in seen:  # tested in several shapes
            continue
        seen.add(place)
        say(f"{runs[0].trained_on}: {evaluation.source.name}")
        rows += _source_rows(learned, _images(runs[0], workspace, evaluation, settings), evaluation)
    return pd.DataFrame(rows).reindex(columns=list(ACROSS_COLUMNS)).astype(ACROSS_COLUMNS)


@torch.no_grad()
def _source_rows(
    learned: Sequence[Training], x: Tensor, evaluation: EvaluationSpec
) -> Iterator[dict[str, object]]:
    """Layer by layer, so that the outputs of one layer alone are kept."""
    outputs = [x for _ in learned]
    for place, layer in enumerate(learned[0].learner.body.layers):
        outputs = [
            one.learner.features({}, given, _statistics(one.learner), place, place + 1)
            for one, given in zip(learned, outputs, strict=True)
        ]
        for (a, left), (b, right) in combinations(zip(learned, outputs, strict=True), 2):
            for quantity, found in _compared(left[0], right[0]):
                yield {
                    "trained_on": a.spec.trained_on,
                    "source": evaluation.source.name,
                    "split": evaluation.split,
                    "layer": layer,
                    "method_a": trained_by(a.spec),
                    "seed_a": a.spec.seed,
                    "method_b": trained_by(b.spec),
                    "seed_b": b.spec.seed,
                    "quantity": quantity,
                    "value": found.value,
                    "images": x.shape[1],
                    "reason": found.reason,
                    "protocol_version": a.spec.protocol_version,
                    "image_size": a.spec.images.size,
                    "batch_norm": a.spec.batch_norm,
                }


def _compared(x: Tensor, y: Tensor) -> Iterator[tuple[str, Measured]]:
    yield "cka", debiased_cka([hsic(x, y)])
    yield "svcca", svcca(x, y)
    yield "mean_cca", mean_cca(x, y)


def _statistics(learner: Learner) -> Statistics:
    return Statistics("running" if learner.body.batch_norm == "running" else "batch")


def _images(
    spec: RunSpec, workspace: Workspace, evaluation: EvaluationSpec, settings: AcrossTrainings
) -> Tensor:
    """The same images [1, n, C, H, W] for all trainings, whatever their seeds: drawn without replacement."""
    pool = open_pool(workspace.cache, evaluation.source.pool_key(evaluation.split, spec.images))
    total = int(pool.class_sizes.sum())
    rng = counter_rng(0, f"{pool.source}/{pool.split}/across", 0)
    rows = np.sort(rng.permutation(total)[: settings.n_images])
    x = to_tensor(pool.images[rows], spec.images, mean=pool.mean, std=pool.std)
    return x[None].to(spec.compute.device)
