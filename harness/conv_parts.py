"""Images of many tasks, cut into pieces that stay in the processor's cache.

Images of T tasks lie side by side, [T, N, C, H, W] with the channels last in memory. A `Block` is a run of whole
tasks, or a part of one task's images where that alone is large.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
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


def blocks(tasks: int, images: int, values: int, *, whole: bool = False) -> Iterator[Block]:
    """All tasks, in order; `values` is the size of one image's output. `whole`: in one block, as a GPU wants them."""
    if whole:
        yield Block(0, tasks, (slice(0, images),))
        return
    together = PIECE // max(1, images * values)
    if together:
        for first in range(0, tasks, together):
            yield Block(first, min(first + together, tasks), (slice(0, images),))
        return
    pieces = min(images, -(-images * values // PIECE))
    edges = [images * i // pieces for i in range(pieces + 1)]
    runs = tuple(slice(start, stop) for start, stop in pairwise(edges))
    yield from (Block(t, t + 1, runs) for t in range(tasks))


def of_block(values: Tensor, block: Block) -> Tensor:
    """Values of the channels as a block's rows need them: [O] of all tasks, or those of its own of [T, O]."""
    return values if values.ndim == 1 else values[block.tasks].unsqueeze(1)


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
        one = self._like if self._like.ndim == 4 else self._like[0]
        sums = [torch.zeros_like(one) if each is None else each for each in self._sums]
        if self._like.ndim == 4:
            return sums[0]
        return sums[0].unsqueeze(0) if len(sums) == 1 else torch.stack(sums)
