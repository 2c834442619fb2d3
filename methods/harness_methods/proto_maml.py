"""Proto-MAML: Triantafillou et al. 2020, "Meta-Dataset" (arXiv 1903.03096), section 3."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from harness.inner_loop_method import InnerLoopMethod
from harness.learner import HEAD, Learner, Weights, support_statistics
from harness.task_batch import TaskBatch


@dataclass(frozen=True, kw_only=True)
class ProtoMAML(InnerLoopMethod):
    """MAML whose head begins at each task's prototypes, so that it starts as a Prototypical Network.

    With c_k the mean support feature of class k, row k of the head begins as W_k = 2 c_k, b_k = -‖c_k‖² (section 3);
    the outer loop differentiates through it. The learner's stored head is not used. That head is as large as the
    features are, so that rates which suit a small drawn one can make the inner loop diverge.

    Rate and steps are what the paper's search found for training on ImageNet, as its code has them; for training on
    all sources it found 0.0199, one step, and five more at test. The search was of first order: for its numbers set
    `first_order`, which is left out by default, as in the paper's equations.
    """

    name: str = "proto_maml"
    inner_lr: float = 0.00544
    inner_steps: int = 6
    test_inner_steps: int | None = None

    def start(self, learner: Learner, batch: TaskBatch, *, training: bool) -> Weights:
        """The head of each task, [T, max_way, D] and [T, max_way]; rows of no class are zero."""
        with torch.set_grad_enabled(training and torch.is_grad_enabled()):
            features = learner.features({}, batch.support_x, support_statistics(learner, training=training))
            members = F.one_hot(batch.support_y, learner.max_way).to(features.dtype).mT
            prototypes = members @ features / members.sum(2, keepdim=True).clamp(min=1)
            weight, bias = 2 * prototypes, -prototypes.square().sum(2)
        return {f"{HEAD}.weight": weight, f"{HEAD}.bias": bias}
