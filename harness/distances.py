"""How far each test source is from the training sources, as a network that the experiment trained sees them.

Two measures, from the same tasks of each source: Task2Vec between tasks (Achille et al. 2019; `harness.task2vec`) and
the Fréchet distance between features (`harness.frechet`). The probe network is the trained body of one of the
experiment's runs, one for each regime. What it was trained on shapes what it sees: distances of two regimes are on two
scales. The tasks are drawn from their own stream: neither trained nor tested on.

Test episodes have distances of their own, of their support and query images together: Task2Vec from training tasks of
the same shape, Fréchet from the images of the training sources' tasks. They are of few images, so much of how they
scatter within a source is noise.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from harness.dissimilarity import by_source, excess, from_training, task2vec_distances
from harness.distance_settings import Dissimilarity
from harness.episode import EpisodeShape, Shape
from harness.episode_sequence import SourceSequence
from harness.errors import DataError
from harness.frechet import frechet_distance
from harness.layers import Statistics
from harness.learner import Learner
from harness.measured import Measured
from harness.pools import open_pool
from harness.results import DISTANCE_COLUMNS
from harness.spec import EvaluationSpec, RunSpec, SourceSpec
from harness.store import Workspace
from harness.task2vec import embed_task, fixed_features, fixed_statistics
from harness.trained import trained_learner

_STREAM = "/dissimilarity"

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
    """Rows of DISTANCE_COLUMNS: the distances of the run's test sources, and episodes, from its training sources.

    `say` is told what is being measured. Raises WorkspaceError as `trained_learner` does.
    """
    probe = _Probe(trained_learner(spec, workspace), _Draw(spec, workspace), settings)
    rows: list[dict[str, object]] = []
    for evaluation in spec.evaluations:
        say(f"{spec.trained_on}: {evaluation.source.name}")
        shared = {
            "trained_on": spec.trained_on,
            "probe": spec.run_id,
            "source": evaluation.source.name,
            "split": evaluation.split,
            "protocol_version": spec.protocol_version,
            "image_size": spec.images.size,
        }
        rows += [{**shared, **row} for row in probe.rows(evaluation)]
    return pd.DataFrame(rows).reindex(columns=list(DISTANCE_COLUMNS)).astype(DISTANCE_COLUMNS)


def _or_reason(
    sample: Sample, rows: Callable[[Sample], Iterable[dict[str, object]]]
) -> list[dict[str, object]]:
    """The rows of a sample, or one that says why there are none."""
    if not sample.tasks:
        return [_row("", math.nan, 0, reason=sample.reason)]
    try:
        return list(rows(sample))
    except ValueError as error:  # a network that sees nothing there: no head can be fitted
        return [_row("", math.nan, 0, reason=str(error))]


@dataclass(frozen=True, kw_only=True)
class _Embedded:
    """Task2Vec embeddings [tasks, F], and the source of each."""

    sources: tuple[str, ...]
    values: Tensor


class _Draw:
    """Tasks of any shape from the sources of a run."""

    def __init__(self, spec: RunSpec, workspace: Workspace) -> None:
        self._spec, self._workspace = spec, workspace

    def __call__(self, source: SourceSpec, split: str, shape: Shape, n_tasks: int, stream: str) -> Sample:
        spec = self._spec
        pool = open_pool(self._workspace.cache, source.pool_key(split, spec.images))
        try:
            sequence = SourceSequence(
                pool, shape, spec.images, seed=spec.seed, stream=stream, device=spec.compute.device
            )
        except DataError as error:
            return Sample(source=source.name, split=split, reason=str(error))
        episodes = (sequence[k] for k in range(n_tasks))
        tasks = tuple(
            (torch.cat([e.task.support_x, e.task.query_x]), torch.cat([e.task.support_y, e.query_y]))
            for e in episodes
        )
        return Sample(source=source.name, split=split, tasks=tasks)

    def training(self, shape: Shape, n_tasks: int, stream: str) -> list[Sample]:
        """Those of the training sources that have such tasks."""
        samples = [self(source, "train", shape, n_tasks, stream) for source in self._spec.train.sources]
        return [sample for sample in samples if sample.tasks]


class _Probe:
    """The network, and what the training tasks look like to it."""

    def __init__(self, learner: Learner, draw: _Draw, settings: Dissimilarity) -> None:
        self._body, self._draw, self._settings = learner.body, draw, settings
        self._shape = EpisodeShape(n_way=settings.n_way, n_shot=settings.n_images - 1, n_query=1)
        training = draw.training(self._shape, settings.n_tasks, _STREAM)
        self._like_tests: dict[Shape, _Embedded] = {}
        self._training = self._embed(training)
        self._features: list[Tensor] = []
        if training:
            share = max(1, STATISTICS_IMAGES // len(training))
            some = torch.cat([sample.tasks[0][0][:share] for sample in training])
            self._statistics: Statistics = fixed_statistics(self._body, some)
            self._features = [self._seen(torch.cat([x for x, _ in sample.tasks])) for sample in training]

    def rows(self, evaluation: EvaluationSpec) -> list[dict[str, object]]:
        """Of the source and its tasks, then of its test episodes; or one row with the reason why not."""
        source, split = evaluation.source, evaluation.split
        if not self._features:
            return [_row("", math.nan, 0, reason="no training source has such tasks")]
        drawn = self._draw(source, split, self._shape, self._settings.n_tasks, _STREAM)
        found = _or_reason(drawn, self._source_rows)
        if n := min(self._settings.n_episodes, evaluation.n_episodes):
            training = self._training_like(evaluation.shape)
            tests = self._draw(source, split, evaluation.shape, n, "")
            found += _or_reason(tests, lambda sample: self._episode_rows(sample, training))
        return found

    def _training_like(self, shape: Shape) -> _Embedded:
        """Training tasks of the test episodes' shape; drawn and embedded once."""
        if shape not in self._like_tests:
            tasks = self._draw.training(shape, self._settings.n_tasks, _STREAM + "/episodes")
            self._like_tests[shape] = self._embed(tasks)
        return self._like_tests[shape]

    def _embed(self, samples: Sequence[Sample]) -> _Embedded:
        """All their tasks, sample after sample."""
        tasks = [(sample.source, x, y) for sample in samples for x, y in sample.tasks]
        embedded = [embed_task(self._body, x, y, int(y.max()) + 1) for _, x, y in tasks]
        return _Embedded(
            sources=tuple(source for source, _, _ in tasks),
            values=torch.stack(embedded) if embedded else torch.empty(0, 0),
        )

    def _seen(self, x: Tensor) -> Tensor:
        return fixed_features(self._body, x, self._statistics)

    def _source_rows(self, sample: Sample) -> Iterator[dict[str, object]]:
        """Task by task, and then for the source as a whole."""
        n = sum(len(x) for x, _ in sample.tasks)
        own, training = self._embed([sample]), self._training
        across = task2vec_distances(own.values, training.values)
        far = from_training(across, training.sources)
        for k, (mean, nearest) in enumerate(zip(far.mean, far.nearest_source, strict=True)):
            yield _row("task2vec", float(mean), len(sample.tasks[k][0]), task=k)
            yield _row("task2vec nearest", float(nearest), len(sample.tasks[k][0]), task=k)
        (whole,) = by_source(far, own.sources).values()
        yield _row("task2vec", whole.mean, n)
        yield _row("task2vec nearest", whole.nearest_source, n)
        within = (task2vec_distances(each.values, each.values) for each in (own, training))
        yield _row("task2vec excess", excess(across, *within), n)
        squares = [
            frechet_distance(self._seen(torch.cat([x for x, _ in sample.tasks])), f) for f in self._features
        ]
        values = [each.value for each in squares]
        yield _row("frechet", sum(values) / len(values), n, reason=_first_reason(squares))
        yield _row("frechet nearest", min(values), n, reason=_first_reason(squares))

    def _episode_rows(self, tests: Sample, training: _Embedded) -> Iterator[dict[str, object]]:
        """Test episode by test episode. training: tasks of their shape; the nearest source counts."""
        if not training.sources:
            raise ValueError("no training source has tasks of the test episodes' shape")
        across = task2vec_distances(self._embed([tests]).values, training.values)
        far = from_training(across, training.sources).nearest_source
        for k, (x, _) in enumerate(tests.tasks):
            yield _row("task2vec nearest", float(far[k]), len(x), episode=k)
            squares = [frechet_distance(self._seen(x), each) for each in self._features]
            nearest = min(each.value for each in squares)
            yield _row("frechet nearest", nearest, len(x), episode=k, reason=_first_reason(squares))


def _first_reason(found: Sequence[Measured]) -> str:
    return next((each.reason for each in found if each.reason), "")


def _row(
    measure: str,
    value: float,
    images: int,
    *,
    task: int | None = None,
    episode: int | None = None,
    reason: str = "",
) -> dict[str, object]:
    return {
        "measure": measure,
        "task": task,
        "episode": episode,
        "value": value,
        "images": images,
        "reason": reason,
    }
