"""Convolution, batch norm, ReLU and max pooling of many tasks as one operation that can be differentiated twice.

For each task and channel, over its M = N · H' · W' positions (Ioffe & Szegedy 2015, algorithm 1):

    y = w * x,   n = (y - mean y) s,   s = (var y + epsilon)^(-1/2),   z = pool(relu(γ n + β))

PyTorch's own double backward of batch norm takes a dozen passes over memory, and adds up the statistics of
channels-last images in plain float32. Here both derivatives are closed forms (`harness.conv_gradients`).
"""

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.conv_parts import Block, blocks, images_of, of_block, rows, side_by_side
from harness.task_convolutions import Geometry, convolve


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What the derivatives need of a block of tasks, besides the output.

    positions: M, over which the statistics of a task are taken. mean, factor: of y and s, [tasks, 1, O]; a: γ s. y,
    index: for each run of images, the convolution's output, and the places that the maxima chose in each plane (None
    without pooling).
    """

    block: Block
    positions: int
    mean: Tensor
    factor: Tensor
    a: Tensor
    y: list[Tensor]
    index: list[Tensor | None] = field(default_factory=list)

    def normalised(self, i: int) -> Tensor:
        """n of the run of images `i`, as rows [tasks, positions, O]."""
        return torch.addcmul(-self.mean * self.factor, rows(self.y[i], len(self.block)), self.factor)


def conv_block(x: Tensor, weight: Tensor, scale: Tensor | None, offset: Tensor, geometry: Geometry) -> Tensor:
    """The block on `x` [T, N, I, H, W], each task normalised by its own statistics: [T, N, O, H'', W''].

    Args:
        weight: [O, I, k, k] for all tasks, or [T, O, I, k, k].
        scale, offset: γ (None for 1) and β, [O] for all tasks, or [T, O].

    It can be differentiated twice, by `x`, `weight`, `scale` and `offset`, and no further. Where a maximum is shared
    by several positions the gradient goes to the first of them, as in PyTorch.
    """
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, scale, offset)):
        result: Tensor = _ConvBlock.apply(x, weight, scale, offset, geometry)  # type: ignore[no-untyped-call]
        return result
    return run_forward(x, weight, scale, offset, geometry, keep=None)


def run_forward(
    x: Tensor,
    weight: Tensor,
    scale: Tensor | None,
    offset: Tensor,
    geometry: Geometry,
    *,
    keep: list[Kept] | None,
) -> Tensor:
    """The block's output; what the derivatives need is appended to `keep` unless it is None."""
    tasks, images, _, height, width = x.shape
    stride, padding = geometry.stride, geometry.padding
    side = [(edge + 2 * padding - weight.shape[-1]) // stride + 1 for edge in (height, width)]
    filters = weight.shape[-4]
    out_side = [edge // 2 for edge in side] if geometry.pool else side
    out = side_by_side((tasks, images, filters, *out_side), x)
    for block in blocks(tasks, images, filters * side[0] * side[1], whole=x.is_cuda):
        y = [convolve(x, weight, block, run, geometry) for run in block.images]
        mean, factor = _moments(y, len(block), geometry.epsilon)
        a = factor if scale is None else factor * of_block(scale, block)
        kept = Kept(block=block, positions=images * side[0] * side[1], mean=mean, factor=factor, a=a, y=y)
        shift = torch.addcmul(of_block(offset, block), mean, a, value=-1)
        for each, run in zip(y, block.images, strict=True):
            kept.index.append(_activate(each, a, shift, images_of(out, block, run), pool=geometry.pool))
        if keep is not None:
            keep.append(kept)
    return out


def _activate(y: Tensor, factor: Tensor, shift: Tensor, out: Tensor, *, pool: bool) -> Tensor | None:
    """Write pool(relu(factor · y + shift)) to `out` [n, O, h, w]; the places that the maxima chose, if any.

    factor, shift: [tasks, 1, O]. The ReLU comes after the pooling: the same positions pass, of a quarter of the values.
    """
    tasks = len(factor)
    if not pool:
        target = rows(out, tasks)
        torch.addcmul(shift, rows(y, tasks), factor, out=target)
        target.clamp_(min=0)
        return None
    affine = torch.addcmul(shift, rows(y, tasks), factor)
    highest, index = F.max_pool2d_with_indices(as_images(affine, y), [2, 2])
    torch.clamp(highest, min=0, out=out)
    return index


def as_images(values: Tensor, like: Tensor) -> Tensor:
    """Rows as images of the shape of `like` [n, O, H, W], channels last."""
    n, channels, height, width = like.shape
    return values.view(n, height, width, channels).permute(0, 3, 1, 2)


def _moments(y: list[Tensor], tasks: int, epsilon: float) -> tuple[Tensor, Tensor]:
    """Mean and (variance + epsilon)^(-1/2) of each task and channel, [tasks, 1, O], exact to rounding.

    On a CPU task by task, so that a task's do not depend on its company, from the moments of the columns of its
    images: PyTorch adds those up in plain float32, which does for as few values as a column has.
    """
    if y[0].is_cuda:
        (every,) = (rows(each, tasks) for each in y)
        mean = every.mean(1, keepdim=True)
        variance = (every - mean).square_().mean(1, keepdim=True)
        return mean, torch.rsqrt(variance + epsilon)
    counts = [len(each) // tasks for each in y]
    moments = [
        _pooled([_columns(each[t * n : (t + 1) * n]) for each, n in zip(y, counts, strict=True)], counts)
        for t in range(tasks)
    ]
    mean, variance = (torch.stack(each)[:, None] for each in zip(*moments, strict=True))
    return mean, torch.rsqrt(variance + epsilon)


def _columns(y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each column of images [n, O, H, W] over images and heights: [W, O] each."""
    n, channels, height, width = y.shape
    columns = y.permute(0, 2, 3, 1).reshape(n * height, width * channels, 1, 1)
    mean, variance = torch.batch_norm_update_stats(columns, None, None, 0.0)
    return mean.view(width, channels), variance.view(width, channels)


def _pooled(pieces: list[tuple[Tensor, Tensor]], counts: list[int]) -> tuple[Tensor, Tensor]:
    """Mean and variance of everything, [O], from those of columns of `counts` images each."""
    means, variances = (torch.stack(each) for each in zip(*pieces, strict=True))
    if len(counts) == 1:
        mean = means[0].mean(0)
        return mean, (variances[0] + (means[0] - mean).square()).mean(0)
    share = means.new_tensor(counts)[:, None] / sum(counts)
    mean = (share * means.mean(1)).sum(0)
    return mean, (share * (variances + (means - mean).square()).mean(1)).sum(0)


def gathered(images: Tensor, index: Tensor | None) -> Tensor:
    """The values of `images` [n, C, H, W] at the places in their planes, [n, C, h, w]; all of them for None."""
    if index is None:
        return images
    planes, places = images.permute(0, 2, 3, 1).flatten(1, 2), index.permute(0, 2, 3, 1)
    return planes.gather(1, places.flatten(1, 2)).view(places.shape).permute(0, 3, 1, 2)


class _ConvBlock(torch.autograd.Function):
    """The operation; its derivative is `conv_gradients.ConvBlockGradient`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, scale: Tensor | None, offset: Tensor, geometry: Geometry
    ) -> Tensor:
        ctx.kept, ctx.geometry = [], geometry
        z = run_forward(x, weight, scale, offset, geometry, keep=ctx.kept)
        ctx.save_for_backward(x, weight, scale, offset, z)
        return z

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        from harness.conv_gradients import ConvBlockGradient, Wanted

        x, weight, scale, offset, z = ctx.saved_tensors
        wanted = Wanted(x=ctx.needs_input_grad[0], weight=ctx.needs_input_grad[1])
        gradients: tuple[Tensor | None, ...] = ConvBlockGradient.apply(  # type: ignore[no-untyped-call]
            cotangents[0], x, weight, scale, offset, z.detach(), ctx.kept, ctx.geometry, wanted
        )
        return (*gradients, None)
