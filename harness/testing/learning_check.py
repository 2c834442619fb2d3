"""Whether a method learns: above chance on unseen classes after a few of its own outer updates."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from harness.episode import Episode
from harness.evaluation import evaluate
from harness.learner import Learner
from harness.method import Method, steps_itself
from harness.testing.checks import require

ADAMS_RATE = 1e-2


def learns(
    method: Method,
    learner: Learner,
    loss: Callable[[Learner, int], Tensor],
    updates: int,
    episodes: Sequence[Episode],
) -> str:
    """What it reaches on the episodes of 5 ways; `loss` is that of an update, from 0. Fails near chance."""
    _train(method, learner, loss, updates)
    scores = evaluate(method, learner, episodes, seed=0)
    accuracy = np.array([score.accuracy for score in scores])
    mean, error = accuracy.mean(), accuracy.std() / np.sqrt(len(accuracy))
    found = f"{mean:.1%} ± {error:.1%} on unseen glyphs after {updates} updates; chance is 20%"
    require(mean - 3 * error > 0.2, found)
    return found


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
