"""Methods with an outer update of their own: iMAML's implicit gradient, MAML++'s loss by step."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.episode import Task
from harness.errors import ConfigError
from harness.inner_loop_method import InnerLoopMethod
from harness.learner import HEAD, LayerMask, Learner, layer_of
from harness.surrogate import with_gradient
from harness.task_batch import stack
from harness_methods.fo_maml import FOMAML
from harness_methods.imaml import IMAML, conjugate_gradients
from harness_methods.maml import MAML
from harness_methods.maml_pp import MAMLPlusPlus, SteppedLearner, step_weights
from harness_methods.reptile import Reptile
from plain_inner_loop import Params, reference_adapted, reference_gradients, reference_logits
from tiny import tiny_episode, tiny_learner

EPISODES = [tiny_episode(seed=1), tiny_episode(seed=2), tiny_episode(seed=3, n_way=2, n_query=3)]


def stored(learner: Learner) -> Params:
    return {name: p.detach().clone() for name, p in learner.named_parameters()}


def adaptable(learner: Learner) -> list[str]:
    return list(learner.adaptable(learner.layers))


def outer(method: InnerLoopMethod, learner: Learner, seed: int = 0) -> tuple[float, Params]:
    learner.zero_grad()
    torch.manual_seed(seed)
    loss = method.outer_loss(learner, EPISODES)
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in learner.named_parameters() if p.grad is not None}


def test_a_surrogate_has_the_value_and_the_gradient_it_is_given() -> None:
    a, b = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3, 2))
    given = {a: torch.tensor([3.0, -1.0]), b: torch.arange(6.0).view(3, 2)}
    loss = with_gradient(torch.tensor(7.0), given)
    assert loss.item() == 7
    loss.backward()
    assert all(torch.equal(p.grad, gradient) for p, gradient in given.items())


def test_conjugate_gradients_solve_each_task() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(2, 6, 6, generator=generator, dtype=torch.float64)
    matrix = root @ root.mT + torch.eye(6)
    b = torch.randn(2, 6, generator=generator, dtype=torch.float64)

    def product(v: dict[str, Tensor]) -> dict[str, Tensor]:
        both = (matrix @ torch.cat([v["a"], v["b"].flatten(1)], dim=1)[..., None]).squeeze(-1)
        return {"a": both[:, :2], "b": both[:, 2:].view(2, 2, 2)}

    found = conjugate_gradients(product, {"a": b[:, :2], "b": b[:, 2:].view(2, 2, 2)}, 6)
    expected = torch.linalg.solve(matrix, b)
    assert torch.allclose(torch.cat([found["a"], found["b"].flatten(1)], dim=1), expected, atol=1e-9)
    nothing = {"a": torch.zeros(2, 2).double(), "b": torch.zeros(2, 2, 2).double()}
    assert conjugate_gradients(product, nothing, 3)["a"].tolist() == [[0.0, 0.0]] * 2


class HeadOnly(IMAML):
    """iMAML of the head: a smooth and convex inner problem, which steps can solve to the last digit."""

    def adapted_layers(self, learner: Learner) -> LayerMask:
        return frozenset({HEAD})


SOLVED = HeadOnly(inner_lr=0.2, inner_steps=400, proximal=0.5, cg_steps=30)


def test_imamls_inner_loop_ends_where_loss_and_pull_balance() -> None:
    learner = tiny_learner(SOLVED)
    params, names = stored(learner), ["head.weight", "head.bias"]
    found = {name: w[0] for name, w in SOLVED.adapt(learner, EPISODES[0].task).items()}
    slopes = reference_gradients({**params, **found}, EPISODES[0].task, names)
    for name in names:
        assert torch.allclose(slopes[name], -0.5 * (found[name] - params[name]), atol=1e-12), name
        assert slopes[name].abs().max() > 1e-2


def test_imamls_gradient_is_that_of_the_solved_inner_problem() -> None:
    """Against finite differences of the query loss at solutions that are found anew, also of what does not adapt."""
    learner = tiny_learner(SOLVED)
    _, found = outer(SOLVED, learner)
    left_alone = [
        name for name in found if name.startswith("body") and name.endswith(("conv.weight", "norm.bias"))
    ]
    assert len(left_alone) == 2 * 4
    for name in ("head.weight", "head.bias", *left_alone):
        parameter, gradient = learner.get_parameter(name), found[name]
        wanted = gradient if name.startswith("head") else gradient.abs() == gradient.abs().max()
        for place in [tuple(each) for each in torch.nonzero(wanted).tolist()]:
            values = []
            with torch.no_grad():
                for step in (1e-5, -2e-5):
                    parameter[place] += step
                    with torch.enable_grad():
                        values.append(SOLVED.outer_loss(learner, EPISODES).item())
                parameter[place] += 1e-5
            assert float(gradient[place]) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(("released", "own", "pull"), [(False, 1.0, 4.0), (True, 2.0, 14.0)])
def test_imamls_curvature_is_that_of_the_support_loss(released: bool, own: float, pull: float) -> None:
    """v -> v + Hv / λ against differences of plain gradients, for all layers and two tasks side by side."""
    method = IMAML(inner_lr=0.05, inner_steps=2, proximal=4.0, released=released)
    learner = tiny_learner(method)
    names, tasks = adaptable(learner), [e.task for e in EPISODES[:2]]
    batch = stack(tasks)
    weights = {name: w.requires_grad_() for name, w in method._solved(learner, batch).items()}
    generator = torch.Generator().manual_seed(0)
    v = {name: torch.randn(w.shape, generator=generator, dtype=torch.float64) for name, w in weights.items()}
    product = method._curvature(weights, method._support_slopes(learner, batch, weights))(v)
    for t, task in enumerate(tasks):
        ends = []
        for step in (1e-6, -1e-6):
            moved = {name: (w[t] + step * v[name][t]).detach() for name, w in weights.items()}
            ends.append(reference_gradients({**stored(learner), **moved}, task, names))
        for name in names:
            expected = own * v[name][t] + (ends[0][name] - ends[1][name]) / 2e-6 / pull
            assert torch.allclose(product[name][t], expected, atol=1e-5), name


def test_imaml_as_released_pulls_once_after_its_steps_and_not_at_test() -> None:
    settings = {"inner_lr": 0.05, "inner_steps": 3, "test_inner_steps": None}
    method, plain = IMAML(**settings, proximal=4.0, released=True), MAML(**settings)
    learner, batch = tiny_learner(method), stack([EPISODES[0].task])
    params, there = stored(learner), plain.adapt(learner, EPISODES[0].task)
    for name, weight in method.adapt(learner, EPISODES[0].task).items():
        assert torch.equal(weight, there[name]), name
    for name, weight in method._solved(learner, batch).items():
        pulled = there[name] - 0.05 * 4.0 * (there[name] - params[name])
        assert torch.allclose(weight, pulled, atol=1e-14), name
        assert not torch.allclose(weight, there[name], atol=1e-4), name


def reference_hessian(params: Params, task: Task, names: list[str]) -> Tensor:
    """Of the support loss by the parameters `names`, flat, one after another: by differences of plain gradients."""
    sizes = [params[name].numel() for name in names]
    columns = []
    for direction in torch.eye(sum(sizes), dtype=torch.float64):
        along = dict(zip(names, direction.split(sizes), strict=True))
        sides = []
        for step in (1e-5, -1e-5):
            moved = {name: params[name] + step * part.view_as(params[name]) for name, part in along.items()}
            slopes = reference_gradients({**params, **moved}, task, names)
            sides.append(torch.cat([slopes[name].flatten() for name in names]))
        columns.append((sides[0] - sides[1]) / 2e-5)
    return torch.stack(columns, dim=1)


def test_imamls_gradient_as_released_is_damped_and_plain_where_nothing_adapts() -> None:
    """(2 I + H / (λ + 10))⁻¹ ∇L_Q(φ) by a dense solve, task by task."""
    steps = {"inner_lr": 0.05, "inner_steps": 3, "test_inner_steps": None}
    method = HeadOnly(**steps, proximal=4.0, cg_steps=60, released=True)
    learner = tiny_learner(method)
    head, params = ["head.weight", "head.bias"], stored(learner)
    sizes = [params[name].numel() for name in head]
    _, found = outer(method, learner)
    expected = {name: torch.zeros_like(p) for name, p in params.items()}
    for episode in EPISODES:
        ends = {name: w[0] for name, w in method.adapt(learner, episode.task).items()}
        solved = {**params, **{name: params[name] + 0.8 * (w - params[name]) for name, w in ends.items()}}
        queries = replace(episode.task, support_x=episode.task.query_x, support_y=episode.query_y)
        slopes = reference_gradients(solved, queries, list(params))
        system = 2 * torch.eye(sum(sizes)) + reference_hessian(solved, episode.task, head) / 14
        damped = torch.linalg.solve(system, torch.cat([slopes[name].flatten() for name in head]))
        slopes |= zip(head, damped.split(sizes), strict=True)
        for name, total in expected.items():
            total += slopes[name].view_as(total) / len(EPISODES)
    assert {*head, "body.stages.conv1.conv.weight"} < set(found)
    for name, gradient in found.items():
        assert torch.allclose(gradient, expected[name], atol=1e-8), name
        assert gradient.abs().max() > 1e-4, name


def test_without_conjugate_gradients_imaml_takes_the_query_gradient() -> None:
    """Where the steps end, and not back through them: by plain gradients, task by task."""
    method = IMAML(inner_lr=0.05, inner_steps=3, test_inner_steps=None, cg_steps=0)
    learner = tiny_learner(method)
    _, found = outer(method, learner)
    expected = {name: torch.zeros_like(found[name]) for name in adaptable(learner)}
    for episode in EPISODES:
        ends = {name: w[0] for name, w in method.adapt(learner, episode.task).items()}
        queries = replace(episode.task, support_x=episode.task.query_x, support_y=episode.query_y)
        slopes = reference_gradients({**stored(learner), **ends}, queries, list(expected))
        for name, slope in slopes.items():
            expected[name] += slope / len(EPISODES)
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=1e-12), name
        assert gradient.abs().max() > 1e-4, name


def test_first_order_maml_is_maml_with_the_switch() -> None:
    learner = tiny_learner(MAML())
    assert outer(FOMAML(inner_lr=0.2), learner)[1].keys() == outer(MAML(inner_lr=0.2), learner)[1].keys()
    expected = outer(MAML(inner_lr=0.2, first_order=True), learner)
    value, gradient = outer(FOMAML(inner_lr=0.2), learner)
    assert value == expected[0]
    assert all(torch.equal(gradient[name], expected[1][name]) for name in gradient)


def test_the_weights_of_steps_go_from_equal_to_the_last_alone() -> None:
    assert step_weights(4, 0, 100) == [0.25] * 4
    assert step_weights(4, 50, 100) == [0.125, 0.125, 0.125, 0.625]
    assert step_weights(4, 100, 100) == [0.0, 0.0, 0.0, 1.0]
    assert step_weights(4, 7, 0) == [0.0, 0.0, 0.0, 1.0]
    assert sum(step_weights(3, 17, 90)) == pytest.approx(1)


def test_maml_pp_without_its_changes_is_maml() -> None:
    method = MAMLPlusPlus(inner_lr=0.25, inner_steps=2, multi_step_updates=0)
    learner = tiny_learner(method)
    plain = tiny_learner(MAML())
    plain.load_state_dict({name: v for name, v in learner.state_dict().items() if name in plain.state_dict()})
    value, found = outer(method, learner)
    expected, gradient = outer(MAML(inner_lr=0.25, inner_steps=2), plain)
    assert value == pytest.approx(expected, abs=1e-12)
    for name, slope in gradient.items():
        assert torch.allclose(found[name], slope, atol=1e-12), name
    task = EPISODES[0].task
    longer = MAML(inner_lr=0.25, inner_steps=2, test_inner_steps=4)
    more = MAMLPlusPlus(inner_lr=0.25, inner_steps=2, test_inner_steps=4)
    assert torch.allclose(more.predict(learner, task), longer.predict(plain, task), atol=1e-12)


def test_maml_pp_weighs_the_loss_after_each_step() -> None:
    method = MAMLPlusPlus(inner_lr=0.25, inner_steps=2, multi_step_updates=10)
    learner = tiny_learner(method).train()
    assert isinstance(learner, SteppedLearner)
    params, names = stored(learner), adaptable(learner)
    del params["rates"]
    after = []
    for steps in (1, 2):
        own = [reference_adapted(params, e.task, names, steps, 0.25) for e in EPISODES]
        losses = [
            F.cross_entropy(reference_logits(w, e.task.query_x, e.task.n_way), e.query_y)
            for w, e in zip(own, EPISODES, strict=True)
        ]
        after.append(float(torch.stack(losses).mean()))
    for update in range(3):
        shares = step_weights(2, update, 10)
        value = outer(method, learner)[0]
        assert value == pytest.approx(shares[0] * after[0] + shares[1] * after[1], abs=1e-10)
        assert int(learner.updates) == update + 1


def test_maml_pp_steps_each_layer_by_its_own_rate_of_the_step_and_then_by_the_last() -> None:
    """By hand: rates that are all unlike, so that none can stand for another."""
    method = MAMLPlusPlus(inner_lr=0.25, inner_steps=2, test_inner_steps=3, multi_step_updates=10)
    learner = tiny_learner(method).train()
    assert isinstance(learner, SteppedLearner)
    with torch.no_grad():
        learner.rates.copy_(0.05 * (1 + torch.arange(learner.rates.numel())).view_as(learner.rates))
    params, names = stored(learner), adaptable(learner)
    rates = params.pop("rates")
    losses = []
    for episode in EPISODES:
        weights, own = params, []
        for step in range(3):
            slopes = reference_gradients(weights, episode.task, names)
            scale = {name: rates[min(step, 1), learner.layers.index(layer_of(name))] for name in names}
            weights = {**weights, **{name: weights[name] - scale[name] * slopes[name] for name in names}}
            logits = reference_logits(weights, episode.task.query_x, episode.task.n_way)
            own.append(float(F.cross_entropy(logits, episode.query_y)))
        adapted = method.adapt(learner, episode.task)
        assert all(torch.allclose(adapted[name][0], weights[name], atol=1e-10) for name in names)
        losses.append(own[:2])
    means = torch.tensor(losses, dtype=torch.float64).mean(0)
    learner.updates.fill_(5)
    assert outer(method, learner)[0] == pytest.approx(float(0.25 * means[0] + 0.75 * means[1]), abs=1e-10)


def test_the_gradient_of_maml_pps_rates_is_that_of_finite_differences() -> None:
    method = MAMLPlusPlus(inner_lr=0.25, inner_steps=2, multi_step_updates=10)
    learner = tiny_learner(method).eval()
    assert isinstance(learner, SteppedLearner)
    gradient = outer(method, learner)[1]["rates"]
    assert gradient.shape == (2, len(learner.layers))
    for place in ((0, 0), (0, 4), (1, 2)):
        values = []
        with torch.no_grad():
            for step in (1e-6, -2e-6):
                learner.rates[place] += step
                with torch.enable_grad():
                    values.append(method.outer_loss(learner, EPISODES).item())
            learner.rates[place] += 1e-6
        assert float(gradient[place]) == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-8)
    assert int(learner.updates) == 0


def test_settings_without_a_meaning_are_refused() -> None:
    with pytest.raises(ConfigError, match="leave test_inner_lr alone"):
        MAMLPlusPlus(test_inner_lr=0.1)
    with pytest.raises(ConfigError, match=r"IMAML\.proximal"):
        IMAML(proximal=0.0)
    for method in (IMAML, Reptile):
        with pytest.raises(ConfigError, match=f"{method.__name__} does not .* first_order means nothing"):
            method(first_order=True)
