"""How far each test source is from the training sources, as a network that the experiment trained sees them.

Two measures, from the same tasks of each source: Task2Vec between tasks (Achille et al. 2019; `harness.task2vec`) and
the Fréchet distance between features (`harness.frechet`). The probe network is the trained body of one of the
experiment's runs, one for each regime. What it was trained on shapes what it sees: distances of two regimes are on two
scales. The tasks are drawn from streams of their own: neither trained nor tested on.

Test episodes have distances of their own, of their support and query images together: Task2Vec from training tasks of
the same shape, Fréchet from EPISODE_SPLITS draws of as many of a training source's images. They are of few images, so
much of how they scatter within a source is noise. Episodes of varying ways and sizes have no distance of their own: it
would mostly say how many images they have.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from harness.dissimilarity import by_source, excess, from_training, task2vec_distances
from harness.distance_settings import Dissimilarity
from harness.episode import EpisodeShape, Shape, VariableShape
from harness.episode_sequence import SourceSequence
from harness.errors import DataError
from harness.frechet import frechet_distance
from harness.learner import Learner
from harness.measured import Measured
from harness.pools import open_pool
from harness.results import DISTANCE_COLUMNS, OF_EPISODES, OF_TRAINING
from harness.spec import EvaluationSpec, RunSpec, SourceSpec
from harness.store import Workspace
from harness.task2vec import embed_task, fixed_features, fixed_statistics
from harness.trained import trained_learner

STATISTICS_IMAGES = 200
"""Training images whose statistics normalise all features that Fréchet distances compare, of all sources alike."""

EPISODE_SPLITS = 16
"""How often the Fréchet distance of an episode draws as many images of each training source as it has itself."""

_NO_EMBEDDING = "Its Task2Vec embedding is zero for every filter."

Row = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The first `n_tasks` tasks of a sequence, made anew each time they are asked for; or the reason for none."""

    source: str
    n_tasks: int = 0
    sequence: SourceSequence | None = None
    reason: str = ""

    def tasks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images [n, C, H, W] and labels [n] of each, support and queries together."""
        for k in range(self.n_tasks if self.sequence else 0):
            assert self.sequence is not None
            e = self.sequence[k]
            yield torch.cat([e.task.support_x, e.task.query_x]), torch.cat([e.task.support_y, e.query_y])


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Task2Vec embeddings [tasks, F], the source of each task and its number of images."""

    sources: tuple[str, ...]
    images: tuple[int, ...]
    values: Tensor


def measure_distances(
    spec: RunSpec, workspace: Workspace, settings: Dissimilarity, say: Callable[[str], object]
) -> pd.DataFrame:
    """Rows of DISTANCE_COLUMNS: the distances of the run's test sources, and episodes, from its training sources.

    `say` is told what is being measured. Raises WorkspaceError as `trained_learner` does.
    """
    learner = trained_learner(spec, workspace)
    probe = _Probe(learner, _Draw(spec, workspace), spec, settings)
    shared = {
        "trained_on": spec.trained_on,
        "probe": spec.run_id,
        "protocol_version": spec.protocol_version,
        "image_size": spec.images.size,
    }
    rows = [{**row, "split": "train"} for row in probe.without]
    for evaluation in spec.evaluations:
        say(f"{spec.trained_on}: {evaluation.source.name}")
        place = {"source": evaluation.source.name, "split": evaluation.split}
        rows += [{**place, **row} for row in probe.rows(evaluation)]
    frame = pd.DataFrame([{**shared, **row} for row in rows])
    return frame.reindex(columns=list(DISTANCE_COLUMNS)).astype(DISTANCE_COLUMNS)


class _Draw:
    """Tasks of any shape from the sources of a run."""

    def __init__(self, spec: RunSpec, workspace: Workspace) -> None:
        self._spec, self._workspace = spec, workspace

    def __call__(self, source: SourceSpec, split: str, shape: Shape, n_tasks: int, stream: str) -> Drawn:
        spec = self._spec
        pool = open_pool(self._workspace.cache, source.pool_key(split, spec.images))
        try:
            sequence = SourceSequence(
                pool, shape, spec.images, seed=spec.seed, stream=stream, device=spec.compute.device
            )
        except DataError as error:
            return Drawn(source=source.name, reason=str(error))
        return Drawn(source=source.name, n_tasks=n_tasks, sequence=sequence)


