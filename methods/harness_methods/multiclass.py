"""Ordinary classification of all training classes: the training of the transfer baselines.

Chen et al. 2019 (arXiv 1904.04232), section 3.2; and a regime of Raghu et al. 2020 (arXiv 1909.09157), section 5.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from harness.cosine_head import COSINE, LINEAR, CosineHead
from harness.image_batch import ImageBatch
from harness.learner import Learner, support_statistics
from harness.networks import Body
from harness.parameters import check_above, check_choice, check_fields, check_whole
from harness.read_out_method import CosineReadOut


@dataclass(frozen=True, kw_only=True)
class Multiclass(CosineReadOut):
    """Train the body and a head of all training classes on batches of labelled images; tested with NIL's read-out.

    Baseline, Baseline++, Finetune, k-NN and the linear probe have it as their `trainer`.
    batch_size: images an update; the default is ours. classifier: `linear` (Baseline), or `cosine` (Baseline++), the
    angle to a vector of each class, times `scale_factor`: 10 as in the authors' code for many classes.
    """

    name: str = "multiclass"
    batch_size: int = 64
    classifier: str = LINEAR
    scale_factor: float = 10.0

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("Multiclass.batch_size", self.batch_size, low=1)
        check_choice("Multiclass.classifier", self.classifier, (LINEAR, COSINE))
        check_above("Multiclass.scale_factor", self.scale_factor, 0)

    @property
    def trainer(self) -> "Multiclass":
        """The method itself."""
        return self

    def init(self, body: Body, max_way: int) -> Learner:
        """A learner whose head has a row for each training class."""
        learner = Learner(body, max_way)
        if self.classifier == COSINE:
            learner.head = CosineHead(body.out_features, max_way, self.scale_factor)
        return learner

    def batch_loss(self, learner: Learner, batch: ImageBatch) -> Tensor:
        """Mean cross-entropy of the images' classes, one batch normalised together."""
        features = learner.features({}, batch.x[None], support_statistics(learner, training=True))
        return F.cross_entropy(learner.logits({}, features, batch.n_classes)[0], batch.y)
