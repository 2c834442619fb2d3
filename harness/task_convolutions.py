"""A convolution of many tasks' images and its two gradients, with weights for all tasks or a task's own.

Weights are shared by all tasks, [O, I, k, k], or each task has its own, [T, O, I, k, k]. On a CPU tasks with weights of
their own are convolved one after another: grouped convolutions were slower there. A GPU is kept busy by one grouped
convolution (Krizhevsky et al. 2012, section 3.5), each task a group.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.conv_parts import Block, images_of

ALWAYS_GROUPED = False
"""Group tasks on a CPU too, so that a test can compare both ways."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """stride, padding: of the convolution. low: convolve in bfloat16. Of a block: pool: whether 2x2 maxima follow;
    epsilon: added to the variance."""

    stride: int
    padding: int
    low: bool = False
    pool: bool = False
    epsilon: float = 0.0


def is_shared(weight: Tensor) -> bool:
    """Whether all tasks have the same weights: stored once, or repeated without a copy."""
    return weight.ndim == 4 or weight.stride(0) == 0


def convolve(x: Tensor, weight: Tensor, block: Block, run: slice, geometry: Geometry) -> Tensor:
    """The convolution of a block's run of `x` [T, N, I, H, W]: [len(block) · n, O, H', W'], channels last."""
    if is_shared(weight):
        one = weight if weight.ndim == 4 else weight[0]
        y = _forward(images_of(x, block, run), one, geometry)
    elif _grouped(x):
        y = _ungroup(
            _forward(_group(x[block.tasks, run]), weight[block.tasks].flatten(0, 1), geometry), len(block)
        )
    else:
        each = [_forward(x[t, run], weight[t], geometry) for t in range(block.first, block.last)]
        y = each[0] if len(each) == 1 else torch.cat(each)
    return y.contiguous(memory_format=torch.channels_last)


def image_gradient(
    dy: Tensor, x: Tensor, weight: Tensor, block: Block, run: slice, geometry: Geometry
) -> Tensor:
    """The gradient W^T * dy of a convolution by its images, [len(block) · n, I, H, W], channels last.

    `dy` [len(block) · n, O, H', W'] is the cotangent of what `convolve` gave.
    """
    if is_shared(weight):
        one = weight if weight.ndim == 4 else weight[0]
        return _by_images(dy, images_of(x, block, run), one, geometry)
    if _grouped(x):
        own, tasks = weight[block.tasks].flatten(0, 1), len(block)
        found = _by_images(_group(_apart(dy, tasks)), _group(x[block.tasks, run]), own, geometry)
        return _ungroup(found, tasks).contiguous(memory_format=torch.channels_last)
    each = [
        _by_images(part, x[t, run], weight[t], geometry)
        for t, part in zip(range(block.first, block.last), dy.chunk(len(block)), strict=True)
    ]
    return each[0] if len(each) == 1 else torch.cat(each)


def weight_gradients(
    dy: Tensor, x: Tensor, weight: Tensor, block: Block, run: slice, geometry: Geometry
) -> list[Tensor]:
    """The gradients of a convolution by its weights [O, I, k, k]: one for all tasks, or one for each of the block."""
    if weight.ndim == 4:
        return [_by_weight(dy, images_of(x, block, run), weight, geometry)]
    if _grouped(x):
        own, tasks = weight[block.tasks].flatten(0, 1), len(block)
        found = _by_weight(_group(_apart(dy, tasks)), _group(x[block.tasks, run]), own, geometry)
        return list(found.chunk(tasks))
    return [
        _by_weight(part, x[t, run], weight[t], geometry)
        for t, part in zip(range(block.first, block.last), dy.chunk(len(block)), strict=True)
    ]


def _grouped(x: Tensor) -> bool:
    return ALWAYS_GROUPED or x.is_cuda


def _apart(y: Tensor, tasks: int) -> Tensor:
    """[tasks · n, ...] -> [tasks, n, ...]."""
    return y.view(tasks, -1, *y.shape[1:])


def _group(x: Tensor) -> Tensor:
    """Images [T, n, C, H, W] as n images of T · C channels."""
    return x.transpose(0, 1).flatten(1, 2)


def _ungroup(y: Tensor, tasks: int) -> Tensor:
    """n images of T · C channels as [T · n, C, H, W]."""
    return y.view(len(y), tasks, -1, *y.shape[2:]).transpose(0, 1).flatten(0, 1)


def _forward(x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    groups = x.shape[1] // weight.shape[1]
    images, filters = (x.bfloat16(), weight.bfloat16()) if geometry.low else (x, weight)
    return F.conv2d(images, filters, None, geometry.stride, geometry.padding, 1, groups).to(x.dtype)


def _by_images(dy: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    return _back(dy, x, weight, geometry, (True, False))[0]


def _by_weight(dy: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    return _back(dy, x, weight, geometry, (False, True))[1]


def _back(
    dy: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, want: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    stride, padding = [geometry.stride] * 2, [geometry.padding] * 2
    groups = x.shape[1] // weight.shape[1]
    kind = torch.bfloat16 if geometry.low else x.dtype
    by_x, by_weight, _ = torch.ops.aten.convolution_backward(
        dy.to(kind),
        x.to(kind),
        weight.to(kind),
        None,
        stride,
        padding,
        [1, 1],
        False,
        [0, 0],
        groups,
        [*want, False],
    )
    return (by_x.to(x.dtype), by_weight) if want[0] else (by_x, by_weight.to(x.dtype))
