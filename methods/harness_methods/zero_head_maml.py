"""MAML with the zeroing trick: Kao et al. 2022, "MAML is a noisy contrastive learner" (arXiv 2106.15367)."""

from dataclasses import dataclass

from harness.inner_loop_method import InnerLoopMethod
from harness.learner import HEAD, Learner, Weights
from harness.task_batch import TaskBatch


@dataclass(frozen=True, kw_only=True)
class ZeroHeadMAML(InnerLoopMethod):
    """MAML whose head begins each task at zero, w = 0, in training and at test: the paper's algorithm of second order.

    Then the first step gives the body no gradient, so one step adapts the head alone, as ANIL's does; what the head
    learns between tasks cannot interfere with the task at hand. The learner's stored head is not used.
    """

    name: str = "zero_head_maml"

    def start(self, learner: Learner, batch: TaskBatch, *, training: bool) -> Weights:  # noqa: ARG002
        """Zeros for each task's head."""
        tasks = len(batch.support_x)
        return {name: p.new_zeros(tasks, *p.shape) for name, p in learner.adaptable({HEAD}).items()}
