"""Baseline++: Chen et al. 2019, "A Closer Look at Few-shot Classification" (arXiv 1904.04232), section 3.2."""

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F

from harness.cosine_head import COSINE
from harness.learner import HEAD, Learner, Weights, support_statistics
from harness.method import Trainable
from harness.task_batch import TaskBatch
from harness_methods.baseline import Baseline
from harness_methods.multiclass import Multiclass


@dataclass(frozen=True, kw_only=True)
class BaselinePlusPlus(Baseline):
    """Baseline with a cosine classifier, in training and at test: it makes the features of a class keep together.

    The classifier is the paper's, the cosine times the trainer's `scale_factor`. The authors' code also learns a norm
    for each class, and takes 2 in place of 10 for up to 200 classes, which every test episode has. The vectors of the
    new classes begin at the mean support features of unit length, where the authors draw them at random: so the order
    of the classes does not matter, and at zero a cosine is undefined.
    """

    classifier: ClassVar[str] = COSINE
    name: str = "baseline_pp"
    trainer: Trainable = field(
        default_factory=partial(Multiclass, name="multiclass_cosine", classifier=COSINE)
    )

    def start(self, learner: Learner, batch: TaskBatch, *, training: bool) -> Weights:
        """The class means of each task, [T, n_way, D]."""
        with torch.no_grad():
            features = learner.features({}, batch.support_x, support_statistics(learner, training=training))
            members = F.one_hot(batch.support_y, batch.n_way).to(features.dtype).mT
            means = members @ F.normalize(features, dim=2) / members.sum(2, keepdim=True)
        return {f"{HEAD}.weight": means}
