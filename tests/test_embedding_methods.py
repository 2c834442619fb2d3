"""Methods that compare embeddings, each against its paper's formula in a few lines of float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.embedding_method import EmbeddingMethod
from harness.errors import ConfigError
from harness.learner import Learner
from harness_methods.matching_net import ContextLearner, MatchingNet
from harness_methods.nil import NIL
from harness_methods.proto_net import ProtoNet
from harness_methods.r2d2 import R2D2, RidgeLearner
from plain_inner_loop import reference_outputs
from tiny import tiny_episode, tiny_learner

EPISODES = [tiny_episode(seed=1), tiny_episode(seed=2), tiny_episode(seed=3, n_way=2, n_query=3)]
TASK = EPISODES[0].task
METHODS = [ProtoNet(), MatchingNet(), MatchingNet(full_context=True), R2D2()]


def embeddings(learner: Learner) -> tuple[Tensor, Tensor]:
    params = dict(learner.named_parameters())
    return tuple(
        reference_outputs(params, x, 3)["conv4"].mean(dim=(2, 3)).detach()
        for x in (TASK.support_x, TASK.query_x)
    )  # type: ignore[return-value]


def test_prototypes_are_class_means_and_distances_are_squared() -> None:
    learner = tiny_learner(ProtoNet())
    support, query = embeddings(learner)
    expected = torch.tensor(
        [[-float(((q - support[TASK.support_y == c].mean(0)) ** 2).sum()) for c in range(3)] for q in query]
    )
    assert torch.allclose(ProtoNet().predict(learner, TASK), expected.double(), atol=1e-6)


@pytest.mark.parametrize("exact", [True, False])
def test_matching_networks_share_the_attention_over_the_labels(exact: bool) -> None:
    method = MatchingNet(exact_cosine_distance=exact)
    learner = tiny_learner(method)
    support, query = embeddings(learner)
    cosines = torch.stack([F.cosine_similarity(q[None], support) for q in query])
    similar = cosines if exact else cosines * query.norm(dim=1)[:, None]
    attention = similar.exp() / similar.exp().sum(1, keepdim=True)
    shares = torch.stack([attention[:, TASK.support_y == c].sum(1) for c in range(3)], dim=1)
    found = method.predict(learner, TASK)
    assert torch.allclose(found.exp(), shares, atol=1e-10)


def test_nil_is_the_same_read_out_without_the_softmax() -> None:
    learner = tiny_learner(MatchingNet())
    support, query = embeddings(learner)
    cosines = torch.stack([F.cosine_similarity(q[None], support) for q in query])
    summed = torch.stack([cosines[:, TASK.support_y == c].sum(1) for c in range(3)], dim=1)
    assert torch.allclose(NIL().predict(learner, TASK), summed, atol=1e-10)


def test_full_context_embeddings_follow_the_appendix() -> None:
    """One query at a time, gate by gate."""
    method = MatchingNet(full_context=True, reads=3)
    learner = tiny_learner(method)
    assert isinstance(learner, ContextLearner)
    support, query = embeddings(learner)
    lstm, cell = learner.support_context, learner.query_context

    def gates(x: Tensor, h: Tensor, c: Tensor, weights: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        w_x, w_h, b_x, b_h = weights
        i, f, g, o = (w_x @ x + b_x + w_h @ h + b_h).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    def run(sequence: Tensor, suffix: str) -> list[Tensor]:
        names = (f"{kind}_l0{suffix}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        weights = tuple(getattr(lstm, name) for name in names)
        h = c = torch.zeros(support.shape[1], dtype=torch.float64)
        found = []
        for x in sequence:
            h, c = gates(x, h, c, weights)
            found.append(h)
        return found

    forward, backward = run(support, ""), run(support.flip(0), "_reverse")[::-1]
    g = torch.stack([x + a + b for x, a, b in zip(support, forward, backward, strict=True)])
    weights = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
    rows = []
    for x in query:
        h = c = torch.zeros_like(x)
        for _ in range(3):
            r = (g @ h).softmax(0) @ g
            out, c = gates(torch.cat([x, r]), h, c, weights)
            h = out + x
        attention = F.cosine_similarity(h[None], g).softmax(0)
        rows.append(torch.stack([attention[TASK.support_y == k].sum() for k in range(3)]))
    assert torch.allclose(method.predict(learner, TASK).exp(), torch.stack(rows), atol=1e-10)


def test_ridge_regression_is_that_of_the_normal_equations() -> None:
    method = R2D2(penalty=0.3)
    learner = tiny_learner(method)
    assert isinstance(learner, RidgeLearner)
    with torch.no_grad():
        learner.log_scale.fill_(0.7)
        learner.shift.fill_(-0.2)
    x, asked = (torch.cat([each, torch.ones(len(each), 1).double()], dim=1) for each in embeddings(learner))
    y = F.one_hot(TASK.support_y, 3).double()
    w = torch.linalg.inv(x.T @ x + 0.3 * torch.eye(x.shape[1])) @ x.T @ y
    expected = torch.tensor(0.7).double().exp() * asked @ w - 0.2
    assert torch.allclose(method.predict(learner, TASK), expected, atol=1e-6)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.name}-{getattr(m, 'full_context', '')}")
def test_the_outer_gradient_is_that_of_finite_differences(method: EmbeddingMethod) -> None:
    learner = tiny_learner(method)
    method.outer_loss(learner, EPISODES).backward()
    reached = {name: p.grad for name, p in learner.named_parameters() if p.grad is not None}
    assert not [name for name in reached if name.startswith("head")]
    for name, gradient in reached.items():
        parameter = learner.get_parameter(name)
        place = tuple(int(i) for i in torch.unravel_index(gradient.abs().argmax(), gradient.shape))
        losses = []
        with torch.no_grad():
            for step in (1e-6, -2e-6):
                parameter[place] += step
                losses.append(method.outer_loss(learner, EPISODES).item())
            parameter[place] += 1e-6
        assert float(gradient[place]) == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-3, abs=1e-8)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"MatchingNet\.reads"):
        MatchingNet(reads=0)
    with pytest.raises(ConfigError, match=r"R2D2\.penalty"):
        R2D2(penalty=0.0)
