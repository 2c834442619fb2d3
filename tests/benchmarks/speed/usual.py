"""MAML, ANIL and NIL as research code writes them: plain PyTorch, one task after another.

It follows what the code that comes with the papers, learn2learn and higher have in common: a functional forward
pass over a list of the task's own weights, `torch.autograd.grad` for the inner gradients, convolutions with a bias
in PyTorch's default layout, batch norm by the statistics of the images at hand, one task's outer gradient at a time
(no graph is kept longer than it is needed), then a step of Adam. At test nothing is differentiated that need not be:
weights are detached after each step, features of frozen bodies and of the queries are computed under `no_grad`.

It computes what the harness computes (`speed.agreement`) with this one difference: the harness's convolutions have no
bias, because batch norm cancels it. It is never slowed down on purpose: in a trial it took 0.97 to 1.04 of its time
without the biases, 1.06 to 1.4 with one backward pass for the whole meta-batch, and learn2learn 0.2 took 1.01 to 1.1.
Whoever knows a faster way that is still usual should put it here.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-3
"""Added to the variance in batch norm, as in the harness."""

BLOCKS = 4

Images = tuple[Tensor, Tensor, Tensor, Tensor]
"""An episode's support images, support labels, query images, query labels; images [N, C, H, W] contiguous."""


class Network:
    """Four convolution blocks and a linear head, run with whatever weights are handed in.

    Body weights are [convolution weight, convolution bias] of each block; the offsets of batch norm are
    meta-learned and never adapted, so they are held apart. Head weights are [weight, bias].
    """

    def __init__(
        self, body: list[Tensor], offsets: list[Tensor], head: list[Tensor], *, stride: int, flatten: bool
    ) -> None:
        self.body, self.offsets, self.head = body, offsets, head
        self.stride, self.flatten = stride, flatten

    def parameters(self) -> list[Tensor]:
        """Everything that the outer loop trains."""
        return [*self.body, *self.offsets, *self.head]

    def features(self, body: Sequence[Tensor], x: Tensor) -> Tensor:
        """Images [N, C, H, W] -> features [N, D]."""
        for i in range(BLOCKS):
            x = F.conv2d(x, body[2 * i], body[2 * i + 1], stride=self.stride, padding=1)
            x = F.batch_norm(x, None, None, bias=self.offsets[i], training=True, eps=EPSILON)
            x = F.relu(x)
            if self.stride == 1:
                x = F.max_pool2d(x, 2)
        return x.flatten(1) if self.flatten else x.mean(dim=(2, 3))

    def logits(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        """Images -> logits [N, n_way] with `weights`, those of the body and then those of the head."""
        return F.linear(self.features(weights[:-2], x), *weights[-2:])


def maml_step(
    network: Network,
    optimiser: torch.optim.Optimizer,
    tasks: list[Images],
    *,
    lr: float,
    steps: int,
    second: bool,
) -> float:
    """One iteration of MAML's outer loop; the mean outer loss."""
    optimiser.zero_grad()
    total = 0.0
    for support_x, support_y, query_x, query_y in tasks:
        weights = [*network.body, *network.head]
        for _ in range(steps):
            loss = F.cross_entropy(network.logits(weights, support_x), support_y)
            gradients = torch.autograd.grad(loss, weights, create_graph=second)
            weights = [w - lr * g for w, g in zip(weights, gradients, strict=True)]
        outer = F.cross_entropy(network.logits(weights, query_x), query_y) / len(tasks)
        outer.backward()
        total += outer.item()
    optimiser.step()
    return total


def anil_step(
    network: Network, optimiser: torch.optim.Optimizer, tasks: list[Images], *, lr: float, steps: int
) -> float:
    """One iteration of ANIL's outer loop: each task's features once, the inner loop on the head."""
    optimiser.zero_grad()
    total = 0.0
    for support_x, support_y, query_x, query_y in tasks:
        support = network.features(network.body, support_x)
        query = network.features(network.body, query_x)
        head = network.head
        for _ in range(steps):
            loss = F.cross_entropy(F.linear(support, *head), support_y)
            gradients = torch.autograd.grad(loss, head, create_graph=True)
            head = [w - lr * g for w, g in zip(head, gradients, strict=True)]
        outer = F.cross_entropy(F.linear(query, *head), query_y) / len(tasks)
        outer.backward()
        total += outer.item()
    optimiser.step()
    return total


def _descend(weights: Sequence[Tensor], loss: Tensor, lr: float) -> list[Tensor]:
    gradients = torch.autograd.grad(loss, list(weights))
    return [(w - lr * g).detach().requires_grad_() for w, g in zip(weights, gradients, strict=True)]


def maml_predict(network: Network, task: Images, *, lr: float, steps: int) -> Tensor:
    """Adapt every layer to the support set, then the queries' logits."""
    support_x, support_y, query_x, _ = task
    weights = [*network.body, *network.head]
    for _ in range(steps):
        weights = _descend(weights, F.cross_entropy(network.logits(weights, support_x), support_y), lr)
    with torch.no_grad():
        return network.logits(weights, query_x)


def anil_predict(network: Network, task: Images, *, lr: float, steps: int) -> Tensor:
    """Adapt the head to the support set's features, then the queries' logits."""
    support_x, support_y, query_x, _ = task
    with torch.no_grad():
        support, query = network.features(network.body, support_x), network.features(network.body, query_x)
    head = network.head
    for _ in range(steps):
        head = _descend(head, F.cross_entropy(F.linear(support, *head), support_y), lr)
    with torch.no_grad():
        return F.linear(query, *head)


@torch.no_grad()
def nil_predict(network: Network, task: Images, *, n_way: int) -> Tensor:
    """Each class's summed cosine similarities between the queries' and its support images' features."""
    support_x, support_y, query_x, _ = task
    support, query = network.features(network.body, support_x), network.features(network.body, query_x)
    similarity = F.normalize(query, dim=1) @ F.normalize(support, dim=1).T
    return similarity @ F.one_hot(support_y, n_way).to(similarity.dtype)
