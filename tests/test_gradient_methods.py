"""Methods that adapt by gradient, each against what it must equal: another method, or a few lines of PyTorch."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.episode import Task
from harness.errors import ConfigError
from harness.inner_loop_method import InnerLoopMethod
from harness.layers import Statistics
from harness.learner import HEAD, Learner
from harness_methods.anil import ANIL
from harness_methods.boil import BOIL
from harness_methods.maml import MAML
from harness_methods.meta_sgd import MetaSGD, RatedLearner
from harness_methods.proto_maml import ProtoMAML
from harness_methods.proto_net import ProtoNet
from harness_methods.zero_head_maml import ZeroHeadMAML
from plain_inner_loop import (
    Params,
    reference_adapted,
    reference_gradients,
    reference_logits,
    reference_outputs,
)
from tiny import tiny_episode, tiny_learner

EPISODES = [tiny_episode(seed=1), tiny_episode(seed=2), tiny_episode(seed=3, n_way=2, n_query=3)]
TASK = EPISODES[0].task


def stored(learner: Learner) -> Params:
    return {name: p.detach().clone() for name, p in learner.named_parameters()}


def gradients(method: InnerLoopMethod, learner: Learner) -> Params:
    learner.zero_grad()
    method.outer_loss(learner, EPISODES).backward()
    return {name: p.grad.clone() for name, p in learner.named_parameters() if p.grad is not None}


def features(params: Params, x: Tensor) -> Tensor:
    return reference_outputs(params, x, 3)["conv4"].mean(dim=(2, 3))


def test_boil_adapts_the_body_as_plain_steps_do_and_leaves_the_head() -> None:
    method = BOIL(inner_steps=2, test_inner_steps=None)
    learner = tiny_learner(method)
    params = stored(learner)
    names = [name for name in params if name.startswith("body") and not name.endswith("norm.bias")]
    expected = reference_adapted(params, TASK, names, 2, 0.5)
    adapted = method.adapt(learner, TASK)
    assert set(adapted) == set(names)
    for name in names:
        assert torch.allclose(adapted[name][0], expected[name], atol=1e-12), name
    assert torch.allclose(
        method.predict(learner, TASK), reference_logits(expected, TASK.query_x, 3), atol=1e-10
    )
    assert gradients(method, learner)["head.weight"].abs().max() > 0


def test_meta_sgd_with_equal_rates_is_maml() -> None:
    maml, meta_sgd = MAML(inner_lr=0.3, inner_steps=2), MetaSGD(inner_steps=2, test_inner_steps=None)
    learner, rated = tiny_learner(maml), tiny_learner(meta_sgd)
    assert isinstance(rated, RatedLearner)
    rated.load_state_dict(learner.state_dict(), strict=False)
    with torch.no_grad():
        for rate in rated.rates:
            rate.fill_(0.3)
    assert rated.layers == learner.layers
    expected, found = gradients(maml, learner), gradients(meta_sgd, rated)
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=1e-12), name
    assert torch.allclose(
        meta_sgd.predict(rated, TASK),
        MAML(inner_lr=0.3, inner_steps=2, test_inner_steps=None).predict(learner, TASK),
    )


def test_meta_sgd_steps_each_number_by_its_own_rate() -> None:
    method = MetaSGD(test_inner_steps=1)
    learner = tiny_learner(method)
    assert isinstance(learner, RatedLearner)
    rates, names = learner.rates_by_name(), list(learner.adaptable(learner.layers))
    params = {name: p for name, p in stored(learner).items() if not name.startswith("rates")}
    slopes = reference_gradients(params, TASK, names)
    adapted = method.adapt(learner, TASK)
    for name in names:
        expected = params[name] - rates[name].detach() * slopes[name]
        assert torch.allclose(adapted[name][0], expected, atol=1e-12), name
        assert rates[name].std() > 1e-3, name


def test_the_gradient_of_meta_sgds_rates_is_that_of_finite_differences() -> None:
    method = MetaSGD()
    learner = tiny_learner(method)
    assert isinstance(learner, RatedLearner)
    found = gradients(method, learner)
    for index in range(len(learner.rates)):
        rate, gradient = learner.rates[index], found[f"rates.{index}"]
        k = int(gradient.abs().argmax())
        losses = []
        for step in (1e-6, -2e-6):
            with torch.no_grad():
                rate.view(-1)[k] += step
            losses.append(method.outer_loss(learner, EPISODES).item())
        with torch.no_grad():
            rate.view(-1)[k] += 1e-6
        assert float(gradient.view(-1)[k]) == pytest.approx(
            (losses[0] - losses[1]) / 2e-6, rel=1e-4, abs=1e-8
        )


def test_meta_sgds_rates_begin_where_they_are_told_to() -> None:
    learner = tiny_learner(MetaSGD(lowest_rate=0.01, highest_rate=0.02))
    assert isinstance(learner, RatedLearner)
    values = torch.cat([rate.detach().flatten() for rate in learner.rates])
    assert 0.01 <= float(values.min()) < float(values.max()) <= 0.02
    assert {name: p.shape for name, p in learner.rates_by_name().items()} == {
        name: p.shape for name, p in learner.adaptable(learner.layers).items()
    }


@pytest.mark.parametrize(
    "wrong", [{"inner_lr": 0.1}, {"test_inner_lr": 0.1}, {"lowest_rate": 0.2}, {"lowest_rate": 0.0}]
)
def test_rates_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"MetaSGD.*lowest_rate"):
        MetaSGD(**wrong)  # type: ignore[arg-type]


def test_one_step_from_a_zero_head_adapts_as_anil_does_from_there() -> None:
    zero = ZeroHeadMAML(inner_lr=0.4, inner_steps=1, test_inner_steps=None)
    anil = ANIL(inner_lr=0.4, inner_steps=1, test_inner_steps=None)
    learner = tiny_learner(zero)
    adapted = zero.adapt(learner, TASK)
    params = stored(learner)
    for name, weight in adapted.items():
        if name.startswith("body"):
            assert torch.equal(weight[0], params[name]), name
    with torch.no_grad():
        for parameter in learner.head.parameters():
            parameter.zero_()
    assert torch.allclose(zero.predict(learner, TASK), anil.predict(learner, TASK), atol=1e-12)
    assert all(
        torch.allclose(adapted[name], weight, atol=1e-12)
        for name, weight in anil.adapt(learner, TASK).items()
    )


def test_the_stored_head_of_a_zero_head_is_not_trained() -> None:
    method = ZeroHeadMAML(inner_steps=2)
    found = gradients(method, tiny_learner(method))
    assert not [name for name in found if name.startswith(HEAD)]
    assert found["body.stages.conv1.conv.weight"].abs().max() > 0


@pytest.mark.parametrize("adapted", [None, frozenset[str]()])
def test_proto_maml_without_steps_is_a_prototypical_network(adapted: frozenset[str] | None) -> None:
    """Its logits are the network's plus ‖f(x)‖², the same for all classes of a query."""
    method = ProtoMAML(inner_lr=0.1, test_inner_steps=0 if adapted is None else 5)
    learner = tiny_learner(method, max_way=5)
    adapting = method.adapt(learner, TASK, adapted=adapted)
    query = learner.features({}, TASK.query_x[None], Statistics("batch"))
    logits = learner.logits(adapting, query, 3)[0]
    expected = ProtoNet().predict(learner, TASK)
    assert torch.allclose(logits.softmax(1), expected.softmax(1), atol=1e-12)
    assert torch.allclose(logits - expected, query[0].square().sum(1, keepdim=True).expand(-1, 3), atol=1e-10)


