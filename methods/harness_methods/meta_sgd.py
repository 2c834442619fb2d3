"""Meta-SGD: Li et al. 2017 (arXiv 1707.09835), equation 2 and algorithm 1."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.errors import ConfigError
from harness.inner_loop import Rates
from harness.inner_loop_method import InnerLoopMethod
from harness.learner import Learner
from harness.networks import Body

LOWEST, HIGHEST = 0.005, 0.1
"""Between these a rate begins, as in the paper's classification."""


class RatedLearner(Learner):
    """A learner with a rate for each element of each weight that the inner loop may change."""

    def __init__(self, body: Body, max_way: int, lowest: float, highest: float) -> None:
        super().__init__(body, max_way)
        self._names = list(self.adaptable(self.layers))
        drawn = (torch.empty(p.shape).uniform_(lowest, highest) for p in self.adaptable(self.layers).values())
        self.rates = nn.ParameterList(nn.Parameter(rate) for rate in drawn)

    def rates_by_name(self) -> Mapping[str, Tensor]:
        """Rates of the shape of the weights, by the weights' names."""
        return dict(zip(self._names, self.rates, strict=True))


@dataclass(frozen=True, kw_only=True)
class MetaSGD(InnerLoopMethod):
    """MAML with a learned rate for each weight: θ' = θ - α ∘ ∇L(θ), where the outer loop trains θ and α.

    lowest_rate, highest_rate: each element of α begins uniformly between them. One step, in training and at test, is
    the paper's; `inner_lr` has no meaning here and must be left alone.
    """

    name: str = "meta_sgd"
    inner_lr: float = 1.0
    inner_steps: int = 1
    test_inner_steps: int | None = 1
    lowest_rate: float = LOWEST
    highest_rate: float = HIGHEST

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner_lr != 1.0 or self.test_inner_lr is not None:
            raise ConfigError(
                "MetaSGD learns its rates: leave inner_lr and test_inner_lr alone, and set "
                "MetaSGD.lowest_rate and MetaSGD.highest_rate, between which they begin."
            )
        if not 0 < self.lowest_rate <= self.highest_rate:
            raise ConfigError(
                "MetaSGD.lowest_rate must be above 0 and at most MetaSGD.highest_rate; "
                f"got {self.lowest_rate} and {self.highest_rate}."
            )

    def init(self, body: Body, max_way: int) -> RatedLearner:
        """A learner with rates."""
        return RatedLearner(body, max_way, self.lowest_rate, self.highest_rate)

    def rate(self, learner: Learner, *, training: bool) -> Rates:  # noqa: ARG002
        """The learned ones, the same in each step."""
        assert isinstance(learner, RatedLearner)
        rates = learner.rates_by_name()
        return lambda _: rates
