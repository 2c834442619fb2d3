"""Task2Vec: a task as the weights of a probe network that matter to it (Achille et al. 2019).

On the images of one task, a linear head is refitted on the features of a fixed body; then the diagonal of the
Fisher information of the body's convolution weights w is taken (the labels being the model's own)

    F_w = E_x E_{y ~ p(y|x)} (∂ log p(y|x) / ∂w)²

and averaged over the weights of each filter: one number a filter, the embedding [F]. The expectation over y is
the exact sum over the classes, not a sample, so the embedding is a function of the images alone. It costs
one backward pass a class: on one core, for 100 images of 5 classes, 0.2 s at 28x28 and 64 filters, and 2 s at
84x84 and 32 filters.

**Batch norm.** A gradient of one image is only defined where images do not normalise one another: the body's
statistics are constants here, those of all the task's images by default (`fixed_statistics`), or running
averages if the body has them for its policy.

**Head.** Multinomial logistic regression on features that are centred and divided by one number, so that their
variance totals 1: the mean cross-entropy plus penalty / 2 · ‖W‖², which has one minimum, found in float64 by
L-BFGS. The penalty keeps p(y|x) from becoming certain, and the Fisher information zero, where features separate
the classes, as they do with few images.

Embeddings of more images are less noisy, and noise looks like distance: compare tasks of equal size.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.layers import Conv2d, Statistics
from harness.logistic_regression import GRADIENT, fitted
from harness.networks import Body

PENALTY = 1e-3
"""Weight of the head's squared length; a change changes every distance."""

_IMAGES = 8
"""Images whose gradients are held at a time."""


@dataclass(frozen=True, kw_only=True)
class LinearHead:
    """logits = features weightᵀ + bias: weight [n_way, D], bias [n_way]."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, kw_only=True)
class _Pass:
    """What went into a convolution [n, C, H, W], and what came out of it, with its graph."""

    convolution: Conv2d | nn.Conv2d
    entered: Tensor
    left: Tensor


def embed_task(
    body: Body,
    x: Tensor,
    y: Tensor,
    n_way: int,
    *,
    penalty: float = PENALTY,
    statistics: Statistics | None = None,
) -> Tensor:
    """The embedding [F] of a task in float64, one number for each of the body's filters, input side first.

    Args:
        x: all images of the task whose labels may be used, [n, C, H, W]; y: their labels [n], 0..n_way-1.
        penalty: of the head, see the module's docstring.
        statistics: what normalises the images, replayed or running; None for the task's own.

    Raises ValueError for a class without images, a body whose features are all the same or not finite, and a
    body without convolutions or with grouped ones.
    """
    fixed = fixed_statistics(body, x) if statistics is None else statistics
    head = fit_head(fixed_features(body, x, fixed), y, n_way, penalty=penalty)
    return filter_fisher(body, x, head, fixed)


@torch.no_grad()
def fixed_statistics(body: Body, x: Tensor) -> Statistics:
    """Constants to normalise with: running averages under that policy, else those of the images `x`.

    All of `x` [n, C, H, W] is in memory at once, as it is whenever a network adapts to it.
    """
    if body.batch_norm == "running":
        return Statistics("running")
    recording = Statistics("record")
    _run(body, x, recording)
    return recording.replay()


@torch.no_grad()
def fixed_features(body: Body, x: Tensor, statistics: Statistics) -> Tensor:
    """Features [n, D] of images [n, C, H, W], some at a time, as `statistics` are constants."""
    return torch.cat([_run(body, images, statistics) for images in torch.split(x, _IMAGES)])


def fit_head(features: Tensor, labels: Tensor, n_way: int, *, penalty: float = PENALTY) -> LinearHead:
    """The head that minimises the penalised cross-entropy of features [n, D] with labels [n], in float64.

    Raises ValueError for a class without images, for features that are all the same or not finite, and for a
    penalty that is not above 0.
    """
    _check(features, labels, n_way, penalty)
    exact = features.detach().double()
    mean = exact.mean(0)
    scale = (exact - mean).square().sum(1).mean().sqrt()
    if not scale > 0 or not torch.isfinite(scale):
        raise ValueError("A head cannot be fitted: the features are the same for every image, or not finite.")
    points, labels = (exact - mean) / scale, labels.to(exact.device)
    weight, bias, steepest = fitted(points, labels, n_way, penalty)
    if not steepest < GRADIENT:
        raise ValueError(
            f"The head did not converge: a derivative of {steepest:.1e} is left. Raise the penalty."
        )
    return LinearHead(weight=weight / scale, bias=bias - weight @ mean / scale)


def filter_fisher(body: Body, x: Tensor, head: LinearHead, statistics: Statistics) -> Tensor:
    """Diagonal Fisher information [F] of images [n, C, H, W], averaged over each filter's weights; float64.

    The filters are those of all convolutions in the order of the body's modules. `statistics` must be
    replayed or running ones. The body's parameters and their gradients are left as they are.

    Raises ValueError for statistics of the images passed, and for a body without convolutions or with
    grouped ones.
    """
    if statistics.mode not in ("replay", "running"):
        raise ValueError(
            f"Gradients of single images need replayed or running statistics; got {statistics.mode!r}."
        )
    convolutions = _convolutions(body)
    totals = [0 * c.weight.detach()[:, 0, 0, 0].double() for c in convolutions]
    for images in torch.split(x, _IMAGES):
        for total, part in zip(totals, _squares(body, convolutions, images, head, statistics), strict=True):
            total += part
    weights = (c.weight[0].numel() for c in convolutions)
    return torch.cat([total / (len(x) * n) for total, n in zip(totals, weights, strict=True)])


def _squares(
    body: Body,
    convolutions: list[Conv2d | nn.Conv2d],
    x: Tensor,
    head: LinearHead,
    statistics: Statistics,
) -> list[Tensor]:
    """For each convolution: Σ over images, E over classes and Σ over a filter's weights of (∂ log p / ∂w)²."""
    with torch.enable_grad(), _watched(convolutions) as passes:
        # Images that require gradients make a graph even where the parameters are frozen.
        features = _run(body, x.detach().requires_grad_(), statistics)
        logits = F.linear(features, head.weight.to(features.dtype), head.bias.to(features.dtype))
    p = logits.detach().softmax(1)
    found = [passes[id(c)] for c in convolutions]
    patches = [_patches(each) for each in found]
    totals = [0 * c.weight.detach()[:, 0, 0, 0].double() for c in convolutions]
    for label in range(p.shape[1]):
        # The gradient of log p_y by the logits is e_y - p; times √p_y its square is weighed by p_y.
        direction = p[:, label, None].sqrt() * (F.one_hot(torch.full((len(p),), label), p.shape[1]).to(p) - p)
        deltas = torch.autograd.grad(logits, [each.left for each in found], direction, retain_graph=True)
        for total, delta, entered in zip(totals, deltas, patches, strict=True):
            total += _squared_norms(delta.flatten(-2).reshape(len(x), len(total), -1), entered)
    return totals


