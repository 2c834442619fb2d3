"""Methods that fine-tune what an ordinary training has left, on a task's support set, with a new head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.cosine_head import LINEAR
from harness.errors import ConfigError
from harness.gradient_adaptation import GradientAdaptation
from harness.inner_loop import Rates
from harness.learner import HEAD, Learner, Weights
from harness.method import Trainable
from harness.parameters import check_above, check_fields, check_whole
from harness.task_batch import TaskBatch


@dataclass(frozen=True, kw_only=True)
class FineTuning(GradientAdaptation):
    """Fine-tunes `trainer`'s learner. A subclass has a `name` and defaults, and says which layers change if not all do.

    finetune_lr, num_finetune_steps: the rate and the number of steps, each on the whole support set. The new head has
    one row a way and begins at zero, so the order of the classes does not matter; the head that the learner was
    trained with is not used.
    """

    classifier: ClassVar[str] = LINEAR
    """The kind of the new head, and so of the trainer's where it trains one of all classes."""

    name: str
    trainer: Trainable
    finetune_lr: float
    num_finetune_steps: int

    def __post_init__(self) -> None:
        check_fields(self)
        plugin = type(self).__name__
        check_above(f"{plugin}.finetune_lr", self.finetune_lr, 0)
        check_whole(f"{plugin}.num_finetune_steps", self.num_finetune_steps, low=0)
        trained = getattr(self.trainer, "classifier", LINEAR)
        if trained != self.classifier:
            raise ConfigError(
                f"{plugin}.trainer must train a {self.classifier} classifier, as {plugin} fits one; "
                f"{type(self.trainer).__name__} trains a {trained} one. Write `{plugin}.trainer = @{self.classifier}/"
                f"Multiclass()`, `{self.classifier}/Multiclass.classifier = {self.classifier!r}` and a "
                f"`{self.classifier}/Multiclass.name` of its own."
            )

    @property
    def adaptation_steps(self) -> int:
        """Steps of fine-tuning."""
        return self.num_finetune_steps

    def rate(self, learner: Learner, *, training: bool) -> float | Rates:  # noqa: ARG002
        """That of every step."""
        return self.finetune_lr

    def start(self, learner: Learner, batch: TaskBatch, *, training: bool) -> Weights:  # noqa: ARG002
        """The new head of each task: zeros, [T, n_way, ...]."""
        tasks = len(batch.support_x)
        return {
            name: p.new_zeros(tasks, batch.n_way, *p.shape[1:])
            for name, p in learner.adaptable({HEAD}).items()
        }
