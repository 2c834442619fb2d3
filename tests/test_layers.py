"""Batch-norm policies, stages and the head."""

import pytest
import torch
import torch.nn.functional as F

from harness import task_batch
from harness.episode import Task
from harness.errors import ConfigError
from harness.layers import BatchNorm, Conv2d, ConvBlock, Head, Statistics
from harness.learner import embed
from harness.method import Method
from harness.networks import Conv4
from harness.task_batch import equal_shapes, stack
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from harness_methods.nil import NIL
from tiny import tiny_episode, tiny_learner

METHODS: list[Method] = [MAML(inner_lr=0.1, test_inner_steps=2), ANIL(inner_lr=0.1), NIL()]


def images(n: int = 6, channels: int = 4) -> torch.Tensor:
    return torch.randn(n, channels, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(n))


def by_formula(x: torch.Tensor, of: torch.Tensor, epsilon: float) -> torch.Tensor:
    mean = of.mean(dim=(0, 2, 3))[:, None, None]
    variance = ((of - mean) ** 2).mean(dim=(0, 2, 3))[:, None, None]
    return (x - mean) / (variance + epsilon).sqrt()


def normalised(norm: BatchNorm, x: torch.Tensor, statistics: Statistics) -> torch.Tensor:
    """Of a single task's images."""
    result: torch.Tensor = norm(x[None], statistics)
    return result[0]


@pytest.mark.parametrize("mode", ["batch", "record", "track"])
def test_batch_norm_is_its_formula(mode: str) -> None:
    norm = BatchNorm(4, scale=True, epsilon=1e-3).double()
    torch.nn.init.normal_(norm.bias)
    torch.nn.init.normal_(norm.weight)
    x = images()
    expected = by_formula(x, x, 1e-3) * norm.weight[:, None, None] + norm.bias[:, None, None]
    assert torch.allclose(normalised(norm, x, Statistics(mode)), expected, atol=1e-12)  # type: ignore[arg-type]


def test_replayed_statistics_are_those_recorded() -> None:
    norm = BatchNorm(4, scale=False, epsilon=1e-3).double()
    support, query = images(6), images(3) + 2
    recording = Statistics("record")
    normalised(norm, support, recording)
    assert torch.allclose(
        normalised(norm, query, recording.replay()), by_formula(query, support, 1e-3), atol=1e-12
    )


def test_running_averages_move_only_when_tracking() -> None:
    norm = BatchNorm(4, scale=False, epsilon=1e-3, momentum=0.25).double()
    before = norm.running_mean.clone()
    for mode in ("batch", "record", "running"):
        normalised(norm, images(), Statistics(mode))  # type: ignore[arg-type]
    assert torch.equal(norm.running_mean, before)
    normalised(norm, images(), Statistics("track"))
    assert torch.allclose(norm.running_mean, 0.25 * images().mean(dim=(0, 2, 3)))
    expected = (images() - norm.running_mean[:, None, None]) / (norm.running_var + 1e-3).sqrt()[:, None, None]
    assert torch.allclose(normalised(norm, images(), Statistics("running")), expected)


def without_query(task: Task, gone: int) -> Task:
    keep = [i for i in range(len(task.query_x)) if i != gone]
    return Task(
        support_x=task.support_x, support_y=task.support_y, query_x=task.query_x[keep], n_way=task.n_way
    )


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
@pytest.mark.parametrize("policy", ["transductive", "support", "running"])
def test_queries_inform_one_another_only_when_transductive(method: Method, policy: str) -> None:
    learner = tiny_learner(method, batch_norm=policy)
    method.trainer.outer_loss(learner, [tiny_episode(seed=4)])  # gives the running averages something to hold
    task = tiny_episode(seed=5).task
    whole = method.predict(learner, task)
    part = method.predict(learner, without_query(task, 0))
    assert torch.allclose(whole[1:], part, atol=1e-10) is (policy != "transductive")


@pytest.mark.parametrize("policy", ["transductive", "support", "running"])
def test_only_the_running_policy_ignores_the_support_statistics(policy: str) -> None:
    learner = tiny_learner(NIL(), batch_norm=policy)
    task = tiny_episode(seed=5).task
    brighter = Task(
        support_x=task.support_x * 3 + 1, support_y=task.support_y, query_x=task.query_x, n_way=task.n_way
    )
    queries = [embed(learner, {}, stack([t]), training=False)[1] for t in (task, brighter)]
    assert torch.allclose(*queries) is (policy != "support")


