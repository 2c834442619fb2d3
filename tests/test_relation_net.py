"""The Relation Network against its formula in plain PyTorch."""

import pytest
import torch
import torch.nn.functional as F

from harness.errors import ConfigError
from harness_methods.relation_net import RelationLearner, RelationNet
from plain_inner_loop import reference_outputs
from tiny import tiny_episode, tiny_learner

EPISODES = [tiny_episode(seed=1), tiny_episode(seed=2), tiny_episode(seed=3, n_way=2, n_query=3)]
METHOD = RelationNet(filters=4, hidden=3)
OF_MEANS = RelationNet(filters=4, hidden=3, class_map="mean")


def block(x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    x = F.relu(
        F.batch_norm(F.conv2d(x, weight, padding=1), None, None, scale, offset, training=True, eps=1e-5)
    )
    return F.max_pool2d(x, 2) if min(x.shape[2:]) > 1 else x


@pytest.mark.parametrize("method", [METHOD, OF_MEANS], ids=lambda m: m.class_map)
@pytest.mark.parametrize("size", [16, 32])
def test_scores_follow_the_paper(size: int, method: RelationNet) -> None:
    """One task; its maps have one position (16 pixels) or four. A class has two images."""
    learner = tiny_learner(method, size=size)
    assert isinstance(learner, RelationLearner)
    task = tiny_episode(seed=1, size=size).task
    p = {name: value.detach() for name, value in learner.named_parameters()}
    support, query = (reference_outputs(p, x, 3)["conv4"] for x in (task.support_x, task.query_x))
    assert support.shape[2] == size // 16
    assert task.support_y.bincount().tolist() == [2, 2, 2]
    fold = getattr(torch, method.class_map)
    pairs = [torch.cat([fold(support[task.support_y == k], 0), q]) for q in query for k in range(3)]
    x = torch.stack(pairs)
    for i in (1, 2):
        x = block(x, *(p[f"block{i}.{name}"] for name in ("conv.weight", "norm.weight", "norm.bias")))
    x = F.linear(
        F.relu(F.linear(x.mean(dim=(2, 3)), p["first.weight"], p["first.bias"])),
        p["second.weight"],
        p["second.bias"],
    )
    assert torch.allclose(method.predict(learner, task), x.sigmoid().view(len(query), 3), atol=1e-10)


def test_the_loss_is_the_squared_error_of_the_scores() -> None:
    learner = tiny_learner(METHOD)
    losses = []
    for episode in EPISODES:
        targets = F.one_hot(episode.query_y, episode.task.n_way)
        losses.append(float(((METHOD.predict(learner, episode.task) - targets) ** 2).mean()))
    assert METHOD.outer_loss(learner, EPISODES).item() == pytest.approx(sum(losses) / 3, abs=1e-12)


@pytest.mark.parametrize("policy", ["support", "running"])
def test_queries_do_not_inform_each_other_where_the_policy_says_so(policy: str) -> None:
    learner = tiny_learner(METHOD, batch_norm=policy)
    task = EPISODES[0].task
    whole = METHOD.predict(learner, task)
    first = METHOD.predict(learner, type(task)(**{**vars(task), "query_x": task.query_x[:1]}))
    assert torch.allclose(whole[:1], first, atol=1e-10)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"RelationNet\.hidden"):
        RelationNet(hidden=0)
    with pytest.raises(ConfigError, match=r"RelationNet\.class_map"):
        RelationNet(class_map="median")
