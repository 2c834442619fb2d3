"""What a learner's body makes of images, by the plain Conv4 of plain_inner_loop."""

import torch
from torch import Tensor

from harness.learner import Learner
from plain_inner_loop import Params, reference_outputs


def embeddings(learner: Learner, x: Tensor) -> Tensor:
    return reference_outputs(stored(learner), x, 3)["conv4"].mean(dim=(2, 3))


def stored(learner: Learner) -> Params:
    """The parameters, with a head of zeros for learners of other heads."""
    params = {name: p.detach().clone() for name, p in learner.named_parameters()}
    width = learner.body.out_features
    zeros = {"head.weight": torch.zeros(3, width).double(), "head.bias": torch.zeros(3).double()}
    return {**zeros, **params}
