"""How well a learner does on given episodes: one accuracy and one loss each."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from harness.episode import Episode
from harness.learner import Learner
from harness.method import Method
from harness.seeds import torch_seed


@dataclass(frozen=True, kw_only=True)
class Score:
    """One episode's result: `accuracy` in 0..1, `loss` the mean cross-entropy of its queries."""

    episode: int
    n_way: int
    n_support: int
    n_query: int
    accuracy: float
    loss: float
    seconds: float


def evaluate(method: Method, learner: Learner, episodes: Iterable[Episode], *, seed: int) -> Iterator[Score]:
    """Score each episode in turn. `seed` serves methods that draw random numbers: each episode its own."""
    learner.eval()
    for episode in episodes:
        torch.manual_seed(torch_seed(seed, f"predict/{episode.source}/{episode.index}"))
        began = time.perf_counter()
        logits = method.predict(learner, episode.task).detach()
        seconds = time.perf_counter() - began
        correct = (logits.argmax(1) == episode.query_y).to(torch.float64)
        yield Score(
            episode=episode.index,
            n_way=episode.task.n_way,
            n_support=len(episode.task.support_y),
            n_query=len(episode.query_y),
            accuracy=float(correct.mean()),
            loss=float(F.cross_entropy(logits, episode.query_y)),
            seconds=seconds,
        )


def mean_accuracy(method: Method, learner: Learner, episodes: Iterable[Episode], *, seed: int) -> float:
    """The mean of the episodes' accuracies."""
    scores = [score.accuracy for score in evaluate(method, learner, episodes, seed=seed)]
    return sum(scores) / len(scores)
