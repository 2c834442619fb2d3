"""Finetune: the fine-tuning baseline of Triantafillou et al. 2020, "Meta-Dataset" (arXiv 1903.03096), section 3."""

from dataclasses import dataclass, field

from harness.fine_tuning import FineTuning
from harness.learner import HEAD, LayerMask, Learner
from harness.method import Trainable
from harness.step_directions import Adam, Direction
from harness_methods.multiclass import Multiclass


@dataclass(frozen=True, kw_only=True)
class Finetune(FineTuning):
    """Classify all training classes; at test fine-tune all layers and a new linear head on the support set.

    The settings are those of Meta-Dataset's repository for training on all sources: 50 steps of Adam on all layers.
    Its rate there is 0.1, on a wide residual network whose head is normalised by weight; the default here is
    the 0.01 it has elsewhere, as 0.1 undoes what smaller networks have learned.
    finetune_all_layers: off, the head alone is fitted. finetune_with_adam: off, plain gradient steps.
    """

    name: str = "finetune"
    trainer: Trainable = field(default_factory=Multiclass)
    finetune_lr: float = 0.01
    num_finetune_steps: int = 50
    finetune_all_layers: bool = True
    finetune_with_adam: bool = True

    def adapted_layers(self, learner: Learner) -> LayerMask:
        """All layers, or the head."""
        return frozenset(learner.layers) if self.finetune_all_layers else frozenset({HEAD})

    def direction(self, learner: Learner) -> Direction | None:  # noqa: ARG002
        """Adam's, or the gradient's own."""
        return Adam() if self.finetune_with_adam else None
