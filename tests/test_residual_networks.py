"""Residual backbones against plain PyTorch written out, and against the published numbers of weights."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.errors import ConfigError
from harness.inner_loop_method import InnerLoopMethod
from harness.layers import Statistics
from harness.networks import Body, Conv4
from harness.residual_networks import ResNet12, ResNet18, WideResNet
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from tiny import tiny_episode

Params = dict[str, Tensor]


def norm(p: Params, name: str, x: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, p[f"{name}.weight"], p[f"{name}.bias"], training=True, eps=1e-5)


def conv(p: Params, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = p[f"{name}.weight"]
    return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)


def plain_resnet12(p: Params, x: Tensor) -> Tensor:
    for i in range(1, 5):
        at = f"stages.block{i}"
        y = F.leaky_relu(norm(p, f"{at}.norms.0", conv(p, f"{at}.convs.0", x)), 0.1)
        y = F.leaky_relu(norm(p, f"{at}.norms.1", conv(p, f"{at}.convs.1", y)), 0.1)
        y = norm(p, f"{at}.norms.2", conv(p, f"{at}.convs.2", y))
        x = F.max_pool2d(
            F.leaky_relu(y + norm(p, f"{at}.shortcut_norm", conv(p, f"{at}.shortcut", x)), 0.1), 2
        )
    return x.mean(dim=(2, 3))


def plain_resnet18(p: Params, x: Tensor) -> Tensor:
    x = F.max_pool2d(F.relu(norm(p, "stages.stem.norm", conv(p, "stages.stem.conv", x, 2))), 3, 2, 1)
    for i in range(1, 5):
        for j in range(2):
            at, stride = f"stages.group{i}.parts.{j}", 2 if j == 0 and i > 1 else 1
            y = F.relu(norm(p, f"{at}.norm1", conv(p, f"{at}.conv1", x, stride)))
            y = norm(p, f"{at}.norm2", conv(p, f"{at}.conv2", y))
            if f"{at}.shortcut.weight" in p:
                x = norm(p, f"{at}.shortcut_norm", conv(p, f"{at}.shortcut", x, stride))
            x = F.relu(y + x)
    return x.mean(dim=(2, 3))


def plain_wrn(p: Params, x: Tensor) -> Tensor:
    x = conv(p, "stages.stem.conv", x)
    for i in range(1, 4):
        j = 0
        while f"stages.group{i}.parts.{j}.conv1.weight" in p:
            at, stride = f"stages.group{i}.parts.{j}", 2 if j == 0 and i > 1 else 1
            begun = F.relu(norm(p, f"{at}.norm1", x))
            y = F.relu(norm(p, f"{at}.norm2", conv(p, f"{at}.conv1", begun, stride)))
            y = conv(p, f"{at}.conv2", y)
            x = y + (conv(p, f"{at}.shortcut", begun, stride) if f"{at}.shortcut.weight" in p else x)
            j += 1
    return F.relu(norm(p, f"stages.group3.parts.{j}.norm", x)).mean(dim=(2, 3))


SMALL = [
    (ResNet12(filters=(2, 3, 4, 5)), plain_resnet12, 19),
    (ResNet18(filters=(2, 3, 4, 5)), plain_resnet18, 37),
    (WideResNet(depth=16, width=1), plain_wrn, 11),
]


def filled(body: Body) -> Body:
    """In float64, with batch norms that are not as they begin."""
    body = body.double()
    with torch.no_grad():
        for name, parameter in body.named_parameters():
            if "norm" in name:
                parameter.add_(torch.rand_like(parameter))
    return body


@pytest.mark.parametrize(("network", "plain", "size"), SMALL, ids=lambda value: getattr(value, "name", None))
def test_features_are_those_of_plain_pytorch(network, plain, size) -> None:
    torch.manual_seed(0)
    body = filled(network.build(3, size))
    x = torch.randn(2, 4, 3, size, size, dtype=torch.float64)
    found = body(x, Statistics("batch"))
    assert found.shape == (2, 4, body.out_features)
    params = dict(body.named_parameters())
    for task in range(2):
        assert torch.allclose(found[task], plain(params, x[task]), atol=1e-9)


@pytest.mark.parametrize(("network", "plain", "size"), SMALL, ids=lambda value: getattr(value, "name", None))
@pytest.mark.parametrize("method", [MAML(inner_lr=0.1, inner_steps=1), ANIL(inner_lr=0.1, inner_steps=1)])
def test_outer_gradients_are_those_of_plain_autograd(network, plain, size, method: InnerLoopMethod) -> None:
    """One inner step on the layers that adapt, differentiated through, one task at a time."""
    torch.manual_seed(0)
    learner = method.init(network.build(1, size), 3).double()
    filled(learner.body)
    episodes = [tiny_episode(seed=k, size=size, n_way=3, n_shot=2) for k in range(2)]
    method.outer_loss(learner, episodes).backward()
    params = {name: p.detach().clone().requires_grad_() for name, p in learner.named_parameters()}
    names = list(learner.adaptable(method.adapted_layers(learner)))

    def logits(own: Params, x: Tensor) -> Tensor:
        features = plain({n.removeprefix("body."): w for n, w in own.items() if n.startswith("body.")}, x)
        return features @ own["head.weight"].T + own["head.bias"]

    losses = []
    for episode in episodes:
        loss = F.cross_entropy(logits(params, episode.task.support_x), episode.task.support_y)
        slopes = torch.autograd.grad(loss, [params[name] for name in names], create_graph=True)
        own = {**params, **{n: params[n] - 0.1 * g for n, g in zip(names, slopes, strict=True)}}
        losses.append(F.cross_entropy(logits(own, episode.task.query_x), episode.query_y))
    torch.stack(losses).mean().backward()
    for name, parameter in learner.named_parameters():
        assert torch.allclose(parameter.grad, params[name].grad, atol=1e-8), name


@pytest.mark.parametrize(
    ("network", "size", "features", "weights"),
    [
        (ResNet12(), 84, 640, 12_424_320),  # the published 12.4 million
        (ResNet18(), 84, 512, 11_176_512),  # torchvision's, without its classifier
        (
            WideResNet(),
            32,
            640,
            36_479_194 - 6_410,
        ),  # the published 36.5 million, without the classifier of CIFAR-10
    ],
)
def test_sizes_are_the_published_ones(network, size: int, features: int, weights: int) -> None:
    body = network.build(3, size)
    assert body.out_features == features
    assert sum(p.numel() for p in body.parameters()) == weights
    assert body.layers[-1] == ("block4" if network.name == "resnet12" else f"group{4 if size == 84 else 3}")


@pytest.mark.parametrize("policy", ["support", "running"])
def test_every_policy_of_batch_norm_works(policy: str) -> None:
    method = MAML(inner_lr=0.1, inner_steps=1)
    for network, _, size in SMALL:
        learner = method.init(type(network)(**{**vars(network), "batch_norm": policy}).build(1, size), 3)
        learner = learner.double()
        assert method.outer_loss(learner, [tiny_episode(size=size)]).isfinite()
        assert method.predict(learner, tiny_episode(size=size).task).isfinite().all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: ResNet12().build(3, 15),
            r"halves the image four times, so 15 pixels are too few. Set Images.size",
        ),
        (lambda: ResNet18().build(3, 32), r"at least 33"),
        (lambda: ResNet12().build(0, 84), r"in_channels must be .* at least 1"),
        (lambda: Conv4().build(0, 28), r"in_channels must be .* at least 1"),
        (lambda: WideResNet().build(3, 7), r"at least 8"),
        (lambda: ResNet12(filters=(1, 2)), r"ResNet12.filters must be 4 numbers"),
        (lambda: ResNet18(filters=(1, 2, 3, 0)), r"ResNet18.filters"),
        (lambda: WideResNet(depth=27), r"WideResNet.depth must be 6 n \+ 4"),
        (lambda: ResNet12(batch_norm="none"), r"ResNet12.batch_norm"),
    ],
)
def test_what_cannot_be_built_is_refused(make, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()
