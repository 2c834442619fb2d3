"""MAML++: Antoniou, Edwards & Storkey 2019, "How to train your MAML" (arXiv 1810.09502), section 4."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from harness.episode import Episode
from harness.errors import ConfigError
from harness.inner_loop import Rates, query_logits, task_losses
from harness.inner_loop_method import InnerLoopMethod
from harness.learner import Learner, Weights, layer_of
from harness.networks import Body
from harness.parameters import check_whole
from harness.task_batch import TaskBatch, equal_shapes


class SteppedLearner(Learner):
    """A learner with a rate for each layer and inner step, and the number of its outer updates.

    rates: [steps, layers].
    """

    updates: Tensor

    def __init__(self, body: Body, max_way: int, steps: int, rate: float) -> None:
        super().__init__(body, max_way)
        self.rates = nn.Parameter(torch.full((steps, len(self.layers)), rate))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))


@dataclass(frozen=True, kw_only=True)
class MAMLPlusPlus(InnerLoopMethod):
    """MAML with a learned rate for each layer and step (LSLR), and a loss after each step (MSL).

    In the first `multi_step_updates` outer updates the outer loss is Σ_i w_i L_Q(θ_i) over the inner steps i, from
    equal weights to the last step's alone, linearly; afterwards it is the last step's. inner_lr: where every rate
    begins, 0.1 as in the authors' code for Omniglot; for miniImageNet they take 0.01. Steps at test beyond those of
    training take the last step's rates. Of the paper's six changes, batch norm by step (its statistics and its
    offsets) and the annealing of the derivatives' order are left out; the cosine of the outer rate is
    `Regime.schedule`. The default of multi_step_updates is that of the authors' code for miniImageNet, 15 epochs of
    500 updates; for Omniglot they take 10, and in both the weights change by the epoch and those of earlier steps
    stay at 0.03 / steps until the last. In a training no longer than it the last step never counts alone. With one
    inner step it means nothing.
    """

    name: str = "maml_pp"
    inner_lr: float = 0.1
    test_inner_steps: int | None = None
    multi_step_updates: int = 7500

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("MAMLPlusPlus.inner_steps", self.inner_steps, low=1)
        check_whole("MAMLPlusPlus.multi_step_updates", self.multi_step_updates, low=0)
        if self.test_inner_lr is not None:
            raise ConfigError("MAMLPlusPlus learns its rates: leave test_inner_lr alone.")

    def init(self, body: Body, max_way: int) -> SteppedLearner:
        """A learner with rates."""
        return SteppedLearner(body, max_way, self.inner_steps, self.inner_lr)

    def rate(self, learner: Learner, *, training: bool) -> Rates:  # noqa: ARG002
        """The learned ones."""
        assert isinstance(learner, SteppedLearner)
        rates, places = learner.rates, {layer: i for i, layer in enumerate(learner.layers)}
        names = list(learner.adaptable(learner.layers))

        def of_step(number: int) -> dict[str, Tensor]:
            own = rates[min(number, len(rates)) - 1]
            return {name: own[places[layer_of(name)]] for name in names}

        return of_step

    def outer_loss(self, learner: Learner, episodes: Sequence[Episode]) -> Tensor:
        """The weighted mean over steps of the mean query loss after each."""
        assert isinstance(learner, SteppedLearner)
        shares = step_weights(self.inner_steps, int(learner.updates), self.multi_step_updates)
        if learner.training:
            learner.updates += 1
        losses = []
        for batch, query_y in equal_shapes(episodes, learner.tasks_at_once):
            own = torch.zeros(len(query_y), dtype=batch.support_x.dtype, device=query_y.device)
            for share, weights in zip(shares, self._path(learner, batch), strict=True):
                if share:
                    own = own + share * task_losses(
                        query_logits(learner, weights, batch, training=True), query_y
                    )
            losses.append(own)
        return torch.cat(losses).mean()

    def _path(self, learner: Learner, batch: TaskBatch) -> list[Weights]:
        """The weights after each inner step."""
        rates = self.rate(learner, training=True)
        found: list[Weights] = []
        weights: Weights = {}
        assert callable(rates)
        for number in range(1, self.inner_steps + 1):
            own = rates(number)
            weights = self.steps(
                learner,
                batch,
                1,
                training=True,
                graph=not self.first_order,
                rate=partial(_same, own),
                start=weights,
            )
            found.append(weights)
        return found


def _same(rates: Mapping[str, Tensor], _: int) -> Mapping[str, Tensor]:
    return rates


def step_weights(steps: int, update: int, until: int) -> list[float]:
    """The weight of each step's loss at an outer update: equal at 0, the last one's alone from `until` on; sum 1."""
    left = max(0.0, 1 - update / until) if until else 0.0
    return [left / steps + (1 - left) * (number == steps) for number in range(1, steps + 1)]