def prototypes_of(params: Params, task: Task) -> tuple[Tensor, Tensor]:
    known = features(params, task.support_x)
    centres = torch.stack([known[task.support_y == c].mean(0) for c in range(task.n_way)])
    return 2 * centres, -(centres**2).sum(1)


def zeros_of(params: Params, task: Task) -> tuple[Tensor, Tensor]:
    return torch.zeros(task.n_way, params["head.weight"].shape[1]).double(), torch.zeros(task.n_way).double()


def reference_outer_loss(
    params: Params, head_of: Callable[[Params, Task], tuple[Tensor, Tensor]], steps: int, rate: float
) -> Tensor:
    """The outer loss by plain autograd, differentiable in `params`, one task at a time, from a head of its own."""
    losses = []
    body = [name for name in params if name.endswith("conv.weight")]
    for episode in EPISODES:
        task = episode.task
        # Copies, so that an inner step does not differentiate the head's beginning: it takes the head as given.
        own = {name: p.clone() for name, p in params.items()}
        own["head.weight"], own["head.bias"] = (
            p if p.requires_grad else p.requires_grad_() for p in head_of(params, task)
        )
        names = [*body, "head.weight", "head.bias"]
        for _ in range(steps):
            loss = F.cross_entropy(reference_logits(own, task.support_x, task.n_way), task.support_y)
            grads = torch.autograd.grad(loss, [own[name] for name in names], create_graph=True)
            own.update({name: own[name] - rate * g for name, g in zip(names, grads, strict=True)})
        losses.append(F.cross_entropy(reference_logits(own, task.query_x, task.n_way), episode.query_y))
    return torch.stack(losses).mean()


@pytest.mark.parametrize(
    ("method", "head_of"),
    [
        (ProtoMAML(inner_lr=0.1, inner_steps=2), prototypes_of),
        (ZeroHeadMAML(inner_lr=0.4, inner_steps=3), zeros_of),
    ],
    ids=["through its prototypes", "from a zero head"],
)
def test_what_begins_with_a_head_of_its_own_is_differentiated_through_its_steps(
    method: InnerLoopMethod, head_of: Callable[[Params, Task], tuple[Tensor, Tensor]]
) -> None:
    learner = tiny_learner(method)
    params = {name: p.detach().clone().requires_grad_() for name, p in learner.named_parameters()}
    loss = reference_outer_loss(params, head_of, method.inner_steps, method.inner_lr)
    assert method.outer_loss(learner, EPISODES).item() == pytest.approx(loss.item(), abs=1e-12)
    names = [name for name in params if name.startswith("body")]
    expected = dict(zip(names, torch.autograd.grad(loss, [params[name] for name in names]), strict=True))
    found = gradients(method, learner)
    assert set(found) == set(names)
    for name in names:
        assert torch.allclose(found[name], expected[name], atol=1e-9), name
        assert found[name].abs().max() > 1e-5, name
