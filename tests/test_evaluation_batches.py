"""Which episodes are predicted side by side, and that it changes nothing but the order of sums."""

import pytest
import torch

from harness import task_batch
from harness.episode import Task
from harness.evaluation import Score, evaluate
from harness.learner import Learner
from harness.method import predicts_batches
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from harness_methods.nil import NIL
from tiny import tiny_episode, tiny_learner


class OwnPredict(MAML):
    """Replaces what a method is asked at test."""

    def predict(self, learner: Learner, task: Task) -> torch.Tensor:
        return torch.eye(task.n_way)[torch.zeros(len(task.query_x), dtype=torch.int64)]


class OwnAdapt(MAML):
    """Replaces how a method adapts: not at all."""

    def adapt(self, learner: Learner, task: Task, **options: object) -> dict[str, torch.Tensor]:  # type: ignore[override]
        return {}


EPISODES = [tiny_episode(seed=k, n_way=3 if k % 4 else 2) for k in range(9)]


def scores(method: MAML | ANIL | NIL) -> list[Score]:
    return list(evaluate(method, tiny_learner(method), EPISODES, seed=0))


@pytest.mark.parametrize("method", [MAML(inner_lr=0.3), ANIL(), NIL()], ids=lambda m: m.name)
def test_company_changes_only_the_order_of_sums(
    method: MAML | ANIL | NIL, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = scores(method)
    assert [score.episode for score in together] == list(range(9))
    monkeypatch.setattr(task_batch, "VALUES_AT_ONCE", 1)
    for one, other in zip(together, scores(method), strict=True):
        assert one.accuracy == other.accuracy
        assert one.loss == pytest.approx(other.loss, abs=1e-12)


def test_a_method_that_replaces_a_part_is_asked_for_that_part() -> None:
    assert predicts_batches(MAML())
    for kind in (OwnPredict, OwnAdapt):
        assert not predicts_batches(kind())
    zero = [score.accuracy for score in scores(MAML(test_inner_steps=0))]
    assert [score.accuracy for score in scores(OwnAdapt())] == zero
    assert [score.accuracy for score in scores(OwnPredict())] == [
        1 / episode.task.n_way for episode in EPISODES
    ]
