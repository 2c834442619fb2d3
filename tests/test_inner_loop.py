"""The meta-gradient against float64 references that share no code with the inner loop."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from harness.episode import Episode, Task
from harness.errors import ConfigError
from harness.inner_loop import adapt
from harness.inner_loop_method import InnerLoopMethod
from harness.learner import HEAD, Learner
from harness.task_batch import stack
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from plain_inner_loop import Params, reference_adapted, reference_logits
from tiny import tiny_episode, tiny_learner

EPISODES = [tiny_episode(seed=1), tiny_episode(seed=2), tiny_episode(seed=3, n_way=2, n_query=3)]


def reference_loss(
    params: Params,
    episodes: list[Episode],
    names: list[str],
    method: InnerLoopMethod,
    *,
    by_support: bool = False,
    pooled: bool = False,
) -> float:
    """The outer loss after plain inner steps. `by_support`: the support set normalises the queries."""
    losses = []
    for episode in episodes:
        task = episode.task
        adapted = reference_adapted(params, task, names, method.inner_steps, method.inner_lr, pooled=pooled)
        of = task.support_x if by_support else None
        logits = reference_logits(adapted, task.query_x, task.n_way, statistics_of=of, pooled=pooled)
        losses.append(float(F.cross_entropy(logits, episode.query_y)))
    return sum(losses) / len(losses)


def finite_differences(f: Callable[[Params], float], params: Params, step: float = 1e-6) -> Params:
    """Central differences of `f` in up to eight elements of each parameter; nan for the others."""
    generator = torch.Generator().manual_seed(0)
    gradient = {}
    for name, parameter in params.items():
        grad = torch.full_like(parameter, torch.nan)
        for i in torch.randperm(parameter.numel(), generator=generator)[:8].tolist():
            values = []
            for sign in (1, -1):
                moved = parameter.clone()
                moved.view(-1)[i] += sign * step
                values.append(f({**params, name: moved}))
            grad.view(-1)[i] = (values[0] - values[1]) / (2 * step)
        gradient[name] = grad
    return gradient


def assert_agree(gradient: Params, expected: Params) -> None:
    """Equal wherever the reference was computed, which is somewhere in every parameter."""
    for name, reference in expected.items():
        known = ~reference.isnan()
        assert known.any(), name
        assert torch.allclose(gradient[name][known], reference[known], atol=2e-7, rtol=1e-5), name


def stored(learner: Learner) -> Params:
    return {name: p.detach().clone().contiguous() for name, p in learner.named_parameters()}


def outer_gradient(
    method: InnerLoopMethod, learner: Learner, episodes: list[Episode]
) -> tuple[float, Params]:
    learner.zero_grad()
    loss = method.outer_loss(learner, episodes)
    loss.backward()
    grads = {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in learner.named_parameters()
    }
    return loss.item(), grads


POOLED = {"downsample": "max_pool", "readout": "flatten"}


@pytest.mark.parametrize(
    ("method", "network"),
    [
        (MAML(inner_lr=0.3, inner_steps=2), {}),
        (ANIL(inner_lr=0.7, inner_steps=3), {}),
        (MAML(inner_lr=0.3, inner_steps=2), {"batch_norm": "support"}),
        (ANIL(inner_lr=0.7, inner_steps=3), {"batch_norm": "support"}),
        (MAML(inner_lr=0.3, inner_steps=2), POOLED),
    ],
)
def test_second_order_gradient_equals_finite_differences(
    method: InnerLoopMethod, network: dict[str, object]
) -> None:
    learner = tiny_learner(method, **network)
    names = list(learner.adaptable(method.adapted_layers(learner)))
    loss, gradient = outer_gradient(method, learner, EPISODES)
    by_support, pooled = network.get("batch_norm") == "support", network is POOLED

    def objective(params: Params) -> float:
        return reference_loss(params, EPISODES, names, method, by_support=by_support, pooled=pooled)

    params = stored(learner)
    assert loss == pytest.approx(objective(params), abs=1e-12)
    assert_agree(gradient, finite_differences(objective, params))


@pytest.mark.parametrize("policy", ["transductive", "support", "running"])
@pytest.mark.parametrize("method", [MAML(inner_lr=0.3, inner_steps=2), ANIL(inner_lr=0.7, inner_steps=3)])
def test_tasks_side_by_side_have_the_gradient_that_each_has_alone(
    method: InnerLoopMethod, policy: str
) -> None:
    learner = tiny_learner(method, batch_norm=policy)
    episodes = EPISODES[:2]
    assert learner.tasks_at_once(episodes[0].task) >= 2
    fresh = {name: value.clone() for name, value in learner.state_dict().items()}
    # Running averages are taken from task to task, so each alone begins where the other left them: keep them still.
    alone = []
    for episode in episodes:
        learner.zero_grad()
        learner.load_state_dict(fresh)
        method.outer_loss(learner, [episode]).backward()
        alone.append(gradients_of(learner))
    learner.zero_grad()
    learner.load_state_dict(fresh)
    method.outer_loss(learner, episodes).backward()
    for name, gradient in gradients_of(learner).items():
        assert torch.allclose(gradient, (alone[0][name] + alone[1][name]) / 2, atol=1e-9), name
    together = method.predict_batch(learner, [episode.task for episode in episodes])
    for logits, episode in zip(together, episodes, strict=True):
        assert torch.allclose(logits, method.predict(learner, episode.task), atol=1e-9)


def gradients_of(learner: Learner) -> Params:
    return {name: p.grad.clone() for name, p in learner.named_parameters() if p.grad is not None}


def test_first_order_gradient_is_the_query_gradient_at_the_adapted_weights() -> None:
    method = MAML(inner_lr=0.3, inner_steps=2, first_order=True)
    learner = tiny_learner(method)
    names = list(learner.adaptable(method.adapted_layers(learner)))
    params = stored(learner)
    expected = {name: torch.zeros_like(p) for name, p in params.items()}
    for episode in EPISODES:
        task = episode.task
        adapted = reference_adapted(params, task, names, method.inner_steps, method.inner_lr)
        grads = finite_differences(
            lambda p, t=task, e=episode: float(
                F.cross_entropy(reference_logits(p, t.query_x, t.n_way), e.query_y)
            ),
            adapted,
        )
        for name, grad in grads.items():
            expected[name] += grad / len(EPISODES)
    _, gradient = outer_gradient(method, learner, EPISODES)
    assert_agree(gradient, expected)


def test_first_order_differs_from_second_order() -> None:
    learner = tiny_learner(MAML())
    _, second = outer_gradient(MAML(inner_lr=0.3, inner_steps=2), learner, EPISODES)
    _, first = outer_gradient(MAML(inner_lr=0.3, inner_steps=2, first_order=True), learner, EPISODES)
    assert not torch.allclose(second["body.stages.conv1.conv.weight"], first["body.stages.conv1.conv.weight"])


def test_anil_is_maml_with_the_body_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against MAML's whole inner loop, which runs the body in every step, with the body's gradients zeroed."""
    settings = {"inner_lr": 0.5, "inner_steps": 3, "test_inner_steps": 3}
    anil, maml = ANIL(**settings), MAML(**settings)
    learner = tiny_learner(anil)
    task = EPISODES[0].task
    heads = [name for name in stored(learner) if name.startswith("head.")]
    adapted = anil.adapt(learner, task)
    assert set(adapted) == set(heads)
    expected, expected_gradient = outer_gradient(anil, learner, EPISODES)

    differentiate = torch.autograd.grad

    def freeze(loss: torch.Tensor, inputs: list[torch.Tensor], **options: bool) -> tuple[torch.Tensor, ...]:
        grads = differentiate(loss, inputs, **options)
        convolution = 5  # dimensions of a convolution's weights, one a task
        return tuple(torch.zeros_like(g) if g.ndim == convolution else g for g in grads)

    monkeypatch.setattr(torch.autograd, "grad", freeze)
    by_maml = maml.adapt(learner, task)
    for name in heads:
        assert torch.allclose(adapted[name], by_maml[name], atol=1e-12)
    loss, gradient = outer_gradient(maml, learner, EPISODES)
    assert loss == pytest.approx(expected, abs=1e-12)
    for name, value in expected_gradient.items():
        assert torch.allclose(gradient[name], value, atol=1e-12), name


