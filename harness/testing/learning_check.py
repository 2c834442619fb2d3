"""Whether a method learns: above chance on unseen classes after a few of its own outer updates."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.episode import Episode
from harness.evaluation import evaluate
from harness.learner import Learner
from harness.method import Method, steps_itself
from harness.testing.checks import require

ADAMS_RATE = 1e-2

Numbers = npt.NDArray[np.float64]


def learns(
    method: Method,
    learner: Learner,
    loss: Callable[[Learner, int], Tensor],
    updates: int,
    episodes: Sequence[Episode],
) -> str:
    """What it reaches on the episodes of 5 ways; `loss` is that of an update, from 0. Fails near chance.

    Of a trainer with outer steps of its own it fails, too, where they have made the learner worse than it was drawn,
    as one that adapts well at test is above chance even so. Of others it does not ask: Adam's rate is not theirs.
    """
    as_drawn = _accuracies(method, learner, episodes) if updates and steps_itself(method.trainer) else None
    _train(method, learner, loss, updates)
    accuracy = _accuracies(method, learner, episodes)
    found = f"{_with_error(accuracy)} on unseen glyphs after {updates} updates; chance is 20%"
    require(accuracy.mean() - 3 * _error(accuracy) > 0.2, found)
    if as_drawn is not None:
        gain = accuracy - as_drawn
        worse = f"{found}; as it was drawn, {_with_error(as_drawn)}: its outer steps lead away"
        require(gain.mean() + 3 * _error(gain) >= 0, worse)
    return found


def _accuracies(method: Method, learner: Learner, episodes: Sequence[Episode]) -> Numbers:
    """One an episode."""
    return np.array([score.accuracy for score in evaluate(method, learner, episodes, seed=0)])


def _error(values: Numbers) -> float:
    """Of their mean."""
    return float(values.std() / np.sqrt(len(values)))


def _with_error(values: Numbers) -> str:
    return f"{values.mean():.1%} ± {_error(values):.1%}"


def _train(method: Method, learner: Learner, loss: Callable[[Learner, int], Tensor], updates: int) -> None:
    """By the trainer's own optimiser, or by Adam."""
    trainer = method.trainer
    optimiser: torch.optim.Optimizer = torch.optim.Adam(learner.parameters(), lr=ADAMS_RATE)
    rate: Callable[[int, int], float] | None = None
    if steps_itself(trainer):
        optimiser, rate = trainer.outer_optimiser(learner.parameters()), trainer.outer_rate
    for update in range(updates):
        learner.train()
        if rate is not None:
            for group in optimiser.param_groups:
                group["lr"] = rate(update, updates)
        optimiser.zero_grad()
        loss(learner, update).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
