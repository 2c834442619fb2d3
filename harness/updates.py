"""What the outer updates of a training learn from: meta-batches of episodes, or batches of images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from harness.batch_sequence import BatchSequence
from harness.episode_sequence import EpisodeSequence, MixedSequence, SourceSequence
from harness.learner import Learner
from harness.method import BatchTrained, EpisodeTrained, Trainable
from harness.pools import Pool
from harness.read_ahead import Readable
from harness.spec import RunSpec


@dataclass(frozen=True, kw_only=True)
class Updates:
    """Update i learns from `items` i·per_update and following; `loss` is what it minimises."""

    items: Readable[Any]
    per_update: int
    loss: Callable[[Learner, Sequence[Any]], Tensor]


def updates(method: Trainable, spec: RunSpec, pools: Sequence[Pool]) -> Updates | None:
    """Those of the training that `spec` describes, on its sources' pools; None for a method that is not trained."""
    if isinstance(method, EpisodeTrained):
        return Updates(items=_episodes(spec, pools), per_update=spec.train.meta_batch, loss=method.outer_loss)
    if isinstance(method, BatchTrained):
        batches = BatchSequence(
            pools,
            spec.images,
            batch_size=method.batch_size,
            seed=spec.seed,
            augmentation=spec.train.augmentation,
            device=spec.compute.device,
        )
        return Updates(
            items=batches, per_update=1, loss=lambda learner, one: method.batch_loss(learner, one[0])
        )
    return None


def _episodes(spec: RunSpec, pools: Sequence[Pool]) -> EpisodeSequence:
    sequences = [
        SourceSequence(
            pool,
            spec.train.shape,
            spec.images,
            seed=spec.seed,
            augmentation=spec.train.augmentation,
            device=spec.compute.device,
        )
        for pool in pools
    ]
    return MixedSequence(sequences, seed=spec.seed, stream="train/source")
