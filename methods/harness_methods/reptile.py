"""Reptile: Nichol, Achiam & Schulman 2018 (arXiv 1803.02999), algorithm 2."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.conv_parts import joined
from harness.episode import Episode
from harness.errors import ConfigError
from harness.inner_loop import Minibatches, query_logits, task_losses
from harness.inner_loop_method import InnerLoopMethod
from harness.learner import Learner, Weights
from harness.minibatches import minibatches_at, passes
from harness.networks import Body
from harness.parameters import check_above, check_choice, check_whole
from harness.seeds import counter_rng
from harness.step_directions import Adam, Direction
from harness.surrogate import with_gradient
from harness.task_batch import TaskBatch, alike, stack

INNER_OPTIMISERS = ("adam", "sgd")


class ReptileLearner(Learner):
    """A learner that adapts every weight, those of batch norm too, and keeps what its inner Adam remembers.

    That is the second moment of each weight's gradient, and after how many inner steps.
    """

    adapts_norms = True
    inner_steps_taken: Tensor

    def __init__(self, body: Body, max_way: int) -> None:
        super().__init__(body, max_way)
        self.register_buffer("inner_steps_taken", torch.zeros((), dtype=torch.int64))
        self._moments = {name: f"second_moment_{i}" for i, name in enumerate(self.adaptable(self.layers))}
        for name, parameter in self.adaptable(self.layers).items():
            self.register_buffer(self._moments[name], torch.zeros_like(parameter))
        self.mean_buffers = frozenset(self._moments.values())

    def inner_adam(self) -> Adam:
        """One without momentum that goes on where the inner loops before it have ended."""
        second = {name: self.get_buffer(moment)[None] for name, moment in self._moments.items()}
        return Adam(beta1=0.0, second=second, steps=int(self.inner_steps_taken))

    @torch.no_grad()
    def remember(self, second: Weights, steps: int) -> None:
        """Later inner loops begin with these second moments, by weight, which `steps` more steps have led to."""
        self.inner_steps_taken += steps
        for name, moment in second.items():
            self.get_buffer(self._moments[name]).copy_(moment)


@dataclass(frozen=True, kw_only=True)
class Reptile(InnerLoopMethod):
    """Move the initialisation a share of the way to the weights W that a few steps on a task's images reach.

    θ <- θ + ε (mean over tasks of W - θ), where the meta step ε falls linearly from `meta_step` to `meta_step_final`;
    the regime's learning rate and schedule play no part. All weights are adapted, scale and offset of batch norm too.

    inner_optimiser: `adam`, without momentum (β1 = 0), or `sgd`. As in the authors' code, what Adam remembers is kept
    over tasks, and adaptation at test begins with it: after each update it is the mean of what the tasks of the
    meta-batch end with; there tasks follow one another. inner_batch: images of a step. In training a task is all of its
    images, support and queries, in passes over them in an order that goes by the number of the episode: Reptile learns
    from the differences between its minibatches (section 5). test_inner_batch: the same of the support set at test, in
    one order for all tasks.

    The defaults are the authors' for Omniglot, 5 ways and 1 shot, which train on 10 images a class, 100,000 updates of
    5 tasks.
    """

    name: str = "reptile"
    inner_optimiser: str = "adam"
    inner_lr: float = 1e-3
    inner_steps: int = 5
    inner_batch: int = 10
    test_inner_steps: int | None = 50
    test_inner_batch: int = 5
    meta_step: float = 1.0
    meta_step_final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("Reptile.inner_optimiser", self.inner_optimiser, INNER_OPTIMISERS)
        for name in ("inner_batch", "test_inner_batch", "inner_steps"):
            check_whole(f"Reptile.{name}", getattr(self, name), low=1)
        check_above("Reptile.meta_step", self.meta_step, 0)
        if self.first_order:
            raise ConfigError(
                "Reptile does not differentiate through its steps, so that first_order means nothing: leave it alone."
            )
        if not 0 <= self.meta_step_final <= self.meta_step:
            raise ConfigError(
                "Reptile.meta_step_final must be at least 0 and at most Reptile.meta_step; got "
                f"{self.meta_step_final!r} and {self.meta_step!r}."
            )

    def init(self, body: Body, max_way: int) -> ReptileLearner:
        """A learner with a linear head whose batch norm is adapted."""
        return ReptileLearner(body, max_way)

    def outer_optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Plain steps: the outer gradient is θ - W, so a rate is a share of the way."""
        return torch.optim.SGD(parameters, lr=self.meta_step)

    def outer_rate(self, iteration: int, iterations: int) -> float:
        """The meta step of an update."""
        done = iteration / iterations
        return (1 - done) * self.meta_step + done * self.meta_step_final

    def direction(self, learner: Learner) -> Direction | None:
        """Adam's, or the gradient's own."""
        assert isinstance(learner, ReptileLearner)
        return learner.inner_adam() if self.inner_optimiser == "adam" else None

    def minibatches(self, batch: TaskBatch) -> Minibatches | None:
        """Of the support set, the same ones for every task of its size."""
        tasks, n_images = batch.support_y.shape
        if n_images <= self.test_inner_batch:
            return None
        rng = counter_rng(0, "reptile/test", n_images)
        places = passes(rng, n_images, self.test_inner_batch, self.adaptation_steps)
        return minibatches_at([places] * tasks, batch.support_y.device)

    def _in_training(self, episodes: Sequence[Episode], every: TaskBatch) -> Minibatches:
        """Of all images of each task, `every`."""
        n_images, steps = every.support_y.shape[1], self.inner_steps
        size = min(self.inner_batch, n_images)
        rngs = [counter_rng(0, "reptile/train", episode.index) for episode in episodes]
        return minibatches_at([passes(rng, n_images, size, steps) for rng in rngs], every.support_y.device)

    def outer_loss(self, learner: Learner, episodes: Sequence[Episode]) -> Tensor:
        """Its value is the mean query loss after inner steps on queries, too; its gradient the mean of θ - W."""
        assert isinstance(learner, ReptileLearner)
        stored = learner.adaptable(self.adapted_layers(learner))
        away, moments = ({name: torch.zeros_like(p) for name, p in stored.items()} for _ in range(2))
        losses = []
        for group in alike(episodes, learner.tasks_at_once):
            batch, query_y = stack([e.task for e in group]), torch.stack([e.query_y for e in group])
            every, direction = whole(batch, query_y), self.direction(learner)
            weights = self.steps(
                learner,
                every,
                self.inner_steps,
                training=True,
                graph=False,
                direction=direction,
                minibatches=self._in_training(group, every),
            )
            with torch.no_grad():
                losses.append(task_losses(query_logits(learner, weights, batch, training=True), query_y))
                for name, parameter in stored.items():
                    away[name] += (parameter - weights[name]).sum(0) / len(episodes)
                    if isinstance(direction, Adam):
                        moments[name] += direction.second[name].sum(0) / len(episodes)
        if learner.training and self.inner_optimiser == "adam":
            learner.remember(moments, self.inner_steps)
        return with_gradient(torch.cat(losses).mean(), {stored[name]: gone for name, gone in away.items()})


def whole(batch: TaskBatch, query_y: Tensor) -> TaskBatch:
    """The tasks with all of their images as the support set; `query_y` [T, Q]."""
    images = [torch.cat(both) for both in zip(batch.support_x, batch.query_x, strict=True)]
    return TaskBatch(
        support_x=joined(images),
        support_y=torch.cat([batch.support_y, query_y], dim=1),
        query_x=batch.query_x,
        n_way=batch.n_way,
    )