@pytest.mark.parametrize("layers", [{"conv3", "head"}, {"conv1"}, {"conv2", "conv4"}, {"head"}])
def test_a_mask_changes_its_layers_and_no_others(layers: set[str]) -> None:
    """Running the frozen lower stages once gives what running them in every step gives."""
    method = MAML(inner_lr=0.4, test_inner_steps=3)
    learner = tiny_learner(method)
    task = EPISODES[0].task
    names = list(learner.adaptable(layers))
    assert names
    assert {n.split(".")[2] if n.startswith("body") else HEAD for n in names} == layers
    adapted = method.adapt(learner, task, adapted=frozenset(layers))
    expected = reference_adapted(stored(learner), task, names, 3, 0.4)
    for name in names:
        assert torch.allclose(adapted[name][0], expected[name], atol=1e-12), name


def test_adaptation_keeps_tasks_apart() -> None:
    """Each task of a batch ends where it would have ended alone."""
    method = MAML(inner_lr=0.4, inner_steps=2)
    learner = tiny_learner(method)
    tasks = [EPISODES[0].task, EPISODES[1].task]
    mask = method.adapted_layers(learner)

    def adapted(chosen: list[Task]) -> dict[str, torch.Tensor]:
        return dict(adapt(learner, stack(chosen), mask, steps=2, rate=0.4, graph=False, training=False))

    together = adapted(tasks)
    for t, task in enumerate(tasks):
        alone = adapted([task])
        for name, value in together.items():
            assert torch.allclose(value[t], alone[name][0], atol=1e-13)


