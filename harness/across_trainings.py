"""How alike are the features of networks? Across seeds, across methods, and in the course of a training.

Raghu et al. 2020 (arXiv 1909.09157), appendix: networks of MAML and of ANIL are as alike as two of MAML. Layer by
layer, each source's images go through the unadapted bodies of every two trainings of a regime: debiased CKA, SVCCA and
mean CCA, as the probe `similarity` has them. Networks of other seeds have no neurons in common, so there is no cosine.
Snapshots of a training are compared with the network that it led to, the selected one, and each with itself after it
has adapted (`over_training.py`). The images are normalised by
their own statistics, or by the averages kept in training under the policy `running`.
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
from harness.over_training import adaptation_similarity
from harness.pixels import to_tensor
from harness.pools import open_pool
from harness.results import ACROSS_COLUMNS
from harness.seeds import counter_rng
from harness.spec import EvaluationSpec, RunSpec
from harness.store import Workspace
from harness.trained import snapshot_learner, trained_learner


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of a training: a run that has it, its learner, and after how many updates; None for the one tested."""

    spec: RunSpec
    learner: Learner
    updates: int | None = None


def measure_across(
    runs: Sequence[RunSpec], workspace: Workspace, settings: AcrossTrainings, say: Callable[[str], object]
) -> pd.DataFrame:
    """Rows of ACROSS_COLUMNS: every two of `runs`, the trainings of one regime, and each one's snapshots with itself.

    `say` is told what is being measured. Raises WorkspaceError as `trained_learner` does.
    """
    networks = [Network(spec=run, learner=trained_learner(run, workspace)) for run in runs]
    networks += [
        Network(spec=run, learner=snapshot_learner(run, workspace, updates), updates=updates)
        for run in runs
        for updates in run.train.snapshots
    ]
    rows: list[dict[str, object]] = []
    seen: set[tuple[str, str]] = set()
    for evaluation in runs[0].evaluations:
        place = (evaluation.source.name, evaluation.split)
        if place in seen:  # tested in several shapes
            continue
        seen.add(place)
        say(f"{runs[0].trained_on}: {evaluation.source.name}")
        rows += _source_rows(networks, _images(runs[0], workspace, evaluation, settings), evaluation)
        for network in followed(networks) if settings.n_episodes else ():
            rows += _adapted_rows(network, evaluation, workspace, settings.n_episodes)
    return pd.DataFrame(rows).reindex(columns=list(ACROSS_COLUMNS)).astype(ACROSS_COLUMNS)


def pairs(networks: Sequence[Network]) -> Iterator[tuple[int, int]]:
    """The places of those that are compared; a snapshot comes first."""
    for (i, a), (j, b) in combinations(enumerate(networks), 2):
        if a.updates is None and b.updates is None:
            yield i, j
        elif a.updates is None and a.spec.run_id == b.spec.run_id:
            yield j, i


def followed(networks: Sequence[Network]) -> list[Network]:
    """Those of each method's first seed, if it has snapshots."""
    first = {
        name: min(n.spec.seed for n in networks if trained_by(n.spec) == name) for name in _methods(networks)
    }
    own = [n for n in networks if n.spec.seed == first[trained_by(n.spec)]]
    with_snapshots = {n.spec.run_id for n in own if n.updates is not None}
    return [n for n in own if n.spec.run_id in with_snapshots]


def _methods(networks: Sequence[Network]) -> set[str]:
    return {trained_by(network.spec) for network in networks}


def _adapted_rows(
    network: Network, evaluation: EvaluationSpec, workspace: Workspace, n_episodes: int
) -> Iterator[dict[str, object]]:
    """CKA of one network's layers before and after adaptation."""
    found = adaptation_similarity(network.spec, network.learner, evaluation, workspace, n_episodes)
    for layer, value, images in found:
        yield {
            **_shared(network, network, evaluation, layer, images),
            "adapted": True,
            "quantity": "cka",
            "value": value.value,
            "reason": value.reason,
        }


@torch.no_grad()
def _source_rows(
    networks: Sequence[Network], x: Tensor, evaluation: EvaluationSpec
) -> Iterator[dict[str, object]]:
    """Layer by layer, so that the outputs of one layer alone are kept."""
    outputs = [x for _ in networks]
    for place, layer in enumerate(networks[0].learner.body.layers):
        outputs = [
            one.learner.features({}, given, _statistics(one.learner), place, place + 1)
            for one, given in zip(networks, outputs, strict=True)
        ]
        for i, j in pairs(networks):
            shared = _shared(networks[i], networks[j], evaluation, layer, x.shape[1])
            for quantity, found in _compared(outputs[i][0], outputs[j][0]):
                yield {**shared, "quantity": quantity, "value": found.value, "reason": found.reason}


def _shared(a: Network, b: Network, evaluation: EvaluationSpec, layer: str, images: int) -> dict[str, object]:
    return {
        "trained_on": a.spec.trained_on,
        "source": evaluation.source.name,
        "split": evaluation.split,
        "layer": layer,
        "images": images,
        "adapted": False,
        "method_a": trained_by(a.spec),
        "seed_a": a.spec.seed,
        "updates_a": a.updates,
        "method_b": trained_by(b.spec),
        "seed_b": b.spec.seed,
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
