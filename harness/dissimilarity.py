"""How unlike what a learner was trained on a task or a source is: distances between task embeddings.

Two measures fill the tables here: Task2Vec between tasks (`task2vec_distances` of embeddings from
`task2vec.py`), and Fréchet distance between sets of images (`frechet.py`), one source or one episode a set. A
table [E, M] holds the distance of each of E tasks (or sources) from each of M training tasks (or sources).

Task2Vec distance (Achille et al. 2019): the cosine distance, 0..1, of the parts that each of two
embeddings contributes to their sum,

    d(F_a, F_b) = 1 - cos(F_a / (F_a + F_b), F_b / (F_a + F_b)),

so that a filter counts by its ratio in the two and not by its size. It is symmetric, and zero when one
embedding is a multiple of the other. The diversity coefficient of a source is its mean over pairs of the
source's tasks (arXiv 2208.01545). Embeddings of few images are noisy, which alone puts two draws of one task
apart: read every distance beside the diversities of both sources, of tasks of the same size, or take `excess`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TrainingDistances:
    """Distances [E] of E tasks from the training tasks.

    mean: over all training tasks, each training source weighing the same.
    nearest_source: of the training source that is nearest on average over its tasks.
    nearest_task: of the nearest training task: the more there are, the nearer it is, so compare equal numbers.
    """

    mean: Tensor
    nearest_source: Tensor
    nearest_task: Tensor


@dataclass(frozen=True, kw_only=True)
class SourceDistance:
    """The distances of one source's tasks from training, averaged over its `n_tasks` tasks."""

    mean: float
    nearest_source: float
    nearest_task: float
    n_tasks: int


def task2vec_distances(a: Tensor, b: Tensor) -> Tensor:
    """Task2Vec distances [E, M], 0..1, between embeddings [E, F] and [M, F] of one probe network.

    A filter that is zero in both is left out. NaN where an embedding is zero for all filters.

    Raises ValueError for negative or not finite embeddings, and for different numbers of filters.
    """
    for each in (a, b):
        if each.ndim != 2 or not torch.isfinite(each).all() or (each < 0).any():
            raise ValueError(
                f"Embeddings are [tasks, filters], finite and not negative; got such of {list(each.shape)}."
            )
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"Embeddings must be of one network; got {a.shape[1]} and {b.shape[1]} filters.")
    others = b.double()
    return torch.stack([_row(own, others) for own in a.double()]) if len(a) else others.new_zeros(0, len(b))


def _row(own: Tensor, others: Tensor) -> Tensor:
    """Distances [M] of the embedding [F] from each of [M, F]."""
    total = own + others
    safe = torch.where(total > 0, total, 1.0)
    left, right = own / safe, others / safe
    cosines: Tensor = (left * right).sum(1) / (left.norm(dim=1) * right.norm(dim=1))
    return (1 - cosines).clamp(min=0)


def diversity(distances: Tensor) -> float:
    """Mean distance between different tasks, of a table [M, M] of tasks with themselves.

    With `task2vec_distances(e, e)` it is the diversity coefficient. Raises ValueError for fewer than 2 tasks.
    """
    n = len(distances)
    if distances.shape != (n, n) or n < 2:
        raise ValueError(
            f"Diversity needs the distances [M, M] of at least 2 tasks; got {list(distances.shape)}."
        )
    first, second = torch.triu_indices(n, n, offset=1)
    return float(distances[first, second].mean())


def excess(across: Tensor, own: Tensor, training: Tensor) -> float:
    """What two sets of tasks are apart beyond what their own tasks are among themselves.

    The mean of `across` [E, M], less the mean of the diversities of `own` [E, E] and `training` [M, M]: about
    zero for two draws of one source, whatever the number of images. Raises ValueError as `diversity` does.
    """
    return float(across.mean()) - (diversity(own) + diversity(training)) / 2


def from_training(distances: Tensor, training_sources: Sequence[str]) -> TrainingDistances:
    """What each row of a table [E, M] says of training tasks that are from `training_sources` [M].

    The tasks must not be among the training tasks, or the nearest is the task itself.

    Raises ValueError for no training tasks, or another number of sources than columns.
    """
    if distances.ndim != 2 or not training_sources or distances.shape[1] != len(training_sources):
        raise ValueError(
            "Distances [E, M] need the source of each of M >= 1 training tasks; "
            f"got {list(distances.shape)} and {len(training_sources)} sources."
        )
    averages = torch.stack(
        [distances[:, _places(training_sources, name)].mean(1) for name in sorted(set(training_sources))],
        dim=1,
    )
    return TrainingDistances(
        mean=averages.mean(1), nearest_source=averages.amin(1), nearest_task=distances.amin(1)
    )


def by_source(distances: TrainingDistances, sources: Sequence[str]) -> Mapping[str, SourceDistance]:
    """For each source, the averages over its tasks, of distances [E] with the tasks' sources [E].

    `nearest_source` is the average of the tasks' own nearest sources, not the nearest to all of them.

    Raises ValueError for another number of sources than tasks.
    """
    if len(sources) != len(distances.mean):
        raise ValueError(f"Each of {len(distances.mean)} tasks needs a source; got {len(sources)}.")
    found = {}
    for name in sorted(set(sources)):
        places = _places(sources, name)
        found[name] = SourceDistance(
            mean=float(distances.mean[places].mean()),
            nearest_source=float(distances.nearest_source[places].mean()),
            nearest_task=float(distances.nearest_task[places].mean()),
            n_tasks=len(places),
        )
    return found


def _places(sources: Sequence[str], name: str) -> list[int]:
    return [place for place, source in enumerate(sources) if source == name]
