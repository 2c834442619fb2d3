"""Fisher information per filter against its definition, and the head against scikit-learn."""

import math

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.func import functional_call

from harness.layers import Statistics
from harness.networks import Body, Conv4
from harness.task2vec import (
    LinearHead,
    embed_task,
    filter_fisher,
    fit_head,
    fixed_features,
    fixed_statistics,
)

N_WAY = 3


def images(n: int = 12, *, size: int = 16, channels: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % N_WAY
    x = torch.randn(n, channels, size, size, dtype=torch.float64, generator=generator)
    return x + torch.sin(torch.arange(size) * (y[:, None] + 1.0))[:, None, None, :], y


def tiny_body(**settings: object) -> Body:
    torch.manual_seed(0)
    body = Conv4(**{"filters": 3, "batch_norm_scale": True, **settings}).build(2, 16).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for name, parameter in body.named_parameters():
            if "norm" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return body


def random_head(features: int) -> LinearHead:
    generator = torch.Generator().manual_seed(5)
    return LinearHead(
        weight=torch.randn(N_WAY, features, dtype=torch.float64, generator=generator),
        bias=torch.randn(N_WAY, dtype=torch.float64, generator=generator),
    )


def features_of(body: Body, weights: dict[str, Tensor], x: Tensor, statistics: Statistics) -> Tensor:
    """Features [n, D] of images [n, C, H, W]."""
    features: Tensor = functional_call(body, weights, (x[None], statistics))
    return features[0]


def by_definition(body: Body, x: Tensor, head: LinearHead, statistics: Statistics) -> Tensor:
    """Loop over images and classes; full gradients by torch.func, squared, weighed by p, averaged last."""
    names = [name for name, p in body.named_parameters() if p.ndim == 4]
    weights = {name: p.detach() for name, p in body.named_parameters() if name in names}

    def log_p(w: dict[str, Tensor], image: Tensor) -> Tensor:
        features = features_of(body, w, image[None], statistics)
        return F.log_softmax(features @ head.weight.T + head.bias, dim=1)[0]

    fisher = {name: torch.zeros_like(w) for name, w in weights.items()}
    for image in x:
        p = log_p(weights, image).exp()
        gradients = torch.func.jacrev(log_p)(weights, image)
        for name in names:
            for c in range(N_WAY):
                fisher[name] += p[c] * gradients[name][c] ** 2 / len(x)
    return torch.cat([fisher[name].mean(dim=(1, 2, 3)) for name in names])


@pytest.mark.parametrize("downsample", ["stride", "max_pool"])
@pytest.mark.parametrize("policy", ["transductive", "running"])
def test_fisher_information_is_its_definition(downsample: str, policy: str) -> None:
    body = tiny_body(downsample=downsample, batch_norm=policy, readout="flatten")
    x, _ = images(11)
    statistics, head = fixed_statistics(body, x), random_head(body.out_features)
    found = filter_fisher(body, x, head, statistics)
    assert found.shape == (12,)
    assert torch.allclose(found, by_definition(body, x, head, statistics).detach(), rtol=1e-9, atol=0)


class Logistic(nn.Module):
    """One convolution as wide as the image: a stage that is linear in its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 2, bias=False)

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        y: Tensor = self.conv(x.flatten(0, -4))
        return y.view(*x.shape[:-3], *y.shape[-3:])


def logistic_body(stage: nn.Module) -> Body:
    return Body({"only": stage}, nn.Flatten(-3), out_features=1, batch_norm="support").double()


def test_fisher_information_of_a_logistic_model_by_hand() -> None:
    body = logistic_body(Logistic())
    for parameter in body.parameters():
        parameter.requires_grad_(False)  # frozen bodies have a Fisher information too
    x = torch.randn(5, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    head = LinearHead(weight=torch.tensor([[0.0], [1.0]]).double(), bias=torch.zeros(2).double())
    found = filter_fisher(body, x, head, Statistics("running"))
    z = (x * body.get_parameter("stages.only.conv.weight")).sum(dim=(1, 2, 3))
    s = torch.sigmoid(z)
    # Fisher information of logistic regression: E s(1 - s) x², here averaged over the filter's four weights.
    assert found.item() == pytest.approx((s * (1 - s) * x.square().mean(dim=(1, 2, 3))).mean().item())


def test_a_body_is_left_as_it_was() -> None:
    body = tiny_body()
    before = {name: value.clone() for name, value in body.state_dict().items()}
    x, y = images()
    embed_task(body, x, y, N_WAY)
    assert all(torch.equal(before[name], value) for name, value in body.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in body.parameters())
    assert not any(module._forward_hooks for module in body.modules())


def test_an_embedding_does_not_depend_on_order_or_repetition() -> None:
    body, (x, y) = tiny_body(), images(15)
    found = embed_task(body, x, y, N_WAY)
    order = torch.randperm(15, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(found, embed_task(body, x[order], y[order], N_WAY), rtol=1e-5)
    assert torch.allclose(found, embed_task(body, x.repeat(2, 1, 1, 1), y.repeat(2), N_WAY), rtol=1e-5)
    relabelled = embed_task(body, x, (y + 1) % N_WAY, N_WAY)
    assert torch.allclose(found, relabelled, rtol=1e-5)
    assert found.dtype == torch.float64
    assert (found > 0).all()


def test_float32_bodies_are_embedded_alike() -> None:
    body, (x, y) = tiny_body(), images(15)
    found = embed_task(body, x, y, N_WAY)
    assert torch.allclose(embed_task(body.float(), x.float(), y, N_WAY), found, rtol=1e-3)


def test_statistics_are_those_of_the_images_and_do_not_move_with_the_chunk() -> None:
    body, (x, _) = tiny_body(), images(30)
    statistics = fixed_statistics(body, x)
    together = features_of(body, {}, x, Statistics("batch"))
    assert torch.allclose(fixed_features(body, x, statistics), together, atol=1e-10)
    assert torch.allclose(fixed_features(body, x[:3], statistics), together[:3], atol=1e-10)


@pytest.mark.parametrize("d", [4, 30])
def test_the_head_is_scikit_learns(d: int) -> None:
    generator = torch.Generator().manual_seed(2)
    y = torch.arange(20) % N_WAY
    features = torch.randn(20, d, dtype=torch.float64, generator=generator) + y[:, None]
    head = fit_head(features, y, N_WAY, penalty=1e-2)
    centred = features - features.mean(0)
    scale = centred.square().sum(1).mean().sqrt()
    reference = LogisticRegression(C=1 / (20 * 1e-2), tol=1e-9, max_iter=10_000).fit(centred / scale, y)
    expected = reference.predict_proba(centred / scale)
    found = F.softmax(features @ head.weight.T + head.bias, dim=1)
    assert torch.allclose(found, torch.from_numpy(expected), atol=1e-4)


def test_the_head_knows_no_scale_or_shift() -> None:
    x, y = images(20)
    features = x.flatten(1)[:, :9]
    heads = [fit_head(f, y, N_WAY) for f in (features, 100 * features + 3)]
    logits = [f @ h.weight.T + h.bias for f, h in zip((features, 100 * features + 3), heads, strict=True)]
    assert torch.allclose(logits[0], logits[1], atol=1e-3)


class Grouped(Logistic):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, groups=2)


@pytest.mark.parametrize(
    ("scale", "n_labels", "n_way", "penalty", "message"),
    [
        (1, 12, 4, 1e-3, "each of the classes 0 to 3"),
        (1, 11, 3, 1e-3, "labels"),
        (1, 12, 3, 0, "above 0"),
        (0, 12, 3, 1e-3, "the same for every image"),
        (math.nan, 12, 3, 1e-3, "not finite"),
    ],
)
def test_a_task_that_cannot_be_embedded_is_refused(
    scale: float, n_labels: int, n_way: int, penalty: float, message: str
) -> None:
    x, y = images()
    with pytest.raises(ValueError, match=message):
        embed_task(tiny_body(), scale * x, y[:n_labels], n_way, penalty=penalty)


def test_statistics_and_bodies_without_gradients_of_single_images_are_refused() -> None:
    x, head = images()[0], random_head(3)
    with pytest.raises(ValueError, match="got 'batch'"):
        filter_fisher(tiny_body(), x, head, Statistics("batch"))
    for stage, message in ((nn.Identity(), "this one has none"), (Grouped(), "plain two-dimensional")):
        with pytest.raises(ValueError, match=message):
            filter_fisher(logistic_body(stage), x, head, Statistics("running"))
