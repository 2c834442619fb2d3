"""What a learner answers on its test episodes, made again: the confusions, and the predictions of single episodes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness import plugins
from harness.episode import Episode
from harness.episode_sequence import evaluation_sequence
from harness.evaluation import predictions
from harness.method import Method
from harness.pools import open_pool
from harness.spec import EvaluationSpec, RunSpec
from harness.store import Workspace
from harness.trained import trained_learner


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An episode with the labels that were predicted for its queries, and the names of its classes in label order."""

    episode: Episode
    predicted: Sequence[int]
    class_names: Sequence[str]

    @property
    def accuracy(self) -> float:
        """Of the queries, 0..1."""
        return float(
            np.mean([p == int(y) for p, y in zip(self.predicted, self.episode.query_y, strict=True)])
        )


def answers(
    spec: RunSpec, workspace: Workspace, evaluation: EvaluationSpec, episodes: Iterable[int]
) -> list[Answer]:
    """Those of the run's learner on the episodes of these numbers.

    Raises WorkspaceError where the checkpoint is gone, DataError where the pool is.
    """
    learner = trained_learner(spec, workspace)
    method: Method = plugins.build(plugins.METHODS, spec.method)
    pool = open_pool(workspace.cache, evaluation.source.pool_key(evaluation.split, spec.images))
    sequence = evaluation_sequence(spec, evaluation, pool)
    return [
        Answer(
            episode=episode,
            predicted=[int(label) for label in logits.argmax(1)],
            class_names=[pool.class_names[c] for c in episode.classes],
        )
        for episode, logits, _ in predictions(
            method, learner, (sequence[k] for k in episodes), seed=spec.seed
        )
    ]


def confusions(found: Sequence[Answer]) -> pd.DataFrame:
    """A row a pair of classes that met in an episode: true, predicted, times, chances, rate; the most frequent first.

    chances: queries of the one class in episodes that had the other, too. times: how many of them were taken for it.
    """
    counts: dict[tuple[str, str], list[int]] = {}
    for answer in found:
        labels = [int(y) for y in answer.episode.query_y]
        for label, guess in zip(labels, answer.predicted, strict=True):
            for other, name in enumerate(answer.class_names):
                if other == label:
                    continue
                own = counts.setdefault((answer.class_names[label], name), [0, 0])
                own[0] += guess == other
                own[1] += 1
    rows = [
        {"true": true, "predicted": other, "times": times, "chances": chances, "rate": times / chances}
        for (true, other), (times, chances) in counts.items()
    ]
    frame = pd.DataFrame(rows, columns=["true", "predicted", "times", "chances", "rate"])
    return frame.sort_values(["times", "rate", "true", "predicted"], ascending=[False, False, True, True])
