"""Baseline: Chen et al. 2019, "A Closer Look at Few-shot Classification" (arXiv 1904.04232), section 3.2."""

from dataclasses import dataclass, field

from harness.errors import ConfigError
from harness.fine_tuning import FineTuning
from harness.learner import HEAD, LayerMask, Learner
from harness.method import Trainable
from harness.parameters import check_whole
from harness.step_directions import Direction, Momentum
from harness.task_batch import TaskBatch
from harness_methods.multiclass import Multiclass


@dataclass(frozen=True, kw_only=True)
class Baseline(FineTuning):
    """Classify all training classes; at test fix the body and fit a new linear classifier to the support set.

    As the authors: SGD of rate 0.01 with momentum and dampening of 0.9 and a weight decay of 0.001, in rounds over the
    support set in minibatches, so rounds · ⌈support images / minibatch⌉ steps. Theirs are on the minibatches, in random
    order; here each is on the whole support set, of which those are samples, so that the result is the same every
    time. num_finetune_steps: rounds; the number that stands in the rows, too. minibatch: images.
    """

    name: str = "baseline"
    trainer: Trainable = field(default_factory=Multiclass)
    finetune_lr: float = 0.01
    num_finetune_steps: int = 100
    minibatch: int = 4
    momentum: float = 0.9
    dampening: float = 0.9
    weight_decay: float = 0.001

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(f"{type(self).__name__}.minibatch", self.minibatch, low=1)
        for name in ("momentum", "dampening", "weight_decay"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ConfigError(
                    f"{type(self).__name__}.{name} must be at least 0 and below 1; got {value!r}."
                )

    def n_steps(self, batch: TaskBatch) -> int:
        """Rounds times the minibatches of one."""
        return self.num_finetune_steps * -(-batch.support_y.shape[1] // self.minibatch)

    def adapted_layers(self, learner: Learner) -> LayerMask:  # noqa: ARG002
        """The head alone."""
        return frozenset({HEAD})

    def direction(self, learner: Learner) -> Direction:  # noqa: ARG002
        """SGD with momentum."""
        return Momentum(momentum=self.momentum, dampening=self.dampening, weight_decay=self.weight_decay)
