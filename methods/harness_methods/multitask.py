"""Multitask training, a head per task: Raghu et al. 2020 (arXiv 1909.09157), section 5."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import ConfigError
from harness.image_batch import ImageBatch
from harness.learner import Learner, support_statistics
from harness.networks import Body
from harness.parameters import check_fields, check_whole
from harness.read_out_method import CosineReadOut
from harness.seeds import counter_rng


class TaskHeads(nn.Module):
    """A linear head of `n_way` rows for each of `n_tasks` tasks, drawn as torch.nn.Linear draws."""

    def __init__(self, features: int, n_tasks: int, n_way: int) -> None:
        super().__init__()
        drawn = nn.Linear(features, n_tasks * n_way)
        self.weight = nn.Parameter(drawn.weight.detach().view(n_tasks, n_way, features).clone())
        self.bias = nn.Parameter(drawn.bias.detach().view(n_tasks, n_way).clone())

    def forward(self, features: Tensor) -> Tensor:
        """Features [N, D] -> logits [N, n_tasks, n_way]."""
        return torch.einsum("nd,twd->ntw", features, self.weight) + self.bias


class MultitaskLearner(Learner):
    """A learner with the heads of its training tasks; its own head is not used."""

    def __init__(self, body: Body, max_way: int, n_tasks: int, n_way: int) -> None:
        super().__init__(body, max_way)
        self.task_heads = TaskHeads(body.out_features, n_tasks, n_way)


@dataclass(frozen=True, kw_only=True)
class Multitask(CosineReadOut):
    """Train one body and the heads of a fixed set of tasks at once, without an inner loop; tested with NIL's read-out.

    A task tells `n_way` of the training classes apart. The classes are dealt out to tasks `tasks_per_class` times, each
    time anew; those that are left over have no task that time. The tasks are the same for every seed. An image of a
    batch counts in every task that has its class; the loss is the mean cross-entropy over these pairs.
    batch_size: images an update. The defaults of all three are ours.
    """

    name: str = "multitask"
    batch_size: int = 64
    tasks_per_class: int = 5
    n_way: int = 5

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("Multitask.batch_size", self.batch_size, low=1)
        check_whole("Multitask.tasks_per_class", self.tasks_per_class, low=1)
        check_whole("Multitask.n_way", self.n_way, low=2)

    @property
    def trainer(self) -> "Multitask":
        """The method itself."""
        return self

    def check_classes(self, n_classes: int) -> None:
        """Raises ConfigError where there are fewer training classes than ways."""
        if n_classes < self.n_way:
            raise ConfigError(
                f"Multitask.n_way is {self.n_way}, but there are {n_classes} training classes: lower it to at most "
                f"{n_classes}."
            )

    def init(self, body: Body, max_way: int) -> MultitaskLearner:
        """A learner with the heads of all tasks that `max_way` classes make."""
        return MultitaskLearner(body, max_way, self.tasks_per_class * (max_way // self.n_way), self.n_way)

    def batch_loss(self, learner: Learner, batch: ImageBatch) -> Tensor:
        """Mean cross-entropy over pairs of an image and a task that has its class."""
        assert isinstance(learner, MultitaskLearner)
        self.check_classes(batch.n_classes)
        places = torch.from_numpy(task_places(batch.n_classes, self.tasks_per_class, self.n_way))
        places = places.to(batch.y.device)
        features = learner.features({}, batch.x[None], support_statistics(learner, training=True))[0]
        surprises = -learner.task_heads(features)[:, : places.shape[1]].log_softmax(2)
        own = places[batch.y]
        counted = own >= 0
        losses = surprises.gather(2, own.clamp(min=0)[..., None])[..., 0]
        loss: Tensor = (losses * counted).sum() / counted.sum().clamp(min=1)
        return loss


@lru_cache(maxsize=8)
def task_places(
    n_classes: int, tasks_per_class: int, n_way: int
) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    """[n_classes, n_tasks]: the label that a class has in a task, -1 where the task does not have it.

    n_tasks is tasks_per_class · ⌊n_classes / n_way⌋: each deal is a random order of the classes, cut into tasks.
    """
    each = n_classes // n_way
    places = np.full((n_classes, tasks_per_class * each), -1, dtype=np.int64)
    for deal in range(tasks_per_class):
        order = counter_rng(0, "multitask", deal).permutation(n_classes)[: each * n_way]
        tasks = deal * each + np.repeat(np.arange(each), n_way)
        places[order, tasks] = np.tile(np.arange(n_way), each)
    return places
