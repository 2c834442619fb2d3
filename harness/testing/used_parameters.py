"""Which parameters of a learner its predictions depend on."""

import torch
from torch import Tensor

from harness.episode import Task
from harness.learner import Learner
from harness.method import Method


def used_parameters(method: Method, learner: Learner, task: Task) -> set[str]:
    """The names of those that the logits of `task` change with, each moved at random by itself."""
    learner.eval()

    def logits() -> Tensor:
        torch.manual_seed(1)
        return method.predict(learner, task).detach()

    before, found = logits(), set()
    for name, parameter in learner.named_parameters():
        stored = parameter.detach().clone()
        moves = torch.randn(stored.shape, generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            parameter.add_(0.3 * (stored.abs().mean() + 0.1) * moves)
            if not torch.allclose(logits(), before, rtol=1e-5, atol=1e-6):
                found.add(name)
            parameter.copy_(stored)
    return found
