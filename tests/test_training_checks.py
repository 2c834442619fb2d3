"""What the conformance kit finds wrong in what updates leave in a learner, and in where they lead."""

from collections.abc import Iterable
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from harness.learner import Weights
from harness.networks import Body
from harness.step_directions import Adam
from harness.testing import check_method
from harness.testing.checks import BrokenError
from harness.testing.share_check import shares_add_up
from harness_methods.reptile import Reptile, ReptileLearner
from tiny import tiny_episode, tiny_learner


class Forgetful(ReptileLearner):
    """Keeps what its inner Adam remembers beside its state, where no checkpoint finds it."""

    def __init__(self, body: Body, max_way: int) -> None:
        super().__init__(body, max_way)
        self.kept = Adam(beta1=0.0)

    def inner_adam(self) -> Adam:
        return Adam(beta1=0.0, second=self.kept.second, steps=self.kept.steps)

    def remember(self, second: Weights, steps: int) -> None:
        self.kept.second = {name: moment[None].clone() for name, moment in second.items()}
        self.kept.steps += steps


class Rooted(ReptileLearner):
    """Leaves roots of means, of whose shares the mean is another."""

    def remember(self, second: Weights, steps: int) -> None:
        super().remember({name: moment.sqrt() for name, moment in second.items()}, steps)


@dataclass(frozen=True, kw_only=True)
class WrongReptile(Reptile):
    """Keeps the contract but for its learner, or for where its outer steps go."""

    name: str = "wrong_reptile"
    learner: type[ReptileLearner] = ReptileLearner
    backwards: bool = False

    def init(self, body: Body, max_way: int) -> ReptileLearner:
        return self.learner(body, max_way)

    def outer_optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=self.meta_step, maximize=self.backwards)


def test_state_beside_the_state_and_steps_away_from_the_tasks_are_found() -> None:
    checks = check_method(WrongReptile(learner=Forgetful, backwards=True))
    broken = {check.name: check.detail for check in checks if not check.passed}
    assert "state is kept outside state_dict" in broken["learner survives saving and loading"]
    assert "its outer steps lead away" in broken["learns: above chance after a few updates"]


def test_buffers_that_are_no_means_are_found() -> None:
    episodes = [tiny_episode(seed=k) for k in range(3)]

    def checked(method: WrongReptile) -> str:
        return shares_add_up(method, lambda: tiny_learner(method), episodes, 2)

    assert checked(WrongReptile()) == "2 shares"
    with pytest.raises(BrokenError, match="the buffer second_moment_0 is one of `mean_buffers`"):
        checked(WrongReptile(learner=Rooted))
