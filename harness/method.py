"""What a method is: the contract that every method plugin keeps.

    learner = method.trainer.init(body, max_way)
    for episodes in meta_batches:  method.trainer.outer_loss(learner, episodes).backward(); step
    for episode in test_episodes:  method.predict(learner, episode.task) -> logits, scored against episode.query_y

A trainer learns from episodes (`outer_loss`), or from batches of images of all training classes (`batch_loss`), or
is declared `untrained`. A method is a frozen dataclass registered under the entry-point group `harness.methods`. Its
fields are its hyperparameters, set from gin. It keeps no state: what it trains lives in the learner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeGuard, runtime_checkable

from harness.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from harness.episode import Episode, Task
    from harness.image_batch import ImageBatch
    from harness.inner_loop import Variation
    from harness.learner import LayerMask, Learner, Weights
    from harness.networks import Body


@runtime_checkable
class Method(Protocol):
    """How to predict on an episode, and which method trains for it.

    Attributes:
        name: the method's name in every row; a field with a default, so that two settings of one method can
            stand side by side in an experiment.
        trainer: the method that trains the learner; `self` unless the method only predicts differently (NIL).
        adaptation_steps: inner steps taken at test time, 0 for a method without an inner loop; reported in
            every row.
    """

    @property
    def name(self) -> str:
        """The method's name in rows."""

    @property
    def trainer(self) -> Trainable:
        """The method that trains the learner."""

    @property
    def adaptation_steps(self) -> int:
        """Inner steps at test time."""

    def predict(self, learner: Learner, task: Task) -> torch.Tensor:
        """Logits [n_query, n_way] for the queries; leaves the learner bit for bit as it was."""


@runtime_checkable
class Trainable(Method, Protocol):
    """A method that has a learner of its own. It keeps the contract of one of `EpisodeTrained`, `BatchTrained` or
    `Untrained`, see `trains_on`.
    """

    def init(self, body: Body, max_way: int) -> Learner:
        """A fresh learner on `body` that can tell up to `max_way` classes apart.

        Of a method that trains on batches, `max_way` is at least the number of the training classes.
        """


@runtime_checkable
class EpisodeTrained(Trainable, Protocol):
    """Trained on episodes, a meta-batch an update."""

    def outer_loss(self, learner: Learner, episodes: Sequence[Episode]) -> torch.Tensor:
        """The scalar to minimise over a whole meta-batch; differentiable in the learner's parameters.

        A mean over tasks of means over query images, so its scale depends on neither. Where it draws random numbers, or
        is no such mean, a class attribute `unshared` says so, in words that follow the method's name: then
        `Compute.training_workers` refuses it.
        """


@runtime_checkable
class BatchTrained(Trainable, Protocol):
    """Trained on batches of `batch_size` images of all training classes, one batch an update.

    The regime's `iterations` count the batches; its `meta_batch` plays no part, and its `shape` only in validation. A
    trainer may have `check_classes(n_classes)`, which raises ConfigError where it cannot do with so many.
    """

    @property
    def batch_size(self) -> int:
        """Images an update."""

    def batch_loss(self, learner: Learner, batch: ImageBatch) -> torch.Tensor:
        """The scalar to minimise over a batch, a mean over its images."""


@runtime_checkable
class OuterStepped(Trainable, Protocol):
    """A trainer that says itself how its learner follows the outer gradient, where others take Adam's steps.

    The regime's `learning_rate` and `schedule` then play no part, and make no other training.
    """

    def outer_optimiser(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """A fresh optimiser of the learner's parameters. Its state is kept in the checkpoints."""

    def outer_rate(self, iteration: int, iterations: int) -> float:
        """The optimiser's `lr` in the outer update number `iteration`, from 0, of `iterations`."""


def steps_itself(method: Trainable) -> TypeGuard[OuterStepped]:
    """Whether the trainer has an outer optimiser of its own. Raises ConfigError where it has but half of it."""
    parts = [hasattr(method, part) for part in ("outer_optimiser", "outer_rate")]
    if any(parts) and not all(parts):
        raise ConfigError(
            f"{type(method).__name__} has one of `outer_optimiser` and `outer_rate`: give it both, or neither for "
            "Adam at the regime's rate."
        )
    return all(parts)


@runtime_checkable
class Untrained(Trainable, Protocol):
    """Not trained at all: the learner stays as drawn, whatever the regime says."""

    @property
    def untrained(self) -> Literal[True]:
        """Declares it."""


def trains_on(method: Trainable) -> Literal["episodes", "batches", "nothing"]:
    """What an update of the method learns from. Raises ConfigError where it says none of the three, or several."""
    kinds: dict[Literal["episodes", "batches", "nothing"], type] = {
        "episodes": EpisodeTrained,
        "batches": BatchTrained,
        "nothing": Untrained,
    }
    found = [kind for kind, protocol in kinds.items() if isinstance(method, protocol)]
    if len(found) == 1:
        return found[0]
    other = getattr(method, "trainer", method)
    if not found and other is not method:
        raise ConfigError(
            f"{type(method).__name__} trains nothing itself, so it can be no trainer: name its own, "
            f"@{type(other).__name__}(), in its place."
        )
    raise ConfigError(
        f"The method {type(method).__name__} does not say what it trains on: give it exactly one of `outer_loss` (with "
        "`init`), `batch_loss` (with `init` and `batch_size`) or `untrained = True` (with `init`)."
    )


@runtime_checkable
class BatchMethod(Method, Protocol):
    """A method that can also predict tasks of one shape side by side; evaluation then calls this.

    Each task must get the logits that `predict` gives it, up to the order of floating-point sums, and no random
    numbers may be drawn.
    """

    def predict_batch(self, learner: Learner, tasks: Sequence[Task]) -> torch.Tensor:
        """Logits [T, n_query, n_way]; leaves the learner bit for bit as it was."""


def predicts_batches(method: Method) -> TypeGuard[BatchMethod]:
    """Whether `predict_batch` is the method's own, and not that of a parent whose `predict` or `adapt` it replaced."""
    classes = type(method).__mro__
    batch = next((i for i, cls in enumerate(classes) if "predict_batch" in vars(cls)), None)
    if batch is None:
        return False
    return not any({"predict", "adapt"} & set(vars(cls)) for cls in classes[:batch])


@runtime_checkable
class AdaptingMethod(Method, Protocol):
    """A method whose weights change with the task; most probes need one."""

    def adapted_layers(self, learner: Learner) -> LayerMask:
        """The layers that change."""

    def adapt(
        self, learner: Learner, task: Task, *, adapted: LayerMask | None = None, variation: Variation = ...
    ) -> Weights:
        """The weights after test-time adaptation, [1, ...] each; leaves the learner bit for bit as it was.

        adapted: the layers that change, None for the method's own. variation: see `harness.inner_loop`.
        """


def can_adapt(method: Method) -> TypeGuard[AdaptingMethod]:
    """Whether the method adapts to a task; NIL, for one, does not."""
    return isinstance(method, AdaptingMethod)


def starting_weights(method: Method, learner: Learner, task: Task) -> Weights:
    """A task's weights before the first step where they are not the learner's stored ones, [1, ...] each.

    The new head of a method that fine-tunes, Proto-MAML's prototypes: its `start`, see `gradient_adaptation`.
    """
    from harness.task_batch import stack

    start = getattr(method, "start", None)
    return start(learner, stack([task]), training=False) if start is not None else {}
