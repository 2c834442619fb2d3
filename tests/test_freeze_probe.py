"""Freezing and read-outs: accuracies that other parts of the harness, or plain PyTorch, give too."""

from dataclasses import replace

import pytest
import torch

from harness.errors import ConfigError
from harness.evaluation import evaluate
from harness.masks import freeze_masks, mask_name, measured_masks
from harness.method import Method, can_adapt
from harness.probes.freeze import Freeze
from harness.probes.read_outs import ReadOuts
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from harness_methods.nil import NIL
from plain_inner_loop import reference_logits, reference_path
from probe_cases import EPISODE, METHOD, learner_of, rows_of, stored

CONDITIONS = ["nothing", "head only", "from conv4", "from conv3", "from conv2", "body only", "everything"]


def accuracies(probe: Freeze | ReadOuts, method: Method = METHOD, **network: object) -> dict[str, float]:
    rows = rows_of(probe, learner_of(**network), method)
    assert {row.quantity for row in rows} == {"accuracy"}
    assert {row.n for row in rows} == {len(EPISODE.query_y)}
    return {row.condition: row.value for row in rows}


def evaluated(method: Method, **network: object) -> float:
    (score,) = evaluate(method, learner_of(**network), [EPISODE], seed=0)
    return score.accuracy


@pytest.mark.parametrize("policy", ["transductive", "support", "running"])
def test_conditions_are_the_methods_own_accuracies(policy: str) -> None:
    found = accuracies(Freeze(), batch_norm=policy)
    settings = {"inner_lr": METHOD.inner_lr, "test_inner_steps": METHOD.test_inner_steps}
    assert list(found) == CONDITIONS
    assert found["everything"] == evaluated(METHOD, batch_norm=policy)
    assert found["head only"] == evaluated(ANIL(**settings), batch_norm=policy)  # type: ignore[arg-type]
    assert found["nothing"] == evaluated(MAML(test_inner_steps=0), batch_norm=policy)
    assert accuracies(Freeze(), ANIL(**settings), batch_norm=policy) == found  # type: ignore[arg-type]


def test_every_condition_adapts_its_layers_and_no_others() -> None:
    learner = learner_of()
    adapted = {
        "nothing": [], "head only": ["head"], "from conv4": ["conv4", "head"],
        "from conv3": ["conv3", "conv4", "head"], "from conv2": ["conv2", "conv3", "conv4", "head"],
        "body only": ["conv1", "conv2", "conv3", "conv4"],
        "everything": ["conv1", "conv2", "conv3", "conv4", "head"],
    }  # fmt: skip
    masks = freeze_masks(learner.layers)
    assert {name: sorted(mask) for name, mask in masks.items()} == adapted
    task = EPISODE.task
    for name, found in accuracies(Freeze()).items():
        names = list(learner.adaptable(masks[name]))
        params = reference_path(stored(learner), task, names, 3, 0.3)[-1] if names else stored(learner)
        predicted = reference_logits(params, task.query_x, task.n_way).argmax(1)
        assert found == pytest.approx(float((predicted == EPISODE.query_y).double().mean())), name


def test_masks_have_names() -> None:
    learner = learner_of()
    for name, mask in freeze_masks(learner.layers).items():
        assert mask_name(learner.layers, mask) == name
    assert mask_name(learner.layers, frozenset({"head", "conv2"})) == "conv2+head"
    assert list(measured_masks(METHOD, learner)) == ["everything"]
    assert list(measured_masks(ANIL(), learner)) == ["head only", "everything"]


def test_read_outs_of_the_unadapted_body_are_nil_and_its_kin() -> None:
    found = accuracies(ReadOuts())
    assert found["nil, unadapted body"] == evaluated(NIL())
    assert list(found) == [
        *(f"{name}, unadapted body" for name in ("nil", "nearest centroid", "linear probe")),
        *(f"{name}, adapted body" for name in ("nil", "nearest centroid", "linear probe")),
    ]


def test_read_outs_of_the_adapted_body_are_of_the_adapted_features() -> None:
    """NIL on a learner whose stored weights are the adapted ones."""
    learner = learner_of()
    adapted = METHOD.adapt(learner, EPISODE.task)
    with torch.no_grad():
        for name, parameter in learner.named_parameters():
            if name in adapted:
                parameter.copy_(adapted[name][0])
    (score,) = evaluate(NIL(), learner, [EPISODE], seed=0)
    assert accuracies(ReadOuts())["nil, adapted body"] == score.accuracy


def test_a_method_that_does_not_adapt_has_the_unadapted_body_alone() -> None:
    assert not can_adapt(NIL())
    rows = rows_of(ReadOuts(), learner_of(), NIL())
    reasons = {row.condition.partition(", ")[2]: row.reason for row in rows}
    assert reasons["unadapted body"] == ""
    assert reasons["adapted body"].startswith("The method 'nil' adapts nothing")


def test_steps_and_rate_are_the_methods_at_test_time() -> None:
    still = replace(METHOD, test_inner_steps=0)
    assert len(set(accuracies(Freeze(), still).values())) == 1


def test_wrong_parameters_are_named() -> None:
    with pytest.raises(ConfigError, match=r"Freeze\.n_episodes .* 0"):
        Freeze(n_episodes=0)
    with pytest.raises(ConfigError, match=r"ReadOuts\.name"):
        ReadOuts(name="a b")