@pytest.mark.parametrize("policy", ["transductive", "support", "running"])
def test_outer_gradient_reaches_every_parameter_under_every_policy(policy: str) -> None:
    method = MAML(inner_lr=0.1, inner_steps=1)
    learner = tiny_learner(method, batch_norm=policy, batch_norm_scale=True)
    method.outer_loss(learner, [tiny_episode(seed=1)]).backward()
    for name, parameter in learner.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_both_forms_of_conv4_have_the_papers_sizes() -> None:
    omniglot, mini = Conv4(), Conv4(filters=32, downsample="max_pool", readout="flatten")
    x = torch.rand(1, 2, 1, 28, 28)
    assert omniglot.build(1, 28)(x, Statistics("batch")).shape == (1, 2, 64)
    body = mini.build(3, 84)
    assert body.out_features == 800
    assert body(torch.rand(1, 2, 3, 84, 84), Statistics("batch")).shape == (1, 2, 800)
    assert body.layers == ("conv1", "conv2", "conv3", "conv4")
    weights = sum(p.numel() for n, p in body.named_parameters() if n.endswith("conv.weight"))
    assert weights == 9 * (3 * 32 + 3 * 32 * 32)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"downsample": "strides"}, "Did you mean 'stride'"),
        ({"batch_norm": "transductiv"}, "Did you mean 'transductive'"),
        ({"filters": 0}, "Conv4.filters"),
    ],
)
def test_wrong_network_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Conv4(**settings)  # type: ignore[arg-type]


def test_an_image_too_small_is_refused() -> None:
    with pytest.raises(ConfigError, match="12 pixels are too few"):
        Conv4(downsample="max_pool").build(1, 12)


def test_head_uses_the_first_rows_shared_or_per_task() -> None:
    head = Head(6, max_way=5).double()
    torch.nn.init.normal_(head.weight)
    features = torch.randn(2, 3, 6, dtype=torch.float64)
    logits = head(features, 4)
    assert logits.shape == (2, 3, 4)
    assert torch.allclose(logits, features @ head.weight[:4].T + head.bias[:4])
    own = {
        "weight": torch.randn(2, 5, 6, dtype=torch.float64),
        "bias": torch.randn(2, 5, dtype=torch.float64),
    }
    each = torch.func.functional_call(head, own, (features, 4))
    for t in range(2):
        assert torch.allclose(each[t], features[t] @ own["weight"][t, :4].T + own["bias"][t, :4])


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_one_learner_serves_any_number_of_ways(method: Method) -> None:
    learner = tiny_learner(method, max_way=7)
    for n_way in (2, 5, 7):
        task = tiny_episode(n_way=n_way).task
        assert method.predict(learner, task).shape == (n_way * 2, n_way)


def test_nil_is_the_sum_of_cosines() -> None:
    learner = tiny_learner(NIL())
    task = tiny_episode(n_shot=3).task
    support, query = (f[0] for f in embed(learner, {}, stack([task]), training=False))
    logits = NIL().predict(learner, task)
    for q in range(len(query)):
        for c in range(task.n_way):
            cosines = [
                F.cosine_similarity(query[q], support[i], dim=0)
                for i in range(len(support))
                if task.support_y[i] == c
            ]
            assert logits[q, c].item() == pytest.approx(sum(cosines).item())  # type: ignore[union-attr]


def test_meta_batch_of_mixed_shapes_is_the_mean_over_its_tasks() -> None:
    method = MAML(inner_lr=0.3, inner_steps=1)
    learner = tiny_learner(method)
    episodes = [tiny_episode(seed=1), tiny_episode(seed=2, n_way=2), tiny_episode(seed=3)]
    assert [len(labels) for _, labels in equal_shapes(episodes, lambda _: 4)] == [2, 1]
    alone = [method.outer_loss(learner, [episode]).item() for episode in episodes]
    assert method.outer_loss(learner, episodes).item() == pytest.approx(sum(alone) / 3)


def test_a_convolution_of_another_class_is_called_in_every_mode() -> None:
    class Doubled(Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    block = ConvBlock(2, 3, stride=1, pool=True, scale=False, epsilon=1.0)
    x = torch.rand(2, 4, 2, 8, 8)
    plain = block(x, Statistics("batch"))
    assert torch.allclose(plain, block(x, Statistics("record")), atol=1e-6)
    doubled = Doubled(2, 3, kernel=3, stride=1, padding=1)
    doubled.load_state_dict(block.conv.state_dict())
    block.conv = doubled
    found = block(x, Statistics("batch"))
    assert torch.allclose(found, block(x, Statistics("record")), atol=1e-6)
    assert not torch.allclose(found, plain, atol=1e-3)


def test_as_many_tasks_go_together_as_their_largest_layer_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels say little: a strided network makes few values of an image, a pooled one many."""
    image = torch.zeros(3, 16, 16)
    pooled = Conv4(filters=8, downsample="max_pool", batch_norm="running").build(3, 16)
    before = {name: value.clone() for name, value in pooled.state_dict().items()}
    random = torch.random.get_rng_state()
    assert pooled.largest_layer(image) == 3 * 16 * 16  # more than the 8 * 8 * 8 of the first layer
    assert torch.equal(random, torch.random.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in pooled.state_dict().items())
    assert Conv4(filters=16).build(3, 16).largest_layer(image) == 16 * 8 * 8
    assert Conv4(filters=16).build(1, 16).largest_layer(image[:1]) == 16 * 8 * 8
    task = tiny_episode(seed=1).task
    learner = tiny_learner(MAML())
    size = learner.body.largest_layer(task.support_x[0]) * (len(task.support_x) + len(task.query_x))
    for room, together in ((1, 1), (size, 1), (3 * size, 3), (4 * size - 1, 3)):
        monkeypatch.setattr(task_batch, "VALUES_AT_ONCE", room)
        assert learner.tasks_at_once(task) == together
