"""The minibatches of an inner loop: which images of a task's support set each of its steps is on."""

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.inner_loop import Minibatches


def passes(n_images: int, size: int, steps: int, generator: torch.Generator | None = None) -> Tensor:
    """Places [steps, size] of minibatches drawn pass after pass over all images, each pass in a new order.

    Within a pass none is drawn twice; a minibatch may end one pass and begin the next. generator: None for torch's own.
    """
    n_passes = -(-steps * size // n_images)
    order = [torch.randperm(n_images, generator=generator) for _ in range(n_passes)]
    return torch.cat(order)[: steps * size].view(steps, size)


def drawn(places: Sequence[Tensor], device: torch.device) -> Minibatches:
    """The minibatches at the places [steps, n] of each task."""
    by_step = torch.stack(list(places), dim=1).to(device)
    return lambda number: by_step[number - 1]
