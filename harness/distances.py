"""How far each test source is from the training sources, as a network that the experiment trained sees them.

Two measures, from the same tasks of each source: Task2Vec between tasks (Achille et al. 2019; `harness.task2vec`) and
the Fréchet distance between features (`harness.frechet`). The probe network is the trained body of one of the
experiment's runs, one for each regime. What it was trained on shapes what it sees: distances of two regimes are on two
scales. The tasks are drawn from their own stream: neither trained nor tested on.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from harness.dissimilarity import by_source, excess, from_training, task2vec_distances
from harness.distance_settings import Dissimilarity
from harness.episode import EpisodeShape
from harness.episode_sequence import SourceSequence
from harness.errors import DataError
from harness.frechet import frechet_distance
from harness.layers import Statistics
from harness.learner import Learner
from harness.pools import open_pool
from harness.results import DISTANCE_COLUMNS
from harness.spec import RunSpec, SourceSpec
from harness.store import Workspace
from harness.task2vec import embed_task, fixed_features, fixed_statistics
from harness.trained import trained_learner

STATISTICS_IMAGES = 200
"""Training images whose statistics normalise all features that Fréchet distances compare."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Tasks of one source and split: images [n, C, H, W] with labels [n], or why there are none."""

    source: str
    split: str
    tasks: tuple[tuple[Tensor, Tensor], ...] = ()
    reason: str = ""


def measure_distances(
    spec: RunSpec, workspace: Workspace, settings: Dissimilarity, say: Callable[[str], object]
) -> pd.DataFrame:
    """Rows of DISTANCE_COLUMNS: the distances of the run's test sources from its training sources.

    `say` is told what is being measured. Raises WorkspaceError as `trained_learner` does.
    """
    learner = trained_learner(spec, workspace)
    training = [
        s for source in spec.train.sources if (s := _sample(spec, workspace, settings, source, "train")).tasks
    ]
    rows: list[dict[str, object]] = []
    probe = _Probe(learner, settings, training) if training else None
    for evaluation in spec.evaluations:
        say(f"{spec.trained_on}: {evaluation.source.name}")
        sample = _sample(spec, workspace, settings, evaluation.source, evaluation.split)
        if probe is None:
            sample = Sample(
                source=sample.source, split=sample.split, reason="no training source has such tasks"
            )
        try:
            found = list(probe.rows(sample)) if probe and sample.tasks else [_undefined(sample.reason)]
        except ValueError as error:  # a network that sees nothing there: no head can be fitted
            found = [_undefined(str(error))]
        shared = {
            "trained_on": spec.trained_on,
            "probe": spec.run_id,
            "source": sample.source,
            "split": sample.split,
            "protocol_version": spec.protocol_version,
            "image_size": spec.images.size,
        }
        rows += [{**shared, **row} for row in found]
    return pd.DataFrame(rows).reindex(columns=list(DISTANCE_COLUMNS)).astype(DISTANCE_COLUMNS)


class _Probe:
    """The network, and what the training tasks look like to it."""

    def __init__(self, learner: Learner, settings: Dissimilarity, training: Sequence[Sample]) -> None:
        self._body, self._settings = learner.body, settings
        self._names = [sample.source for sample in training for _ in sample.tasks]
        self._embedded = torch.stack([self._embed(*task) for sample in training for task in sample.tasks])
        images = [sample.tasks[0][0] for sample in training]
        share = max(1, STATISTICS_IMAGES // len(images))
        self._statistics: Statistics = fixed_statistics(self._body, torch.cat([x[:share] for x in images]))
        self._features = [self._features_of(sample) for sample in training]

    def _embed(self, x: Tensor, y: Tensor) -> Tensor:
        return embed_task(self._body, x, y, self._settings.n_way)

    def _features_of(self, sample: Sample) -> Tensor:
        return torch.cat([fixed_features(self._body, x, self._statistics) for x, _ in sample.tasks])

    def rows(self, sample: Sample) -> Iterator[dict[str, object]]:
        """Task by task, and then for the source as a whole."""
        n = sum(len(x) for x, _ in sample.tasks)
        embedded = torch.stack([self._embed(*task) for task in sample.tasks])
        across = task2vec_distances(embedded, self._embedded)
        far = from_training(across, self._names)
        for k, (mean, nearest) in enumerate(zip(far.mean, far.nearest_source, strict=True)):
            yield _row("task2vec", float(mean), len(sample.tasks[k][0]), task=k)
            yield _row("task2vec nearest", float(nearest), len(sample.tasks[k][0]), task=k)
        (whole,) = by_source(far, [sample.source] * len(embedded)).values()
        yield _row("task2vec", whole.mean, n)
        yield _row("task2vec nearest", whole.nearest_source, n)
        own, training = (task2vec_distances(e, e) for e in (embedded, self._embedded))
        yield _row("task2vec excess", excess(across, own, training), n)
        features = self._features_of(sample)
        squares = [frechet_distance(features, each) for each in self._features]
        reason = next((each.reason for each in squares if each.reason), "")
        values = [each.value for each in squares]
        yield {**_row("frechet", sum(values) / len(values), n), "reason": reason}
        yield {**_row("frechet nearest", min(values), n), "reason": reason}


def _row(measure: str, value: float, images: int, task: int | None = None) -> dict[str, object]:
    return {"measure": measure, "task": task, "value": value, "images": images, "reason": ""}


def _undefined(reason: str) -> dict[str, object]:
    return {**_row("", math.nan, 0), "reason": reason}


def _sample(
    spec: RunSpec, workspace: Workspace, settings: Dissimilarity, source: SourceSpec, split: str
) -> Sample:
    pool = open_pool(workspace.cache, source.pool_key(split, spec.images))
    shape = EpisodeShape(n_way=settings.n_way, n_shot=settings.n_images - 1, n_query=1)
    try:
        sequence = SourceSequence(
            pool, shape, spec.images, seed=spec.seed, stream="/dissimilarity", device=spec.compute.device
        )
    except DataError as error:
        return Sample(source=source.name, split=split, reason=str(error))
    episodes = (sequence[k] for k in range(settings.n_tasks))
    tasks = tuple(
        (torch.cat([e.task.support_x, e.task.query_x]), torch.cat([e.task.support_y, e.query_y]))
        for e in episodes
    )
    return Sample(source=source.name, split=split, tasks=tasks)