class _Probe:
    """The network, and what the training tasks look like to it.

    without: rows that say which training sources have no such tasks, and why.
    """

    def __init__(self, learner: Learner, draw: _Draw, spec: RunSpec, settings: Dissimilarity) -> None:
        self._body, self._draw, self._settings = learner.body, draw, settings
        self._sources = spec.train.sources
        self._shape = EpisodeShape(n_way=settings.n_way, n_shot=settings.n_images - 1, n_query=1)
        self._like_tests: dict[Shape, Embedded] = {}
        drawn = self._of_training(self._shape, "/dissimilarity/training")
        training = [each for each in drawn if each.sequence]
        self.without = [
            {"source": each.source, **_row(OF_TRAINING, reason=each.reason)}
            for each in drawn
            if not each.sequence
        ]
        self._why_not = "" if training else "no training source has such tasks"
        self._features: list[Tensor] = []
        if training:
            self._statistics = fixed_statistics(self._body, _some(training))
            try:
                self._training, self._features = self._looked_at(training)
            except ValueError as error:  # a network that sees nothing: no head can be fitted
                self._why_not = str(error)

    def rows(self, evaluation: EvaluationSpec) -> list[Row]:
        """Of the source and its tasks, then of its test episodes; or a row with the reason why not."""
        source, split = evaluation.source, evaluation.split
        if self._why_not:
            return [_row("", reason=self._why_not)]
        drawn = self._draw(source, split, self._shape, self._settings.n_tasks, "/dissimilarity")
        found = _or_reason("", drawn, self._source_rows)
        if n := min(self._settings.n_episodes, evaluation.n_episodes):
            tests = self._draw(source, split, evaluation.shape, n, "")
            found += _or_reason(OF_EPISODES, tests, lambda drawn: self._episode_rows(drawn, evaluation.shape))
        return found

    def _of_training(self, shape: Shape, stream: str) -> list[Drawn]:
        return [self._draw(each, "train", shape, self._settings.n_tasks, stream) for each in self._sources]

    def _looked_at(self, drawn: Sequence[Drawn]) -> tuple[Embedded, list[Tensor]]:
        """All their tasks embedded, sample after sample, and the features [n, D] of the images of each sample."""
        sources, images, values, features = [], [], [], []
        for sample in drawn:
            seen = []
            for x, y in sample.tasks():
                sources.append(sample.source)
                images.append(len(x))
                values.append(embed_task(self._body, x, y, int(y.max()) + 1))
                seen.append(fixed_features(self._body, x, self._statistics))
            features.append(torch.cat(seen))
        embedded = Embedded(sources=tuple(sources), images=tuple(images), values=torch.stack(values))
        return embedded, features

    def _source_rows(self, drawn: Drawn) -> Iterator[Row]:
        """Task by task, and then for the source as a whole."""
        own, (features,) = self._looked_at([drawn])
        across = task2vec_distances(own.values, self._training.values)
        far = from_training(across, self._training.sources)
        for k, (mean, nearest) in enumerate(zip(far.mean, far.nearest_source, strict=True)):
            yield _row("task2vec", _task2vec(mean), own.images[k], task=k)
            yield _row("task2vec nearest", _task2vec(nearest), own.images[k], task=k)
        (whole,) = by_source(far, own.sources).values()
        n = len(features)
        within = (task2vec_distances(each.values, each.values) for each in (own, self._training))
        yield _row("task2vec", _task2vec(whole.mean), n)
        yield _row("task2vec nearest", _task2vec(whole.nearest_source), n)
        yield _row("task2vec excess", _task2vec(excess(across, *within)), n)
        squares = [frechet_distance(features, each) for each in self._features]
        yield _row("frechet", _mean(squares), n)
        yield _row("frechet nearest", min(squares, key=_size), n)

    def _episode_rows(self, tests: Drawn, shape: Shape) -> Iterator[Row]:
        """Test episode by test episode, from the nearest training source."""
        training = self._training_like(shape)
        own, (features,) = self._looked_at([tests])
        across = task2vec_distances(own.values, training.values)
        far = from_training(across, training.sources).nearest_source
        for k, seen in enumerate(torch.split(features, list(own.images))):
            yield _row("task2vec nearest", _task2vec(far[k]), own.images[k], episode=k)
            squares = [frechet_distance(seen, each, splits=EPISODE_SPLITS) for each in self._features]
            yield _row("frechet nearest", min(squares, key=_size), own.images[k], episode=k)

    def _training_like(self, shape: Shape) -> Embedded:
        """Training tasks of the test episodes' shape; drawn and embedded once. Raises ValueError for none."""
        if isinstance(shape, VariableShape):
            raise ValueError("They are of varying ways and sizes, which their distances would be about.")
        if shape not in self._like_tests:
            drawn = [each for each in self._of_training(shape, "/dissimilarity/episodes") if each.sequence]
            if not drawn:
                raise ValueError("No training source has tasks of their shape.")
            self._like_tests[shape] = self._looked_at(drawn)[0]
        return self._like_tests[shape]


def _some(training: Sequence[Drawn]) -> Tensor:
    """About STATISTICS_IMAGES images, as many of each source, and evenly of its tasks and their classes."""
    share = max(1, STATISTICS_IMAGES // len(training))
    found = []
    for drawn in training:
        each = max(1, share // drawn.n_tasks)
        images = [x[torch.linspace(0, len(x) - 1, each).long()] for x, _ in drawn.tasks()]
        found.append(torch.cat(images)[:share])
    return torch.cat(found)


def _or_reason(measure: str, drawn: Drawn, rows: Callable[[Drawn], Iterator[Row]]) -> list[Row]:
    """The rows, or one that says why there are none."""
    if not drawn.sequence:
        return [_row(measure, reason=drawn.reason)]
    try:
        return list(rows(drawn))
    except ValueError as error:  # a network that sees nothing there: no head can be fitted
        return [_row(measure, reason=str(error))]


def _task2vec(value: Tensor | float) -> Measured:
    number = float(value)
    return Measured(value=number, reason=_NO_EMBEDDING if math.isnan(number) else "")


def _size(square: Measured) -> float:
    return math.inf if square.reason else square.value


def _mean(squares: Sequence[Measured]) -> Measured:
    reason = next((each.reason for each in squares if each.reason), "")
    return Measured(value=sum(each.value for each in squares) / len(squares), reason=reason)


def _row(
    measure: str,
    found: Measured | None = None,
    images: int = 0,
    *,
    task: int | None = None,
    episode: int | None = None,
    reason: str = "",
) -> Row:
    result = found or Measured(value=math.nan, reason=reason)
    return {
        "measure": measure,
        "task": task,
        "episode": episode,
        "value": result.value,
        "images": images,
        "reason": result.reason,
    }
