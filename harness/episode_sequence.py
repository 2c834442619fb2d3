"""Pool rows -> episodes of tensors. `sequence[k]` is pure: the same k is the same episode everywhere."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from harness.augmentation import Augmentation
from harness.episode import Episode, Shape, Spare, Task
from harness.pool_tensors import PoolTensors
from harness.pools import Pool
from harness.sampling import IntArray, spare_rows
from harness.seeds import counter_rng
from harness.spec import EvaluationSpec, ImageSpec, RunSpec
from harness.variable_sampling import make_sampler


class EpisodeSequence(Protocol):
    """Anything that gives episode k for k = 0, 1, 2, ..."""

    def __getitem__(self, k: int) -> Episode: ...


class SourceSequence:
    """The episodes of one source and split.

    Args:
        stream: names the sequence beyond source and split; two of different names are independent.
        augmentation: of its images, None for none.
        device: where its tensors are. Away from the CPU they are made there, unless they are augmented.
    """

    def __init__(
        self,
        pool: Pool,
        shape: Shape,
        images: ImageSpec,
        *,
        seed: int,
        stream: str = "",
        augmentation: Augmentation | None = None,
        device: str = "cpu",
    ) -> None:
        self._pool, self._images, self._seed, self._device = pool, images, seed, device
        self._stream = f"{pool.source}/{pool.split}{stream}"
        self._tensors = PoolTensors(pool, images, augmentation=augmentation, seed=seed, device=device)
        self._sampler = make_sampler(
            pool.class_sizes,
            shape,
            groups=pool.groups.members if pool.groups else None,
            kind=pool.groups.kind if pool.groups else None,
            seed=seed,
            stream=self._stream,
        )

    def __getitem__(self, k: int) -> Episode:
        rows = self._sampler[k]
        task = Task(
            support_x=self._tensor(rows.support, f"{k}/support"),
            support_y=torch.from_numpy(rows.support_y).to(self._device),
            query_x=self._tensor(rows.query, f"{k}/query"),
            n_way=len(rows.classes),
        )
        return Episode(
            task=task,
            query_y=torch.from_numpy(rows.query_y).to(self._device),
            source=self._pool.source,
            classes=tuple(int(c) for c in rows.classes),
            index=k,
        )

    def outline(self, k: int) -> Episode:
        """Episode k with a blank image in place of each of its own: its sizes and labels, without reading any."""
        rows, images = self._sampler[k], self._images
        blank = torch.zeros(1, images.channels, images.size, images.size, device=self._device)
        task = Task(
            support_x=blank.expand(len(rows.support), -1, -1, -1),
            support_y=torch.from_numpy(rows.support_y),
            query_x=blank.expand(len(rows.query), -1, -1, -1),
            n_way=len(rows.classes),
        )
        return Episode(
            task=task,
            query_y=torch.from_numpy(rows.query_y),
            source=self._pool.source,
            classes=tuple(int(c) for c in rows.classes),
            index=k,
        )

    def spare(self, k: int, limit: int) -> Spare:
        """Up to `limit` images of episode k's classes that are not in it, as `sampling.spare_rows` draws them."""
        rng = counter_rng(self._seed, f"{self._stream}/spare", k)
        found = spare_rows(rng, self._sampler[k], self._pool.class_sizes, limit)
        return Spare(
            x=self._tensor(found.rows, f"{k}/spare"), y=torch.from_numpy(found.labels).to(self._device)
        )

    def _tensor(self, rows: IntArray, part: str) -> Tensor:
        return self._tensors.read(rows, f"{self._stream}/{part}")


def evaluation_sequence(spec: RunSpec, evaluation: EvaluationSpec, pool: Pool) -> SourceSequence:
    """The episodes that a run is evaluated on; `pool` holds the evaluation's source and split."""
    return SourceSequence(
        pool,
        evaluation.shape,
        spec.images,
        seed=spec.seed,
        stream=evaluation.stream,
        device=spec.compute.device,
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
