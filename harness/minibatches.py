"""The minibatches of an inner loop: which images of a task's support set each of its steps is on."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from harness.inner_loop import Minibatches


def passes(rng: np.random.Generator, n_images: int, size: int, steps: int) -> Tensor:
    """Places [steps, size] of minibatches drawn pass after pass over all images, each pass in a new order.

    Within a pass no image is drawn twice; a minibatch may end one pass and begin the next.
    """
    n_passes = -(-steps * size // n_images)
    order = np.concatenate([rng.permutation(n_images) for _ in range(n_passes)])
    return torch.from_numpy(order[: steps * size].reshape(steps, size))


def minibatches_at(places: Sequence[Tensor], device: torch.device) -> Minibatches:
    """Those at the places [steps, n] of each task."""
    by_step = torch.stack(list(places), dim=1).to(device)
    return lambda number: by_step[number - 1]
