"""A learner: a body, a head, and the ways a method may run them."""

from collections.abc import Collection, Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.func import functional_call

from harness.episode import Task
from harness.layers import BatchNorm, Head, Mode, Statistics
from harness.networks import Body
from harness.task_batch import TaskBatch, tasks_at_once

LayerMask = frozenset[str]
"""The layers that the inner loop may change: names of body stages, and "head"."""

HEAD = "head"

Weights = Mapping[str, Tensor]
"""Adapted parameters, one copy a task: name in the learner -> [T, ...]."""


class Learner(nn.Module):
    """A network plus whatever state a method trains (a method may add modules).

    `max_way` is the largest number of classes its head can tell apart. A subclass may say: `adapts_norms`, that the
    inner loop changes scale and offset of batch norm as it does every other weight; `mean_buffers`, the names of
    buffers that an outer loss leaves as means over its episodes, so that several workers can share it.
    """

    adapts_norms: ClassVar[bool] = False
    mean_buffers: frozenset[str] = frozenset()

    def __init__(self, body: Body, max_way: int) -> None:
        super().__init__()
        self.body = body
        self.head: nn.Module = Head(body.out_features, max_way)
        self.max_way = max_way

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer a mask may name, input side first; the head last."""
        return (*self.body.layers, HEAD)

    def adaptable(self, mask: Collection[str]) -> dict[str, nn.Parameter]:
        """The parameters the inner loop changes under `mask`: name -> stored parameter.

        Batch-norm scale and offset are meta-learned, and adapted only where the learner `adapts_norms`. Raises
        ValueError for a layer the learner does not have.
        """
        unknown = set(mask) - set(self.layers)
        if unknown:
            raise ValueError(f"No layers {sorted(unknown)}; this learner has {list(self.layers)}.")
        norms = [] if self.adapts_norms else [m for m in self.modules() if isinstance(m, BatchNorm)]
        left_alone = {id(p) for norm in norms for p in norm.parameters()}
        named = self.named_parameters()
        return {name: p for name, p in named if id(p) not in left_alone and layer_of(name) in mask}

    def first_adapted(self, mask: Collection[str]) -> int:
        """The number of body stages below every layer in `mask`: they run once however many steps follow."""
        return next((i for i, name in enumerate(self.body.layers) if name in mask), len(self.body.layers))

    def tasks_at_once(self, task: Task) -> int:
        """How many tasks of this one's shape to work on side by side: as many as keep the processor busy."""
        return tasks_at_once(task, self.body.largest_layer(task.support_x[0]))

    def features(
        self, weights: Weights, x: Tensor, statistics: Statistics, start: int = 0, stop: int | None = None
    ) -> Tensor:
        """Features [T, N, D] of T tasks' images [T, N, C, H, W], or of what stage `start - 1` gave for them.

        Task t uses `weights[name][t]` in place of the stored parameter `name`. With `stop`, what stage `stop - 1`
        gives, before the read-out.
        """
        body = {name.removeprefix("body."): w for name, w in weights.items() if name.startswith("body.")}
        result: Tensor = (
            functional_call(self.body, body, (x, statistics, start, stop))
            if body
            else self.body(x, statistics, start, stop)
        )
        return result

    def logits(self, weights: Weights, features: Tensor, n_way: int) -> Tensor:
        """Logits [T, N, n_way] of features [T, N, D], with a task's own head where `weights` has one."""
        head = {name.removeprefix("head."): w for name, w in weights.items() if name.startswith("head.")}
        result: Tensor = (
            functional_call(self.head, head, (features, n_way)) if head else self.head(features, n_way)
        )
        return result


def layer_of(parameter_name: str) -> str:
    """The layer a parameter belongs to: `body.stages.conv1.conv.weight` -> `conv1`; `head.weight` -> `head`."""
    parts = parameter_name.split(".")
    return parts[2] if parts[:2] == ["body", "stages"] else parts[0]


def support_statistics(learner: Learner, *, training: bool) -> Statistics:
    """What normalises each support set inside the inner loop, by the body's batch-norm policy."""
    mode: Mode = "batch"
    if learner.body.batch_norm == "running":
        mode = "track" if training else "running"
    return Statistics(mode)


def query_features(learner: Learner, weights: Weights, batch: TaskBatch, *, training: bool) -> Tensor:
    """Features [T, Q, D] of the queries under the adapted `weights`, by the body's batch-norm policy.

    Under `support` the adapted network sees the support set once more, to take its statistics.
    """
    if learner.body.batch_norm == "support":
        return embed(learner, weights, batch, training=training)[1]
    return learner.features(weights, batch.query_x, support_statistics(learner, training=training))


def embed(learner: Learner, weights: Weights, batch: TaskBatch, *, training: bool) -> tuple[Tensor, Tensor]:
    """Features of the support [T, S, D] and of the queries [T, Q, D], by the body's batch-norm policy."""
    if learner.body.batch_norm == "support":
        statistics = Statistics("record")
        support = learner.features(weights, batch.support_x, statistics)
        return support, learner.features(weights, batch.query_x, statistics.replay())
    statistics = support_statistics(learner, training=training)
    support = learner.features(weights, batch.support_x, statistics)
    return support, learner.features(weights, batch.query_x, statistics)
