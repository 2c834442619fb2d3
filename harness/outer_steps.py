"""How a learner follows its outer gradients: by Adam at the regime's rate, or by the trainer's own optimiser."""

import math

import torch

from harness.learner import Learner
from harness.method import Trainable, steps_itself
from harness.spec import TrainSpec


def new_optimiser(trainer: Trainable, train: TrainSpec, learner: Learner) -> torch.optim.Optimizer:
    """Of the outer updates."""
    if steps_itself(trainer):
        return trainer.outer_optimiser(learner.parameters())
    return torch.optim.Adam(learner.parameters(), lr=train.learning_rate)


def learning_rate(trainer: Trainable, train: TrainSpec, iteration: int) -> float:
    """Of an outer update: the trainer's own, or constant, or half a cosine from the full rate towards zero."""
    if steps_itself(trainer):
        return trainer.outer_rate(iteration, train.iterations)
    if train.schedule == "cosine":
        return train.learning_rate * 0.5 * (1 + math.cos(math.pi * iteration / train.iterations))
    return train.learning_rate
