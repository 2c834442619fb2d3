"""What a method is given of an episode: nothing that says which source it is on, or what its queries are."""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from harness.episode import Episode, Task
from harness.evaluation import evaluate
from harness.learner import Learner
from harness.task_batch import TaskBatch, equal_shapes
from harness_methods.maml import MAML
from harness_methods.nil import NIL
from tiny import tiny_episode, tiny_learner

SEEN = {"support_x", "support_y", "query_x", "n_way"}
EPISODES = [
    dataclasses.replace(tiny_episode(seed=k, n_query=3), source=f"source-{k}", index=k) for k in range(4)
]
GIVEN: list[object] = []


class WatchedMAML(MAML):
    """Notes all that its predictions are given: several tasks side by side."""

    def predict_batch(self, learner: Learner, tasks: Sequence[Task]) -> Tensor:
        GIVEN.extend(tasks)
        return super().predict_batch(learner, tasks)


class WatchedNIL(NIL):
    """Notes all that its predictions are given: one task at a time."""

    def predict(self, learner: Learner, task: Task) -> Tensor:
        GIVEN.append(task)
        return super().predict(learner, task)


def reveals(given: object, episode: Episode) -> bool:
    """Whether the query labels, or a text, can be reached from what was given."""
    if isinstance(given, Tensor):
        same_memory = given.untyped_storage().data_ptr() == episode.query_y.untyped_storage().data_ptr()
        return same_memory or (given.shape == episode.query_y.shape and torch.equal(given, episode.query_y))
    return isinstance(given, str)


def test_a_task_has_no_place_for_query_labels_or_a_source() -> None:
    assert {field.name for field in dataclasses.fields(Task)} == SEEN
    assert {field.name for field in dataclasses.fields(TaskBatch)} == SEEN


def test_predictions_are_made_from_tasks_alone() -> None:
    for method in (WatchedMAML(), WatchedNIL()):
        GIVEN.clear()
        list(evaluate(method, tiny_learner(method), EPISODES, seed=0))
        assert len(GIVEN) == len(EPISODES)
        for given, episode in zip(GIVEN, EPISODES, strict=True):
            assert type(given) is Task
            assert set(vars(given)) == SEEN
            assert not any(reveals(value, episode) for value in vars(given).values())


def test_training_gives_labels_to_the_loss_alone() -> None:
    """The batch that is adapted to has none; they come beside it."""
    ((batch, query_y),) = equal_shapes(EPISODES, tiny_learner(MAML()).tasks_at_once)
    assert set(vars(batch)) == SEEN
    assert torch.equal(query_y, torch.stack([episode.query_y for episode in EPISODES]))
    assert batch.support_y.shape != query_y.shape
