"""The gradient of a linear head's support loss, in closed form.

With the mean cross-entropy L over N images of features f_i and labels y_i, and p_i the softmax of the logits,

    dL/dW = (1/N) Σ_i (p_i - e_{y_i}) f_iᵀ,   dL/db = (1/N) Σ_i (p_i - e_{y_i}).

A dozen small operations of autograd become four, and an outer loop differentiates them as any others.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.layers import Head
from harness.learner import Learner, Weights
from harness.task_batch import TaskBatch


def has_linear_head(learner: Learner) -> bool:
    """Whether the head and its logits are the plain ones, so that the closed form holds."""
    return type(learner.head) is Head and type(learner).logits is Learner.logits


def linear_head_gradients(
    learner: Learner, weights: Weights, features: Tensor, batch: TaskBatch, *, graph: bool
) -> list[Tensor]:
    """Of each task's support loss by its `head.weight` [T, max_way, D] and `head.bias` [T, max_way].

    `features` [T, N, D]. Without `graph` they are constants to an outer loop.
    """
    with torch.set_grad_enabled(graph and torch.is_grad_enabled()):
        logits = learner.logits(weights, features, batch.n_way)
        targets = F.one_hot(batch.support_y, batch.n_way).to(logits.dtype)
        errors = (logits.softmax(-1) - targets) / batch.support_y.shape[1]
        unused = (
            weights["head.weight"].shape[1] if "head.weight" in weights else learner.max_way
        ) - batch.n_way
        if unused:
            errors = F.pad(errors, (0, unused))
        gradients = {"head.weight": errors.mT @ features, "head.bias": errors.sum(1)}
        return [gradients[name] for name in weights]