def test_batch_norm_is_never_adapted() -> None:
    learner = tiny_learner(MAML(), batch_norm_scale=True)
    assert not [name for name in learner.adaptable(frozenset(learner.layers)) if "norm" in name]


def test_inner_gradients_are_clipped_element_by_element() -> None:
    method = MAML(inner_lr=1.0, test_inner_steps=1, inner_gradient_clip=0.01)
    learner = tiny_learner(method)
    moved = method.adapt(learner, EPISODES[0].task)
    for name, value in moved.items():
        assert (value[0] - dict(learner.named_parameters())[name]).abs().max() <= 0.01 + 1e-12


def test_test_time_steps_and_rate_are_their_own() -> None:
    method = ANIL(inner_lr=0.5, inner_steps=1, test_inner_lr=0.1, test_inner_steps=4)
    learner = tiny_learner(method)
    task = EPISODES[0].task
    heads = ["head.weight", "head.bias"]
    expected = reference_adapted(stored(learner), task, heads, 4, 0.1)
    adapted = method.adapt(learner, task)
    assert torch.allclose(adapted["head.weight"][0], expected["head.weight"], atol=1e-12)
    assert replace(method, test_inner_steps=None).adaptation_steps == 1


def test_zero_steps_leave_the_weights_as_they_are() -> None:
    method = MAML(test_inner_steps=0)
    learner = tiny_learner(method)
    for name, value in method.adapt(learner, EPISODES[0].task).items():
        assert torch.equal(value[0], dict(learner.named_parameters())[name])


def test_an_empty_mask_adapts_nothing() -> None:
    method = MAML(test_inner_steps=3)
    assert method.adapt(tiny_learner(method), EPISODES[0].task, adapted=frozenset()) == {}


def test_unknown_layers_are_refused() -> None:
    learner = tiny_learner(MAML())
    with pytest.raises(ValueError, match="conv9"):
        learner.adaptable({"conv9"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inner_steps", -1),
        ("inner_steps", 1.5),
        ("inner_lr", 0),
        ("inner_lr", "fast"),
        ("test_inner_steps", True),
    ],
)
def test_wrong_hyperparameters_are_named(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"MAML\.{field} .*{value!r}"):
        MAML(**{field: value})  # type: ignore[arg-type]


def test_layers_without_parameters_adapt_to_nothing() -> None:
    method = MAML(test_inner_steps=3)
    learner = tiny_learner(method)
    learner.body.stages["flat"] = Flat()
    assert method.adapt(learner, EPISODES[0].task, adapted=frozenset({"flat"})) == {}


class Flat(torch.nn.Module):
    """A stage that changes nothing."""

    def forward(self, x: torch.Tensor, statistics: object) -> torch.Tensor:
        return x
