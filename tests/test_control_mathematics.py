"""Meta-gradients, the trust-region step and the clipped one, against closed forms and plain float64 computations."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

import plain_policy
from control_cases import of_task, random_experience, tiny_policy
from harness.control import trust_region
from harness.control.adaptation import Adaptation, adaptation_of, adapted
from harness.control.clipped_surrogate import ClippedSurrogate, clipped_step
from harness.control.experience import Experience
from harness.control.fisher import fisher_product
from harness.control.meta_batch import MetaObjective
from harness.control.policy import Gaussian, Policy
from harness.control.trust_region import TrustRegion, conjugate_gradient, trust_region_step
from harness_methods.anil import ANIL
from harness_methods.boil import BOIL
from harness_methods.fo_maml import FOMAML
from harness_methods.maml import MAML
from harness_methods.no_adaptation import NoAdaptation

RATE = 0.1
METHODS = [
    MAML(inner_lr=RATE, inner_steps=2),
    FOMAML(inner_lr=RATE, inner_steps=2),
    ANIL(inner_lr=RATE, inner_steps=2),
    BOIL(inner_lr=RATE, inner_steps=2),
    NoAdaptation(),
]


def bandit(seed: int, rate: float) -> tuple[Policy, Adaptation, list[Experience]]:
    """A policy whose mean is the head's bias, as observations and the head's weights are 0; two tasks."""
    policy = tiny_policy(observations=1, actions=1)
    with torch.no_grad():
        policy.get_parameter("head.weight").zero_()
        for name, parameter in policy.named_parameters():
            if name.startswith("body.") and name.endswith("bias"):
                parameter.zero_()
    experiences = [random_experience(seed=seed + i, observations=1, actions=1) for i in range(2)]
    still = [
        Experience(
            observations=torch.zeros_like(e.observations),
            actions=e.actions,
            advantages=e.advantages,
            shares=e.shares,
        )
        for e in experiences
    ]
    return policy, adaptation_of(MAML(inner_lr=rate, inner_steps=1), policy, training=True), still


@pytest.mark.parametrize("first_order", [False, True])
def test_the_meta_gradient_of_a_bandit_is_its_closed_form(first_order: bool) -> None:
    policy, adaptation, experiences = bandit(seed=3, rate=RATE)
    adaptation = Adaptation(mask=adaptation.mask, steps=1, rate=RATE, first_order=first_order)
    mu, s = (float(policy.get_parameter(f"head.{name}").detach()) for name in ("bias", "log_std"))
    expected = np.zeros(2)
    for t in range(2):
        (_, a, A, share), (_, b, B, later) = (
            tuple(x.numpy() for x in of_task(experience, t)) for experience in experiences
        )
        a, b = a[:, 0], b[:, 0]
        shrink = np.exp(-2 * s)
        mu_after = mu + RATE * np.sum(share * A * (a - mu)) * shrink
        s_after = s + RATE * np.sum(share * A * ((a - mu) ** 2 * shrink - 1))
        outer = -np.array(
            [
                np.sum(later * B * (b - mu_after)) * np.exp(-2 * s_after),
                np.sum(later * B * ((b - mu_after) ** 2 * np.exp(-2 * s_after) - 1)),
            ]
        )
        cross = -2 * RATE * np.sum(share * A * (a - mu)) * shrink
        inner = np.array(
            [
                [1 - RATE * np.sum(share * A) * shrink, cross],
                [cross, 1 - 2 * RATE * np.sum(share * A * (a - mu) ** 2) * shrink],
            ]
        )
        expected += (outer if first_order else inner.T @ outer) / 2
    loss, divergence = MetaObjective(policy, adaptation, experiences).surrogate_and_divergence(graph=True)
    wanted = [policy.get_parameter("head.bias"), policy.get_parameter("head.log_std")]
    got = torch.autograd.grad(loss, wanted)
    np.testing.assert_allclose([float(g) for g in got], expected, rtol=1e-12)
    assert divergence.item() == 0


def parameters_of(policy: Policy) -> plain_policy.Params:
    return {name: p.detach().clone().requires_grad_() for name, p in policy.named_parameters()}


def plain_objective(
    params: plain_policy.Params,
    old: plain_policy.Params,
    experiences: list[Experience],
    adaptation: Adaptation,
    score: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = lambda ratio, a: ratio * a,
) -> torch.Tensor:
    """Minus the mean over tasks of the mean, as steps count, of `score(ratio, advantage)`, one task at a time."""
    names = [name for name in params if layer(name) in adaptation.mask]
    total = torch.zeros((), dtype=torch.float64)
    tasks = len(experiences[0].shares)
    for t in range(tasks):
        before = [of_task(e, t) for e in experiences[:-1]] if names else []
        observations, actions, advantages, shares = of_task(experiences[-1], t)
        new, sampled = (
            plain_policy.adapted(p, before, names, RATE, first_order=adaptation.first_order)
            for p in (params, old)
        )
        ratio = torch.exp(
            plain_policy.log_prob(new, observations, actions)
            - plain_policy.log_prob(sampled, observations, actions).detach()
        )
        total = total - plain_policy.averaged(score(ratio, advantages), shares) / tasks
    return total


def layer(name: str) -> str:
    return name.split(".")[2] if name.startswith("body") else "head"


def three(n_steps: int) -> list[Experience]:
    return [random_experience(seed=i) for i in range(n_steps + 1)]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_the_meta_gradient_is_that_of_a_plain_computation_also_away_from_where_it_was_sampled(
    method: MAML,
) -> None:
    policy = tiny_policy()
    adaptation = adaptation_of(method, policy, training=True)
    experiences = three(adaptation.steps)
    old = parameters_of(policy)
    objective = MetaObjective(policy, adaptation, experiences)
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    params = parameters_of(policy)
    expected = plain_objective(params, old, experiences, adaptation)
    slopes = torch.autograd.grad(expected, list(params.values()))
    loss, _ = objective.surrogate_and_divergence(graph=True)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    assert float(objective.surrogate_and_divergence(graph=False)[0]) == pytest.approx(
        expected.item(), rel=1e-12
    )
    got = torch.autograd.grad(loss, list(policy.parameters()))
    for name, g, s in zip(params, got, slopes, strict=True):
        torch.testing.assert_close(g, s, rtol=1e-9, atol=1e-12, msg=name)


def test_the_meta_gradient_is_that_of_finite_differences_of_the_surrogate() -> None:
    policy = tiny_policy()
    adaptation = adaptation_of(MAML(inner_lr=RATE, inner_steps=2), policy, training=True)
    objective = MetaObjective(policy, adaptation, three(2))
    gradient = torch.autograd.grad(
        objective.surrogate_and_divergence(graph=True)[0], list(policy.parameters())
    )
    step = 1e-5
    for parameter, slopes in zip(policy.parameters(), gradient, strict=True):
        for place in np.ndindex(tuple(parameter.shape)):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter[place] += sign * step
                values.append(float(objective.surrogate_and_divergence(graph=False)[0]))
                with torch.no_grad():
                    parameter[place] -= sign * step
            assert (values[0] - values[1]) / (2 * step) == pytest.approx(
                float(slopes[place]), rel=1e-5, abs=1e-8
            )


def test_the_inner_gradient_at_the_sampling_policy_is_that_of_likelihood_ratios() -> None:
    policy, experience = tiny_policy(), random_experience(seed=1)
    adaptation = adaptation_of(MAML(inner_lr=RATE, inner_steps=1), policy, training=True)
    stepped = adapted(policy, [experience], adaptation, graph=False)
    for t in range(2):
        params = parameters_of(policy)
        observations, actions, advantages, shares = of_task(experience, t)
        log_prob = plain_policy.log_prob(params, observations, actions)
        ratio = torch.exp(log_prob - log_prob.detach())
        gradients = torch.autograd.grad(
            plain_policy.averaged(ratio * advantages, shares), list(params.values())
        )
        for name, gradient in zip(params, gradients, strict=True):
            torch.testing.assert_close(stepped[name][t], params[name].detach() + RATE * gradient)


def dense_fisher(
    params: plain_policy.Params, experiences: list[Experience], adaptation: Adaptation
) -> np.ndarray:
    """Mean, as steps count, of Jᵀ M J: J of an adapted policy's (mean, log std), M = diag(1/σ², 2)."""
    names = [name for name in params if layer(name) in adaptation.mask]
    total = 0.0
    for t in range(len(experiences[0].shares)):
        before = [of_task(e, t) for e in experiences[:-1]] if names else []
        observations, _, _, shares = of_task(experiences[-1], t)

        def acting(
            vector: torch.Tensor,
            before: list[tuple[torch.Tensor, ...]] = before,
            o: torch.Tensor = observations,
        ) -> torch.Tensor:
            whole = plain_policy.unflat(vector, params)
            new = plain_policy.adapted(whole, before, names, RATE, first_order=adaptation.first_order)
            mean, log_std = plain_policy.outputs(new, o)
            return torch.stack([mean, log_std.expand_as(mean)])

        at = plain_policy.flat(params).detach().requires_grad_()
        log_std = acting(at)[1].detach().numpy()
        jacobian = torch.autograd.functional.jacobian(acting, at).numpy()
        share = shares.numpy()[:, None]
        for weight, part in ((np.exp(-2 * log_std), jacobian[0]), (2 * np.ones_like(log_std), jacobian[1])):
            total = total + np.einsum("sa,sap,saq->pq", share * weight, part, part)
    return np.asarray(total) / len(experiences[0].shares)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_the_trust_region_step_is_that_of_the_dense_fisher_matrix(
    method: MAML, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust_region, "CONVERGED", 1e-24)
    policy = tiny_policy(hidden=(3,))
    adaptation = adaptation_of(method, policy, training=True)
    experiences = three(adaptation.steps)
    params = parameters_of(policy)
    fisher = dense_fisher(params, experiences, adaptation)
    expected = plain_objective(params, params, experiences, adaptation)
    gradient = plain_policy.flat(
        dict(zip(params, torch.autograd.grad(expected, list(params.values())), strict=True))
    ).numpy()

    objective = MetaObjective(policy, adaptation, experiences)
    product = fisher_product(objective.outputs(), list(policy.parameters()), 0.0)
    identity = torch.eye(len(gradient), dtype=torch.float64)
    got = torch.stack([product(row) for row in identity]).numpy()
    np.testing.assert_allclose(got, fisher, rtol=1e-8, atol=1e-11)

    damping, limit = 1e-2, 1e-3
    damped = fisher + damping * np.eye(len(gradient))
    direction = np.linalg.solve(damped, gradient)
    full = np.sqrt(2 * limit / (direction @ damped @ direction)) * direction
    settings = TrustRegion(max_kl=limit, damping=damping, cg_iterations=200)
    taken = trust_region_step(list(policy.parameters()), objective, settings)
    moved = (
        plain_policy.flat(params).detach().numpy() - plain_policy.flat(parameters_of(policy)).detach().numpy()
    )
    assert taken.share in [pytest.approx(0.8**i) for i in range(15)]
    np.testing.assert_allclose(moved, taken.share * full, rtol=1e-5, atol=1e-8)
    assert taken.improvement > 0
    assert 0 < taken.kl <= limit


