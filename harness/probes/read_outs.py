"""What the body is worth without its head, before and after adaptation: Raghu et al. 2020, section 5, and two more."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from harness.episode import Episode, Spare
from harness.evaluation import accuracy
from harness.learner import Learner, Weights, embed
from harness.method import Method, can_adapt
from harness.parameters import check_fields, check_name, check_whole
from harness.probe import ProbeRow, Work, absent, row
from harness.read_outs import cosine_weighted, linear_probe, nearest_centroid
from harness.task_batch import stack

READ_OUTS = {"nil": cosine_weighted, "nearest centroid": nearest_centroid, "linear probe": linear_probe}

UNADAPTED, ADAPTED = "unadapted body", "adapted body"


@dataclass(frozen=True, kw_only=True)
class ReadOuts:
    """Query accuracy of three read-outs of the body's features: `nil`, `nearest centroid`, `linear probe`.

    Conditions are `<read-out>, unadapted body` and `<read-out>, adapted body`; the latter after the method's inner loop
    on everything (the head's part in it is the labels' way into the body). `nil, unadapted body` is NIL. Features of
    support and queries are normalised as in evaluation. n is the number of queries. Of a method that does not adapt the
    rows of the adapted body are NaN.
    """

    name: str = "read_outs"
    n_episodes: int = 600

    def __post_init__(self) -> None:
        check_fields(self)
        check_name("ReadOuts", self.name)
        check_whole("ReadOuts.n_episodes", self.n_episodes, low=1)

    @property
    def n_spare(self) -> int:
        """None are needed."""
        return 0

    @property
    def needs_adaptation(self) -> bool:
        """The unadapted body can be read out in any case."""
        return False

    def work(self, n_layers: int, steps: int) -> Work:  # noqa: ARG002
        """One adaptation, and its features; those before it cost as little."""
        return Work(adaptations=1.5, spare_passes=0)

    def measure(self, learner: Learner, method: Method, episode: Episode, spare: Spare) -> Iterator[ProbeRow]:  # noqa: ARG002
        """One row a condition: `accuracy`, 0..1."""
        yield from _accuracies(learner, {}, episode, UNADAPTED)
        if can_adapt(method):
            weights = method.adapt(learner, episode.task, adapted=frozenset(learner.layers))
            yield from _accuracies(learner, weights, episode, ADAPTED)
            return
        for name in READ_OUTS:
            yield ProbeRow(
                condition=f"{name}, {ADAPTED}",
                quantity="accuracy",
                value=math.nan,
                n=len(episode.query_y),
                reason=absent(method.name),
            )


def _accuracies(learner: Learner, weights: Weights, episode: Episode, body: str) -> Iterator[ProbeRow]:
    batch = stack([episode.task])
    support, query = embed(learner, weights, batch, training=False)
    for name, read_out in READ_OUTS.items():
        logits = read_out(support, batch.support_y, query, batch.n_way)[0]
        found = accuracy(logits, episode.query_y)
        yield row(found, condition=f"{name}, {body}", quantity="accuracy", n=len(episode.query_y))
