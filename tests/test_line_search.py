"""The step within a trust region: shortened until it helps and keeps to the limit, or not taken at all."""

import pytest
import torch
from torch import nn

from control_cases import tiny_policy
from harness.control.fisher import Outputs
from harness.control.trust_region import TrustRegion, trust_region_step


class SteeperThanItsModel:
    """-p, which every step along its gradient improves, with a divergence of ½ p² + ½ p⁴ from p = 0."""

    def __init__(self) -> None:
        self.p = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def surrogate_and_divergence(self, *, graph: bool) -> tuple[torch.Tensor, torch.Tensor]:
        found = -self.p.sum(), (0.5 * self.p**2 + 0.5 * self.p**4).sum()
        return found if graph else (found[0].detach(), found[1].detach())

    def outputs(self) -> list[Outputs]:
        return [Outputs(values=[self.p], curvature=[torch.ones_like(self.p)])]


@pytest.mark.parametrize(
    ("limit", "share"),
    # The full step has a model of the divergence of exactly the limit: p = sqrt(2 limit). Shares are 0.8 to the i.
    [(0.5, 0.8**2), (0.02, 0.8), (5.0, 0.8**3)],
)
def test_a_step_is_shortened_until_its_divergence_keeps_to_the_limit(limit: float, share: float) -> None:
    objective = SteeperThanItsModel()
    taken = trust_region_step([objective.p], objective, TrustRegion(max_kl=limit, damping=0.0))
    full = (2 * limit) ** 0.5

    def divergence(of: float) -> float:
        return 0.5 * (of * full) ** 2 + 0.5 * (of * full) ** 4

    assert divergence(share) <= limit < divergence(share / 0.8)
    assert taken.share == pytest.approx(share)
    assert float(objective.p.detach()) == pytest.approx(share * full)
    assert taken.kl == pytest.approx(divergence(share))


def test_a_step_that_never_helps_leaves_the_policy_bit_for_bit() -> None:
    policy = tiny_policy()
    before = [p.detach().clone() for p in policy.parameters()]
    parameters = list(policy.parameters())

    class WorseEverywhere:
        """Though its gradient promises better."""

        def surrogate_and_divergence(self, *, graph: bool) -> tuple[torch.Tensor, torch.Tensor]:
            apart = sum(((p - b) ** 2).sum() for p, b in zip(parameters, before, strict=True))
            assert isinstance(apart, torch.Tensor)
            first = parameters[0].sum() - before[0].sum()
            return (first, apart) if graph else (apart.detach(), apart.detach())

        def outputs(self) -> list[Outputs]:
            return [Outputs(values=parameters, curvature=[torch.full_like(p, 2.0) for p in parameters])]

    taken = trust_region_step(parameters, WorseEverywhere(), TrustRegion())
    assert taken.share == 0
    assert all(torch.equal(p, b) for p, b in zip(parameters, before, strict=True))
