"""Products with the Fisher matrix, against the divergence differentiated twice."""

import pytest
import torch

from control_cases import random_experience
from harness.control.adaptation import adaptation_of
from harness.control.fisher import fisher_product, flat, split
from harness.control.meta_batch import BLOCK, MetaObjective
from harness.control.policy import Policy
from harness.control.policy_network import MLP
from harness_methods.anil import ANIL
from harness_methods.fo_maml import FOMAML
from harness_methods.maml import MAML
from harness_methods.random_body import RandomBody

TASKS = 2 * BLOCK + 1


@pytest.mark.parametrize("min_std", [1e-6, 1.0], ids=["free", "clamped"])
@pytest.mark.parametrize(
    "method",
    [
        MAML(inner_lr=0.1, inner_steps=2),
        FOMAML(inner_lr=0.1, inner_steps=1),
        ANIL(inner_lr=0.1, inner_steps=1),
        RandomBody(inner_lr=0.1, inner_steps=1),
    ],
    ids=lambda m: m.name,
)
def test_it_is_the_hessian_of_the_divergence_over_several_blocks(method: MAML, min_std: float) -> None:
    torch.manual_seed(0)
    policy = Policy(MLP(hidden=(4, 3)).build_body(3), 2, min_std=min_std).double()
    with torch.no_grad():
        policy.get_parameter("head.log_std").copy_(torch.tensor([-0.5, 0.4], dtype=torch.float64))
    method.prepare(policy)
    parameters = [p for p in policy.parameters() if p.requires_grad]
    adaptation = adaptation_of(method, policy, training=True)
    experiences = [random_experience(seed=seed, tasks=TASKS) for seed in range(adaptation.steps + 1)]
    objective = MetaObjective(policy, adaptation, experiences)
    assert len(objective.outputs()) == 3
    product = fisher_product(objective.outputs(), parameters, 0.5)

    _, divergence = objective.surrogate_and_divergence(graph=True)
    slope = torch.autograd.grad(divergence, parameters, create_graph=True)
    vector = flat([torch.randn_like(p) for p in parameters], parameters)
    along = torch.stack([(s * v).sum() for s, v in zip(slope, split(vector, parameters), strict=True)]).sum()
    twice = flat(torch.autograd.grad(along, parameters), parameters)
    assert float(twice.norm()) > 0.01
    torch.testing.assert_close(product(vector), twice + 0.5 * vector, rtol=1e-10, atol=1e-12)
