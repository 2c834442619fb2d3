"""Batches of images of all training classes. `sequence[i]` is pure: the same i is the same batch everywhere."""

from collections.abc import Sequence

import numpy as np
import torch

from harness.augmentation import Augmentation
from harness.image_batch import ImageBatch
from harness.pool_tensors import PoolTensors
from harness.pools import Pool
from harness.seeds import counter_rng
from harness.spec import ImageSpec


class BatchSequence:
    """Batches of `batch_size` images of one or several sources.

    Each image is of a source chosen uniformly, as each training episode is, and within the source any image is as
    likely as any other; no image stands in a batch twice, unless a source has fewer than its share. Classes are
    numbered source after source.
    """

    def __init__(
        self,
        pools: Sequence[Pool],
        images: ImageSpec,
        *,
        batch_size: int,
        seed: int,
        augmentation: Augmentation | None = None,
        device: str = "cpu",
    ) -> None:
        self._batch_size, self._seed, self._device = batch_size, seed, device
        self._tensors = [
            PoolTensors(pool, images, augmentation=augmentation, seed=seed, device=device) for pool in pools
        ]
        classes = [len(pool.class_sizes) for pool in pools]
        firsts = np.cumsum([0, *classes])
        self._labels = [
            np.repeat(np.arange(first, first + n, dtype=np.int64), pool.class_sizes)
            for first, n, pool in zip(firsts, classes, pools, strict=False)
        ]
        self.n_classes = int(firsts[-1])

    def __getitem__(self, i: int) -> ImageBatch:
        rng = counter_rng(self._seed, "train/batch", i)
        n_sources = len(self._tensors)
        share = np.bincount(rng.integers(n_sources, size=self._batch_size), minlength=n_sources)
        x, y = [], []
        for number, (tensors, labels) in enumerate(zip(self._tensors, self._labels, strict=True)):
            if not share[number]:
                continue
            rows = rng.choice(len(labels), size=share[number], replace=share[number] > len(labels))
            x.append(tensors.read(rows.astype(np.int64), f"train/batch/{i}/{number}"))
            y.append(labels[rows])
        return ImageBatch(
            x=torch.cat(x),
            y=torch.from_numpy(np.concatenate(y)).to(self._device),
            n_classes=self.n_classes,
        )
