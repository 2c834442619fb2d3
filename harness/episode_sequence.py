"""Pool rows -> episodes of tensors. `sequence[k]` is pure: the same k is the same episode everywhere."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.episode import Episode, EpisodeShape, Task
from harness.pools import Pool
from harness.sampling import FixedSampler
from harness.seeds import counter_rng
from harness.spec import ImageSpec

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""


class EpisodeSequence(Protocol):
    """Anything that gives episode k for k = 0, 1, 2, ..."""

    def __getitem__(self, k: int) -> Episode: ...


class SourceSequence:
    """The episodes of one source and split."""

    def __init__(self, pool: Pool, shape: EpisodeShape, images: ImageSpec, *, seed: int) -> None:
        self._pool, self._images = pool, images
        self._sampler = FixedSampler(pool.class_sizes, shape, seed=seed, stream=f"{pool.source}/{pool.split}")
        self._n_way = shape.n_way

    def __getitem__(self, k: int) -> Episode:
        rows = self._sampler[k]
        task = Task(
            support_x=to_tensor(self._pool.images[rows.support], self._images),
            support_y=torch.from_numpy(rows.support_y),
            query_x=to_tensor(self._pool.images[rows.query], self._images),
            n_way=self._n_way,
        )
        return Episode(
            task=task,
            query_y=torch.from_numpy(rows.query_y),
            source=self._pool.source,
            classes=tuple(int(c) for c in rows.classes),
            index=k,
        )


class MixedSequence:
    """Episodes of several sources: each comes from one of them, chosen uniformly by (seed, k)."""

    def __init__(self, sequences: Sequence[EpisodeSequence], *, seed: int, stream: str) -> None:
        self._sequences, self._seed, self._stream = list(sequences), seed, stream

    def __getitem__(self, k: int) -> Episode:
        if len(self._sequences) == 1:
            return self._sequences[0][k]
        chosen = counter_rng(self._seed, self._stream, k).integers(len(self._sequences))
        return self._sequences[int(chosen)][k]


def to_tensor(pixels: npt.NDArray[np.uint8], images: ImageSpec) -> Tensor:
    """uint8 [n, H, W, C] -> float32 [n, channels, H, W], channels last in memory.

    Grey is repeated to three channels; colour becomes luminance where one channel is asked for.
    """
    x = torch.from_numpy(np.ascontiguousarray(pixels)).to(torch.float32) / 255.0
    if x.shape[3] == 3 and images.channels == 1:
        x = (x * torch.tensor(LUMINANCE)).sum(3, keepdim=True)
    elif x.shape[3] == 1 and images.channels == 3:
        x = x.expand(-1, -1, -1, 3).contiguous()
    if images.scaling == "signed":
        x = x * 2.0 - 1.0
    return x.permute(0, 3, 1, 2)
