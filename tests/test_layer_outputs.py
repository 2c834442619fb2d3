"""Every layer's output under given weights, against Conv4 written out in float64."""

import pytest
import torch

from harness.inner_loop import query_logits
from harness.layer_outputs import function_changes, layer_outputs, paired_outputs
from harness.task_batch import stack
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from plain_inner_loop import reference_outputs
from tiny import tiny_episode, tiny_learner

METHOD = MAML(inner_lr=0.3, test_inner_steps=2)
TASK = tiny_episode(seed=1).task
SPARE = tiny_episode(seed=9, n_query=4).task.query_x


@pytest.mark.parametrize("policy", ["transductive", "support"])
@pytest.mark.parametrize("pooled", [False, True])
def test_outputs_are_those_of_the_network_written_out(policy: str, pooled: bool) -> None:
    network = {"downsample": "max_pool", "readout": "flatten"} if pooled else {}
    learner = tiny_learner(METHOD, batch_norm=policy, **network)
    weights = METHOD.adapt(learner, TASK)
    params = {name: weights[name][0] if name in weights else p for name, p in learner.named_parameters()}
    of = TASK.support_x if policy == "support" else None
    expected = reference_outputs(params, SPARE, TASK.n_way, statistics_of=of, pooled=pooled)
    found = dict(layer_outputs(learner, weights, stack([TASK]), SPARE[None]))
    assert list(found) == list(learner.layers)
    for layer, output in found.items():
        assert torch.allclose(output[0], expected[layer], atol=1e-10), layer


@pytest.mark.parametrize("policy", ["transductive", "support", "running"])
def test_the_heads_output_for_the_queries_is_the_prediction(policy: str) -> None:
    learner = tiny_learner(METHOD, batch_norm=policy)
    weights, batch = METHOD.adapt(learner, TASK), stack([TASK])
    found = dict(layer_outputs(learner, weights, batch, batch.query_x))["head"]
    assert torch.allclose(found, query_logits(learner, weights, batch, training=False), atol=1e-12)


def test_layers_below_the_lowest_adapted_one_are_left_out() -> None:
    learner = tiny_learner(METHOD)
    batch = stack([TASK])
    after = METHOD.adapt(learner, TASK, adapted=frozenset({"conv3", "head"}))
    found = list(paired_outputs(learner, {}, after, batch, SPARE[None]))
    assert [layer for layer, _, _ in found] == ["conv3", "conv4", "head"]
    assert all(not torch.equal(old, new) for _, old, new in found)
    anil = ANIL()
    head = anil.adapt(learner, TASK)
    assert [layer for layer, _, _ in paired_outputs(learner, {}, head, batch, SPARE[None])] == ["head"]


def test_function_changes_are_relative_distances_from_the_first() -> None:
    learner = tiny_learner(METHOD)
    weights = METHOD.adapt(learner, TASK)
    start = {name: p.detach()[None] for name, p in learner.named_parameters() if name in weights}
    new = {name: weights.get(name, p[None])[0] for name, p in learner.named_parameters()}
    before = reference_outputs(dict(learner.named_parameters()), SPARE, 3)
    after = reference_outputs(new, SPARE, 3)
    found = list(function_changes(learner, [start, weights], stack([TASK]), SPARE[None]))
    assert [(place, layer) for place, layer, _ in found] == [(1, layer) for layer in learner.layers]
    for _, layer, change in found:
        expected = (after[layer] - before[layer]).norm() / before[layer].norm()
        assert change.value == pytest.approx(expected.item(), rel=1e-9)
