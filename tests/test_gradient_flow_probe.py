"""Gradients, steps and controls, against autograd on Conv4 written out in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.errors import ConfigError
from harness.evaluation import evaluate
from harness.probes.gradient_flow import GradientFlow
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from plain_inner_loop import reference_gradients, reference_logits, reference_path
from probe_cases import EPISODE, METHOD, learner_of, no_images, rows_of, some, stored, values

LAYERS = ("conv1", "conv2", "conv3", "conv4", "head")
TASK = EPISODE.task
PLAIN = ["body x1", "equal relative steps", "body x10", "body x100"]
CONDITIONS = [*PLAIN, *(f"{name}, head zeroed" for name in PLAIN)]


def names_of(layer: str) -> list[str]:
    return ["head.weight", "head.bias"] if layer == "head" else [f"body.stages.{layer}.conv.weight"]


def vector(tensors: dict[str, torch.Tensor], layer: str) -> torch.Tensor:
    return torch.cat([tensors[name].flatten() for name in names_of(layer)])


def test_gradients_and_steps_are_those_of_autograd() -> None:
    rows = rows_of(GradientFlow(), learner_of())
    names = [name for layer in LAYERS for name in names_of(layer)]
    path = reference_path(stored(learner_of()), TASK, names, 3, METHOD.inner_lr)
    found = {
        quantity: values(rows, condition="body x1", quantity=quantity)
        for quantity in ("gradient_norm", "relative_gradient", "relative_step", "step_cosine")
    }
    for layer in LAYERS:
        last = None
        for step in (1, 2, 3):
            gradient = vector(reference_gradients(path[step - 1], TASK, names), layer)
            weight = vector(path[step - 1], layer)
            key = (layer, step)
            ratio = float(gradient.norm() / weight.norm())
            assert found["gradient_norm"][key] == pytest.approx(float(gradient.norm()), rel=1e-8)
            assert found["relative_gradient"][key] == pytest.approx(ratio, rel=1e-8)
            assert found["relative_step"][key] == pytest.approx(METHOD.inner_lr * ratio, rel=1e-8)
            if last is not None:
                cosine = torch.cosine_similarity(gradient, last, dim=0)
                assert found["step_cosine"][key] == pytest.approx(float(cosine), abs=1e-8)
            last = gradient
        assert (layer, 1) not in found["step_cosine"]


def test_each_control_has_its_accuracy() -> None:
    rows = rows_of(GradientFlow(), learner_of())
    found = {row.condition: row.value for row in some(rows, quantity="accuracy")}
    assert list(found) == CONDITIONS
    (score,) = evaluate(METHOD, learner_of(), [EPISODE], seed=0)
    assert found["body x1"] == score.accuracy
    start = stored(learner_of())
    names = [name for layer in LAYERS for name in names_of(layer)]
    zeroed = {n: torch.zeros_like(p) if n.startswith("head") else p for n, p in start.items()}
    params = reference_path(zeroed, TASK, names, 3, METHOD.inner_lr)[-1]
    predicted = reference_logits(params, TASK.query_x, TASK.n_way).argmax(1)
    expected = (predicted == EPISODE.query_y).double().mean()
    assert found["body x1, head zeroed"] == pytest.approx(float(expected))


def test_the_rescaled_control_takes_equal_relative_steps() -> None:
    rows = rows_of(GradientFlow(), learner_of())
    for condition, first in (("equal relative steps", 1), ("equal relative steps, head zeroed", 2)):
        steps = values(rows, condition=condition, quantity="relative_step")
        for step in range(first, 4):
            own = [steps[layer, step] for layer in LAYERS]
            assert own == pytest.approx([steps["head", step]] * 5, rel=1e-9)
            assert steps["head", step] > 0


def test_body_rates_multiply_the_bodys_first_step_alone() -> None:
    rows = rows_of(GradientFlow(body_rates=(7.0,)), learner_of())
    assert {row.condition.partition(",")[0] for row in rows} == {"body x1", "equal relative steps", "body x7"}
    plain, larger = (
        values(rows, condition=condition, quantity="relative_step", step=1)
        for condition in ("body x1", "body x7")
    )
    for layer in LAYERS:
        factor = 1 if layer == "head" else 7
        assert larger[layer, 1] == pytest.approx(factor * plain[layer, 1])


def test_a_head_of_zeros_gives_the_body_no_first_gradient() -> None:
    rows = rows_of(GradientFlow(), learner_of())
    norms = values(rows, condition="body x1, head zeroed", quantity="gradient_norm")
    assert [norms[layer, 1] == 0 for layer in LAYERS] == [True] * 4 + [False]
    assert norms["conv1", 2] > 0
    (head,) = some(rows, condition="body x1, head zeroed", quantity="relative_step", layer="head", step=1)
    assert np.isnan(head.value)
    assert "all zero" in head.reason


def test_features_are_compared_before_and_after_each_control() -> None:
    rows = rows_of(GradientFlow(), learner_of())
    for condition in PLAIN:
        for quantity in ("weight_change", "function_change", "cka"):
            assert [layer for layer, _ in values(rows, condition=condition, quantity=quantity)] == list(
                LAYERS
            )
    changes = {c: values(rows, condition=c, quantity="weight_change")["conv1", None] for c in PLAIN}
    assert changes["body x1"] < changes["body x10"] < changes["body x100"]
    same = rows_of(GradientFlow(), learner_of(), replace(METHOD, inner_lr=1e-300))
    assert set(values(same, condition="body x100", quantity="function_change").values()) == {0.0}
    assert list(values(same, condition="body x100", quantity="cka").values()) == [pytest.approx(1.0)] * 5


def test_every_layer_adapts_whatever_the_methods_own_are() -> None:
    anil = ANIL(inner_lr=METHOD.inner_lr, test_inner_steps=3)
    rows = rows_of(GradientFlow(), learner_of(), anil)
    same = rows_of(GradientFlow(), learner_of())
    assert [row.value for row in rows] == pytest.approx([row.value for row in same], nan_ok=True)


def test_without_steps_or_spare_images_what_is_left_is_measured() -> None:
    rows = rows_of(GradientFlow(), learner_of(), MAML(test_inner_steps=0))
    assert {row.quantity for row in rows} == {"accuracy", "weight_change", "function_change", "cka"}
    few = rows_of(GradientFlow(), learner_of(), spare=no_images(n=2))
    assert {row.reason for row in some(few, quantity="cka")} == {
        "The episode has 2 spare images; CKA needs at least 4."
    }
    assert not some(few, condition="body x1", quantity="function_change")[0].reason


@pytest.mark.parametrize("rates", [(1.0,), (0.0,), (10.0, 10.0), 10.0, ("fast",)])
def test_wrong_rates_are_refused(rates: object) -> None:
    with pytest.raises(ConfigError, match=r"GradientFlow\.body_rates must be a list"):
        GradientFlow(body_rates=rates)  # type: ignore[arg-type]
