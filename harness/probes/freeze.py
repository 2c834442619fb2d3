"""Freezing at test time: Raghu et al. 2020 (arXiv 1909.09157), section 3.2.1, extended to every prefix of layers."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.episode import Episode, Spare
from harness.evaluation import accuracy
from harness.inner_loop import query_logits
from harness.learner import Learner
from harness.masks import freeze_masks
from harness.method import Method, can_adapt
from harness.parameters import check_fields, check_name, check_whole
from harness.probe import ProbeRow, Work, row
from harness.task_batch import stack


@dataclass(frozen=True, kw_only=True)
class Freeze:
    """Query accuracy with only chosen layers adapted, whatever layers the method itself adapts.

    Conditions are those of `masks.freeze_masks`: `nothing`, `head only`, `from conv4` (it and all above), ..., `body
    only`, `everything`. Rate, steps and clipping are the method's own at test time. For MAML `everything` is its own
    prediction, for ANIL `head only` is. Queries are normalised as in evaluation. n is the number of queries.
    """

    name: str = "freeze"
    n_episodes: int = 600

    def __post_init__(self) -> None:
        check_fields(self)
        check_name("Freeze", self.name)
        check_whole("Freeze.n_episodes", self.n_episodes, low=1)

    @property
    def n_spare(self) -> int:
        """None are needed."""
        return 0

    @property
    def needs_adaptation(self) -> bool:
        """It does."""
        return True

    def work(self, n_layers: int, steps: int) -> Work:  # noqa: ARG002
        """The body twice, and of it all but the first k layers for every k."""
        return Work(adaptations=2 + (n_layers - 1) / 2, spare_passes=0)

    def measure(self, learner: Learner, method: Method, episode: Episode, spare: Spare) -> Iterator[ProbeRow]:  # noqa: ARG002
        """One row a condition: `accuracy`, 0..1."""
        assert can_adapt(method)
        batch = stack([episode.task])
        for condition, mask in freeze_masks(learner.layers).items():
            weights = method.adapt(learner, episode.task, adapted=mask)
            logits = query_logits(learner, weights, batch, training=False)[0]
            found = accuracy(logits, episode.query_y)
            yield row(found, condition=condition, quantity="accuracy", n=len(episode.query_y))
