"""How well a learner does on given episodes: one accuracy and one loss each."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.episode import Episode
from harness.learner import Learner
from harness.method import Method, predicts_batches
from harness.seeds import seed_torch


@dataclass(frozen=True, kw_only=True)
class Score:
    """One episode's result: `accuracy` in 0..1, `loss` the mean cross-entropy of its queries.

    seconds: of the prediction, a share of the time where several episodes were predicted together.
    """

    episode: int
    n_way: int
    n_support: int
    n_query: int
    accuracy: float
    loss: float
    seconds: float


def evaluate(method: Method, learner: Learner, episodes: Iterable[Episode], *, seed: int) -> Iterator[Score]:
    """Score each episode in turn. `seed` serves methods that draw random numbers: each episode its own."""
    for episode, logits, seconds in predictions(method, learner, episodes, seed=seed):
        yield _score(episode, logits, seconds)


def predictions(
    method: Method, learner: Learner, episodes: Iterable[Episode], *, seed: int
) -> Iterator[tuple[Episode, Tensor, float]]:
    """Each episode in turn with its logits [n_query, n_way] and the seconds they took.

    A method that can is given several episodes side by side. Such a method draws no random numbers, so the company
    that an episode is in changes nothing but the order of floating-point sums.
    """
    learner.eval()
    for group in groups(method, learner, episodes):
        first = group[0]
        seed_torch(seed, f"predict/{first.source}/{first.index}")
        began = time.perf_counter()
        tasks = [episode.task for episode in group]
        if predicts_batches(method):
            logits = method.predict_batch(learner, tasks).detach()
        else:
            logits = method.predict(learner, tasks[0]).detach()[None]
        if logits.is_cuda:
            torch.cuda.synchronize()
        seconds = (time.perf_counter() - began) / len(group)
        for episode, own in zip(group, logits, strict=True):
            yield episode, own, seconds


def groups(method: Method, learner: Learner, episodes: Iterable[Episode]) -> Iterator[list[Episode]]:
    """Runs of consecutive episodes that are predicted together: of one shape, as many as there is room for.

    Single episodes where the method predicts them one by one. Groups go by sizes alone, and those after a group are
    the same whatever came before it: who begins where a group begins has the groups of who began at the first episode.
    """
    batched = predicts_batches(method)
    group: list[Episode] = []
    for episode in episodes:
        if group and not (batched and _fits(learner, group, episode)):
            yield group
            group = []
        group.append(episode)
    if group:
        yield group


def _fits(learner: Learner, group: list[Episode], episode: Episode) -> bool:
    """Whether the episode is of the group's shape and there is room for it."""
    task, other = episode.task, group[0].task
    shapes = [(t.n_way, t.support_x.shape, t.query_x.shape) for t in (task, other)]
    return shapes[0] == shapes[1] and len(group) < learner.tasks_at_once(task)


def _score(episode: Episode, logits: Tensor, seconds: float) -> Score:
    return Score(
        episode=episode.index,
        n_way=episode.task.n_way,
        n_support=len(episode.task.support_y),
        n_query=len(episode.query_y),
        accuracy=accuracy(logits, episode.query_y),
        loss=float(F.cross_entropy(logits, episode.query_y)),
        seconds=seconds,
    )


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The share of images whose largest logit is their label's: logits [n, n_way], labels [n]."""
    return float((logits.argmax(1) == labels).to(torch.float64).mean())


def mean_accuracy(method: Method, learner: Learner, episodes: Iterable[Episode], *, seed: int) -> float:
    """The mean of the episodes' accuracies."""
    scores = [score.accuracy for score in evaluate(method, learner, episodes, seed=seed)]
    return sum(scores) / len(scores)