def test_conjugate_gradient_solves_in_as_many_iterations_as_there_are_dimensions() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    matrix, target = root @ root.T + np.eye(6), rng.normal(size=6)
    given = torch.from_numpy(matrix)
    got, _ = conjugate_gradient(lambda v: given @ v, torch.from_numpy(target), 6)
    np.testing.assert_allclose(got.numpy(), np.linalg.solve(matrix, target), rtol=1e-8)
    early, missing = conjugate_gradient(lambda v: given @ v, torch.from_numpy(target), 3)
    assert float(missing.norm()) > 1e-3
    np.testing.assert_allclose(missing.numpy(), target - matrix @ early.numpy(), rtol=1e-8)


def test_the_clipped_step_is_adam_on_the_clipped_surrogate() -> None:
    policy = tiny_policy()
    adaptation = adaptation_of(MAML(inner_lr=RATE, inner_steps=1), policy, training=True)
    experiences = three(1)
    old, params = parameters_of(policy), parameters_of(policy)
    adam = torch.optim.Adam(params.values(), lr=0.05)

    def clipped(ratio: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return torch.minimum(ratio * a, ratio.clamp(0.9, 1.1) * a)

    for _ in range(4):
        loss = plain_objective(params, old, experiences, adaptation, clipped)
        for value, gradient in zip(
            params.values(), torch.autograd.grad(loss, list(params.values())), strict=True
        ):
            value.grad = gradient
        adam.step()
    settings = ClippedSurrogate(learning_rate=0.05, updates=4, clip=0.1)
    parameters = list(policy.parameters())
    optimiser = torch.optim.Adam(parameters, lr=settings.learning_rate)
    taken = clipped_step(parameters, MetaObjective(policy, adaptation, experiences), optimiser, settings)
    for name, p in policy.named_parameters():
        torch.testing.assert_close(p.detach(), params[name].detach(), rtol=1e-9, atol=1e-11)
    assert taken.share == 1
    assert taken.kl > 0
    again = tiny_policy()
    few = ClippedSurrogate(learning_rate=0.05, updates=4, clip=0.1, max_kl=taken.kl / 10)
    stopped = clipped_step(
        list(again.parameters()),
        MetaObjective(again, adaptation, experiences),
        torch.optim.Adam(again.parameters(), lr=0.05),
        few,
    )
    assert 0 < stopped.share < 1


def test_anil_adapts_as_maml_with_a_mask_of_the_last_layer() -> None:
    policy, experiences = tiny_policy(), [random_experience(seed=i) for i in range(2)]
    head = adaptation_of(ANIL(inner_lr=RATE, inner_steps=2), policy, training=True)
    whole = adaptation_of(MAML(inner_lr=RATE, inner_steps=2), policy, training=True)
    masked = Adaptation(mask=frozenset({"head"}), steps=whole.steps, rate=whole.rate)
    a, b = (adapted(policy, experiences, each, graph=False) for each in (head, masked))
    assert set(a) == set(b) == {"head.weight", "head.bias", "head.log_std"}
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert set(adapted(policy, experiences, whole, graph=False)) > set(a)


def test_densities_and_divergences_are_torchs() -> None:
    torch.manual_seed(1)
    mine, other = (
        Gaussian(
            mean=torch.randn(2, 5, 3, dtype=torch.float64), log_std=torch.randn(2, 1, 3, dtype=torch.float64)
        )
        for _ in range(2)
    )
    a, b = (torch.distributions.Normal(g.mean, g.log_std.exp().expand_as(g.mean)) for g in (mine, other))
    actions = torch.randn(2, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(mine.log_prob(actions), a.log_prob(actions).sum(-1))
    torch.testing.assert_close(mine.kl_to(other), torch.distributions.kl_divergence(a, b).sum(-1))
