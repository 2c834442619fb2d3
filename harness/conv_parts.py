"""Convolutions of many tasks' images, cut into pieces that stay in the processor's cache.

Images of T tasks lie side by side, [T, N, C, H, W] with the channels last in memory. A `Block` is a run of whole
tasks, or a part of one task's images where that alone is large. Weights are shared by all tasks, [O, I, k, k], or
each task has its own, [T, O, I, k, k].
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

PIECE = 2**20
"""Values of a convolution's output that are worked on at once, 4 MiB in float32: of the powers of two from 2^17 to
2^23 the fastest on a processor with 1 MiB of cache a core and 32 MiB shared."""


@dataclass(frozen=True)
class Block:
    """Tasks `first` to `last` (exclusive), and the runs of their images that are worked on one after another."""

    first: int
    last: int
    images: tuple[slice, ...]

    @property
    def tasks(self) -> slice:
        """The block's tasks."""
        return slice(self.first, self.last)

    def __len__(self) -> int:
        return self.last - self.first


def blocks(tasks: int, images: int, values: int) -> Iterator[Block]:
    """All tasks, in order; `values` is the size of one image's output."""
    together = PIECE // max(1, images * values)
    if together:
        for first in range(0, tasks, together):
            yield Block(first, min(first + together, tasks), (slice(0, images),))
        return
    pieces = min(images, -(-images * values // PIECE))
    edges = [images * i // pieces for i in range(pieces + 1)]
    runs = tuple(slice(start, stop) for start, stop in pairwise(edges))
    yield from (Block(t, t + 1, runs) for t in range(tasks))


def side_by_side(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """An empty [T, N, C, H, W], channels last in memory, of the type and on the device of `like`."""
    tasks, images, channels, height, width = shape
    return like.new_empty(tasks, images, height, width, channels).permute(0, 1, 4, 2, 3)


def joined(xs: Sequence[Tensor]) -> Tensor:
    """T tensors [N, C, H, W] as one [T, N, C, H, W]; a single one is not copied."""
    if len(xs) == 1:
        return xs[0].unsqueeze(0)
    out = side_by_side((len(xs), *xs[0].shape), xs[0])
    for target, x in zip(out, xs, strict=True):
        target.copy_(x)
    return out


def rows(x: Tensor, tasks: int) -> Tensor:
    """[tasks · n, C, H, W] -> [tasks, n · H · W, C], of the same memory: one row a position."""
    return x.permute(0, 2, 3, 1).reshape(tasks, -1, x.shape[1])


def rows_of(x: Tensor, block: Block, run: slice) -> Tensor:
    """A block's run of images, [T, N, C, H, W] -> rows [len(block), n · H · W, C], of the same memory."""
    return x[block.tasks, run].permute(0, 1, 3, 4, 2).flatten(1, 3)


def images_of(x: Tensor, block: Block, run: slice) -> Tensor:
    """A block's run of images, [T, N, C, ...] -> [len(block) · n, C, ...], of the same memory.

    Flattened with the channels last, as they are in memory: a single channel would otherwise lose its stride, and
    what is convolved from it would have its channels first.
    """
    return x[block.tasks, run].movedim(2, -1).flatten(0, 1).movedim(-1, 1)


def is_shared(weight: Tensor) -> bool:
    """Whether all tasks have the same weights: stored once, or repeated without a copy."""
    return weight.ndim == 4 or weight.stride(0) == 0


def convolve(x: Tensor, weight: Tensor, block: Block, run: slice, stride: int, padding: int) -> Tensor:
    """The convolution of a block's run of `x` [T, N, I, H, W]: [len(block) · n, O, H', W'], channels last."""
    if is_shared(weight):
        one = weight if weight.ndim == 4 else weight[0]
        y = F.conv2d(images_of(x, block, run), one, None, stride, padding)
    else:
        each = [F.conv2d(x[t, run], weight[t], None, stride, padding) for t in range(block.first, block.last)]
        y = each[0] if len(each) == 1 else torch.cat(each)
    return y.contiguous(memory_format=torch.channels_last)


def image_gradient(
    dy: Tensor, x: Tensor, weight: Tensor, block: Block, run: slice, stride: int, padding: int
) -> Tensor:
    """The gradient W^T * dy of a convolution by its images, [len(block) · n, I, H, W].

    `dy` [len(block) · n, O, H', W'] is the cotangent of what `convolve` gave.
    """
    images = (True, False)
    if is_shared(weight):
        one = weight if weight.ndim == 4 else weight[0]
        return _back(dy, images_of(x, block, run), one, stride, padding, images)
    each = [
        _back(part, x[t, run], weight[t], stride, padding, images)
        for t, part in zip(range(block.first, block.last), dy.chunk(len(block)), strict=True)
    ]
    return each[0] if len(each) == 1 else torch.cat(each)


def weight_gradients(
    dy: Tensor, x: Tensor, weight: Tensor, block: Block, run: slice, stride: int, padding: int
) -> list[Tensor]:
    """The gradients of a convolution by its weights [O, I, k, k]: one for all tasks, or one for each of the block."""
    weights = (False, True)
    if weight.ndim == 4:
        return [_back(dy, images_of(x, block, run), weight, stride, padding, weights)]
    return [
        _back(part, x[t, run], weight[t], stride, padding, weights)
        for t, part in zip(range(block.first, block.last), dy.chunk(len(block)), strict=True)
    ]


def _back(
    dy: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, want: tuple[bool, bool]
) -> Tensor:
    both: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        dy, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, [*want, False]
    )
    return both[0] if want[0] else both[1]


class Placed:
    """[T, N, C, H, W] put together from the pieces of its blocks; a piece that is all of it is not copied."""

    def __init__(self, like: Tensor) -> None:
        self._shape, self._like = like.shape, like
        self._whole: Tensor | None = None

    def put(self, piece: Tensor, block: Block, run: slice) -> None:
        """Set a block's run of images to `piece` [len(block) · n, C, H, W]."""
        tasks, images, channels, height, width = self._shape
        if len(block) == tasks and run == slice(0, images):
            rows_last = piece.movedim(1, -1)
            self._whole = rows_last.view(tasks, images, height, width, channels).movedim(-1, 2)
            return
        if self._whole is None:
            self._whole = side_by_side(self._shape, self._like)
        images_of(self._whole, block, run).copy_(piece)

    @property
    def whole(self) -> Tensor:
        """What was put; every image must have been."""
        return torch.zeros_like(self._like) if self._whole is None else self._whole


class Gathered:
    """Weight gradients of one convolution, added up over the runs of images, and over the tasks that share weights."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._sums: list[Tensor | None] = [None] * (len(like) if like.ndim == 5 else 1)

    def add(self, gradients: list[Tensor], block: Block) -> None:
        """Take in what `weight_gradients` gave for a block."""
        first = block.first if self._like.ndim == 5 else 0
        for i, gradient in enumerate(gradients, first):
            so_far = self._sums[i]
            self._sums[i] = gradient if so_far is None else so_far.add_(gradient)

    @property
    def whole(self) -> Tensor:
        """The gradient, of the weights' shape; zero where nothing was added."""
        sums = [torch.zeros_like(self._like[0]) if each is None else each for each in self._sums]
        if self._like.ndim == 4:
            return torch.zeros_like(self._like) if self._sums[0] is None else sums[0]
        return sums[0].unsqueeze(0) if len(sums) == 1 else torch.stack(sums)
