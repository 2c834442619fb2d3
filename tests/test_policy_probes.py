"""Probes of policies: freezing, similarity and movement on the states visited, against plain computations."""

import numpy as np
import pytest
import torch

import plain_policy
from control_cases import Drift, tiny_policy
from harness.cka import debiased_cka, hsic
from harness.control.policy import Policy
from harness.control.policy_probe import TestGround, policy_outputs, visited
from harness.control.probes.freeze import PolicyFreeze
from harness.control.probes.movement import PolicyMovement
from harness.control.probes.similarity import PolicySimilarity
from harness.control.sampling import Sampling
from harness.control.task_evaluation import evaluate_tasks
from harness.errors import ConfigError
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from harness_methods.no_adaptation import NoAdaptation

SAMPLING = Sampling(trajectories=6)
MAML_ONE = MAML(inner_lr=0.5, inner_steps=1, test_inner_steps=1)
ANIL_ONE = ANIL(inner_lr=0.5, inner_steps=1, test_inner_steps=1)


def ground() -> TestGround:
    return TestGround(source=Drift(horizon=8), split="test", sampling=SAMPLING, seed=0)


def policy() -> Policy:
    return tiny_policy(observations=1, actions=1)


def test_freezing_all_is_no_adaptation_and_freezing_what_the_method_freezes_is_its_own() -> None:
    learner = policy()
    for method, own in ((MAML_ONE, "everything"), (ANIL_ONE, "head only")):
        scored = list(
            evaluate_tasks(
                learner, method, Drift(horizon=8), split="test", n_tasks=3, sampling=SAMPLING, seed=0
            )
        )
        for outcome in scored:
            rows = list(PolicyFreeze().measure(learner, method, ground(), outcome.task.index))
            values = {row.condition: row.value for row in rows}
            assert list(values) == ["nothing", "head only", "from hidden2", "body only", "everything"]
            assert values["nothing"] == outcome.before
            assert values[own] == outcome.after
            assert len(set(values.values())) == 5
            assert {row.n for row in rows} == {6}


def test_layers_say_what_a_plain_network_says() -> None:
    learner = policy()
    states = torch.linspace(-1, 1, 7, dtype=torch.float64).view(1, 7, 1)
    weights = {
        name: p.detach().unsqueeze(0) + 0.1 for name, p in learner.named_parameters() if "hidden2" in name
    }
    found = dict(policy_outputs(learner, weights, states))
    params = {name: p.detach() for name, p in learner.named_parameters()}
    params |= {name: weight[0] for name, weight in weights.items()}
    torch.testing.assert_close(found["head"], plain_policy.outputs(params, states[0])[0])
    assert list(found) == ["hidden1", "hidden2", "head"]


def test_similarity_is_of_the_states_visited_before() -> None:
    learner, place = policy(), ground()
    probe = PolicySimilarity(n_states=20)
    rows = list(probe.measure(learner, MAML_ONE, place, 1))
    assert {(row.condition, row.layer) for row in rows} == {
        ("everything", layer) for layer in ("hidden1", "hidden2", "head")
    }
    course = place.course(learner, MAML_ONE, [1])
    states = visited(course, 0, 20)
    after = dict(policy_outputs(learner, course.weights[-1], states))["hidden2"]
    before = dict(policy_outputs(learner, {}, states))["hidden2"]
    expected = debiased_cka([hsic(before, after)]).value
    cka = next(row for row in rows if row.quantity == "cka" and row.layer == "hidden2")
    assert cka.value == pytest.approx(expected, rel=1e-12)
    assert cka.value < 1
    assert cka.n == states.shape[1] == 20
    pooled = {row.layer: row.value for row in probe.pooled(rows)}
    assert pooled["hidden2"] == pytest.approx(expected, rel=1e-12)


def test_anil_is_measured_as_itself_and_with_its_body_adapted() -> None:
    learner = policy()
    rows = list(PolicySimilarity(n_states=20).measure(learner, ANIL_ONE, ground(), 0))
    assert {row.layer for row in rows if row.condition == "head only"} == {"head"}
    assert {row.layer for row in rows if row.condition == "everything"} == {"hidden1", "hidden2", "head"}


def test_movement_is_of_weights_and_outputs() -> None:
    learner, place = policy(), ground()
    method = MAML(inner_lr=0.5, inner_steps=1, test_inner_steps=2)
    rows = list(PolicyMovement(n_states=30).measure(learner, method, place, 2))
    course = place.course(learner, method, [2])
    states = visited(course, 0, 30)
    for step in (1, 2):
        names = [name for name in course.weights[0] if "hidden1" in name]
        first, now = (
            np.concatenate([course.weights[i][name].numpy().ravel() for name in names]) for i in (0, step)
        )
        got = {(row.quantity, row.layer): row.value for row in rows if row.step == step}
        expected = np.linalg.norm(now - first) / np.linalg.norm(first)
        assert got["weight_change", "hidden1"] == pytest.approx(expected, rel=1e-12)
        old = dict(policy_outputs(learner, {}, states))["head"]
        new = dict(policy_outputs(learner, course.weights[step], states))["head"]
        expected = float((new - old).norm() / old.norm())
        assert got["function_change", "head"] == pytest.approx(expected, rel=1e-12)
    assert {row.layer for row in rows} == {"hidden1", "hidden2", "head"}


@pytest.mark.parametrize("probe", [PolicySimilarity(), PolicyMovement()])
def test_there_is_nothing_to_say_of_what_does_not_adapt(probe: PolicySimilarity | PolicyMovement) -> None:
    assert list(probe.measure(policy(), NoAdaptation(), ground(), 0)) == []


def test_probes_leave_the_policy_bit_for_bit() -> None:
    learner = policy()
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    for probe in (PolicyFreeze(), PolicySimilarity(), PolicyMovement()):
        list(probe.measure(learner, MAML_ONE, ground(), 0))
    assert all(torch.equal(value, learner.state_dict()[name]) for name, value in before.items())


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"PolicySimilarity.n_states must be a whole number of at least 4"):
        PolicySimilarity(n_states=3)
    with pytest.raises(ConfigError, match=r"PolicyFreeze.n_tasks must be a whole number of at least 1"):
        PolicyFreeze(n_tasks=0)
