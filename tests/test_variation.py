"""Inner loops that probes vary and watch, against plain PyTorch in float64."""

import pytest
import torch

from harness.inner_loop import InnerStep, Variation
from harness.layer_norms import constant_factors, equal_relative_steps, layer_norms, relative_changes
from harness.learner import HEAD, Learner
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from plain_inner_loop import Params, reference_gradients, reference_path
from tiny import tiny_episode, tiny_learner

TASK = tiny_episode(seed=1).task
METHOD = MAML(inner_lr=0.3, test_inner_steps=3)
RATE = 0.3


def stored(learner: Learner) -> Params:
    return {name: p.detach().clone() for name, p in learner.named_parameters()}


def everything(learner: Learner) -> list[str]:
    return list(learner.adaptable(frozenset(learner.layers)))


@pytest.mark.parametrize("method", [METHOD, ANIL(inner_lr=RATE, test_inner_steps=3)])
def test_every_step_is_seen_as_it_was_taken(method: MAML | ANIL) -> None:
    learner = tiny_learner(method)
    names = list(learner.adaptable(method.adapted_layers(learner)))
    path = reference_path(stored(learner), TASK, names, 3, RATE)
    steps: list[InnerStep] = []
    after = method.adapt(learner, TASK, variation=Variation(observe=steps.append))
    assert [step.number for step in steps] == [1, 2, 3]
    for step, before, reached in zip(steps, path, path[1:], strict=False):
        gradients = reference_gradients(before, TASK, names)
        for name in names:
            assert torch.allclose(step.before[name][0], before[name], atol=1e-12)
            assert torch.allclose(step.gradients[name][0], gradients[name], atol=1e-12)
            assert torch.allclose(step.after[name][0], reached[name], atol=1e-12)
    assert all(torch.equal(after[name], steps[-1].after[name]) for name in names)


def test_watching_changes_nothing() -> None:
    learner = tiny_learner(METHOD)
    plain = METHOD.adapt(learner, TASK)
    steps: list[InnerStep] = []
    watched = METHOD.adapt(learner, TASK, variation=Variation(observe=steps.append))
    assert all(torch.equal(plain[name], watched[name]) for name in plain)


def test_gradients_are_shown_before_they_are_clipped() -> None:
    clipping = MAML(inner_lr=1.0, test_inner_steps=1, inner_gradient_clip=1e-3)
    learner = tiny_learner(clipping)
    steps: list[InnerStep] = []
    clipping.adapt(learner, TASK, variation=Variation(observe=steps.append))
    assert max(float(g.abs().max()) for g in steps[0].gradients.values()) > 1e-3
    assert all(float((steps[0].after[n] - w).abs().max()) <= 1.001e-3 for n, w in steps[0].before.items())


def test_factors_multiply_the_rate_of_their_layers() -> None:
    learner = tiny_learner(METHOD)
    names = everything(learner)
    path = [stored(learner)]
    for _ in range(3):
        gradients = reference_gradients(path[-1], TASK, names)
        rates = {name: RATE if name.startswith("head") else 10 * RATE for name in names}
        path.append({**path[-1], **{n: path[-1][n] - rates[n] * gradients[n] for n in names}})

    def tenfold(weights: Params, gradients: Params) -> Params:
        return constant_factors(weights, gradients, layers=learner.body.layers, factor=10.0)

    after = METHOD.adapt(learner, TASK, variation=Variation(multipliers=tenfold))
    assert all(torch.allclose(after[name][0], path[-1][name], atol=1e-11) for name in names)


def test_initial_weights_take_the_place_of_the_stored_ones() -> None:
    learner = tiny_learner(METHOD)
    names = everything(learner)
    zeros = {name: torch.zeros_like(p)[None] for name, p in learner.adaptable({HEAD}).items()}
    start = {**stored(learner), **{name: zero[0] for name, zero in zeros.items()}}
    expected = reference_path(start, TASK, names, 3, RATE)[-1]
    after = METHOD.adapt(learner, TASK, variation=Variation(initial=zeros))
    assert all(torch.allclose(after[name][0], expected[name], atol=1e-12) for name in names)
    assert learner.head.weight.all()  # the stored head is as it was


def test_initial_weights_of_a_frozen_layer_are_refused() -> None:
    learner = tiny_learner(METHOD)
    body = {"body.stages.conv1.conv.weight": torch.zeros(1, 3, 1, 3, 3, dtype=torch.float64)}
    with pytest.raises(ValueError, match=r"conv1\.conv\.weight.*no adapted layer"):
        METHOD.adapt(learner, TASK, adapted=frozenset({HEAD}), variation=Variation(initial=body))


def test_equal_relative_steps_are_equal_in_every_layer_and_step() -> None:
    learner = tiny_learner(METHOD, max_way=7)
    steps: list[InnerStep] = []

    def rule(weights: Params, gradients: Params) -> Params:
        return equal_relative_steps(learner, weights, gradients, n_way=TASK.n_way)

    METHOD.adapt(learner, TASK, variation=Variation(multipliers=rule, observe=steps.append))
    for step in steps:
        relative = {}
        for layer in learner.layers:
            own = [name for name in step.before if f".{layer}." in name or name.startswith(f"{layer}.")]
            # Of the head, the rows of the episode's ways.
            used = [slice(0, TASK.n_way if layer == HEAD else None)] * len(own)
            before = torch.cat([step.before[n][0][rows].flatten() for n, rows in zip(own, used, strict=True)])
            after = torch.cat([step.after[n][0][rows].flatten() for n, rows in zip(own, used, strict=True)])
            relative[layer] = float((after - before).norm() / before.norm())
        assert relative["conv1"] > 0
        assert max(relative.values()) == pytest.approx(min(relative.values()), rel=1e-9)
    plain: list[InnerStep] = []
    METHOD.adapt(learner, TASK, variation=Variation(observe=plain.append))
    heads = [
        relative_changes(learner, s.before, s.after, TASK.n_way)[HEAD].value for s in (plain[0], steps[0])
    ]
    assert heads[0] == pytest.approx(heads[1])  # the head's own step is the method's


def test_a_layer_without_gradient_stays_however_large_the_others_steps() -> None:
    """A head of zeros gives the body no gradient, and has itself no relative step: all factors are 1."""
    learner = tiny_learner(METHOD)
    weights = {name: p[None].detach() for name, p in learner.adaptable(frozenset(learner.layers)).items()}
    weights |= {name: torch.zeros_like(w) for name, w in weights.items() if name.startswith("head")}
    gradients = {name: torch.ones_like(w) * name.startswith("head") for name, w in weights.items()}
    factors = equal_relative_steps(learner, weights, gradients, n_way=3)
    assert all(float(factor) == 1 for factor in factors.values())


def test_the_heads_norm_is_of_the_rows_that_the_episode_uses() -> None:
    learner = tiny_learner(METHOD, max_way=7)
    head = {f"head.{name}": p[None].detach() for name, p in learner.head.named_parameters()}
    expected = (learner.head.weight[:3].square().sum() + learner.head.bias[:3].square().sum()).sqrt()
    assert float(layer_norms(learner, head, 3)[HEAD][0]) == pytest.approx(expected.item())