def _squared_norms(delta: Tensor, patches: Tensor) -> Tensor:
    """Σ over images of the squared lengths [O] of the filters' gradients δPᵀ; δ [n, O, L], P [n, M, L].

    With fewer positions L than weights M, ‖δPᵀ‖² is cheaper as δ(PᵀP)δᵀ.
    """
    if patches.shape[2] < patches.shape[1]:
        return ((delta @ (patches.mT @ patches)) * delta).sum(dim=(0, 2), dtype=torch.float64)
    return (delta @ patches.mT).square().sum(dim=(0, 2), dtype=torch.float64)


def _patches(each: _Pass) -> Tensor:
    """What each weight of a filter is multiplied with at each position: [n, M, L]."""
    c = each.convolution
    dilation = c.dilation if isinstance(c, nn.Conv2d) else 1
    return F.unfold(each.entered, c.weight.shape[2:], dilation, c.padding, c.stride)  # type: ignore[arg-type]


@contextmanager
def _watched(convolutions: list[Conv2d | nn.Conv2d]) -> Iterator[dict[int, _Pass]]:
    """Passes through the convolutions, by `id`, while the context lasts."""
    passes: dict[int, _Pass] = {}

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, Conv2d | nn.Conv2d)
        entered = inputs[0].detach()
        passes[id(module)] = _Pass(
            convolution=module, entered=entered.reshape(-1, *entered.shape[-3:]), left=output
        )

    handles = [convolution.register_forward_hook(keep) for convolution in convolutions]
    try:
        yield passes
    finally:
        for handle in handles:
            handle.remove()


def _convolutions(body: Body) -> list[Conv2d | nn.Conv2d]:
    found = [module for module in body.modules() if isinstance(module, Conv2d | nn.Conv2d)]
    odd = [c for c in found if isinstance(c, nn.Conv2d) and (c.groups != 1 or isinstance(c.padding, str))]
    if not found or odd:
        raise ValueError(
            "Task2Vec needs a body of plain two-dimensional convolutions; "
            + (f"got {odd[0]}." if odd else "this one has none.")
        )
    return found


def _check(features: Tensor, labels: Tensor, n_way: int, penalty: float) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f"A head needs features [n, D] and labels [n]; got {list(features.shape)} and {list(labels.shape)}."
        )
    if sorted(set(labels.tolist())) != list(range(n_way)):
        raise ValueError(f"A head of {n_way} ways needs images of each of the classes 0 to {n_way - 1}.")
    if not penalty > 0:
        raise ValueError(f"The penalty must be above 0, or the head has no best weights; got {penalty}.")


def _run(body: Body, x: Tensor, statistics: Statistics) -> Tensor:
    """Features [n, D] of images [n, C, H, W]."""
    features: Tensor = body(x.unsqueeze(0), statistics).squeeze(0)
    return features
