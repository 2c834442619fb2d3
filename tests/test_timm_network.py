"""Backbones of timm as bodies, against timm's own models run one task at a time."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from harness.errors import ConfigError
from harness.inner_loop_method import InnerLoopMethod
from harness.layers import Statistics
from harness.learner import Learner
from harness.networks import Body
from harness.timm_network import Timm
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from harness_methods.proto_net import ProtoNet
from timm_on_cpu import timm
from tiny import tiny_episode

timm()
ROWS = ["test_resnet", "test_efficientnet", "test_convnext"]
"""Small models that run their parts one after another; the second and third have norms of several kinds."""

SIZE = 32


def theirs(model: str, seed: int = 0, channels: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    made: nn.Module = timm().create_model(model, num_classes=0, in_chans=channels)
    return made.double().train()


def ours(model: str, seed: int = 0, channels: int = 1, **settings: str) -> Body:
    torch.manual_seed(seed)
    return Timm(model=model, **settings).build(channels, SIZE).double()  # type: ignore[arg-type]


def in_order(module: nn.Module) -> list[nn.Parameter]:
    """Module by module, in each the weight before the bias."""
    return [
        parameter
        for part in module.modules()
        for _, parameter in sorted(part.named_parameters(recurse=False), reverse=True)
    ]


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, SIZE, SIZE, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@pytest.mark.parametrize("model", [*ROWS, "test_vit"])
def test_features_are_those_of_timm(model: str) -> None:
    if model == "test_vit":
        torch.manual_seed(0)
        plain = timm().create_model(model, num_classes=0, in_chans=1, img_size=SIZE).double().train()
    else:
        plain = theirs(model)
    body = ours(model)
    x = images(2, 5, 1)
    found = body(x, Statistics("batch"))
    assert found.shape == (2, 5, body.out_features)
    for task in range(2):
        assert torch.allclose(found[task], plain(x[task]), atol=1e-9)


def test_stages_are_the_parts_of_the_model() -> None:
    assert ours("test_resnet").layers == ("conv1", "layer1", "layer2", "layer3", "layer4")
    assert ours("test_convnext").layers == ("stem", "stages_0", "stages_1", "stages_2", "stages_3")
    assert ours("test_efficientnet").layers[:2] == ("conv_stem", "blocks_0")
    assert ours("test_vit").layers == ("backbone",)


@pytest.mark.parametrize("method", [MAML(inner_lr=0.1, inner_steps=1), ANIL(inner_lr=0.1, inner_steps=1)])
def test_outer_gradients_are_those_of_plain_autograd(method: InnerLoopMethod) -> None:
    """One inner step on the weights that adapt, differentiated through timm's own model."""
    learner = Learner(ours("test_resnet"), 3).double()
    plain = theirs("test_resnet")
    episodes = [tiny_episode(seed=k, size=SIZE) for k in range(2)]
    method.outer_loss(learner, episodes).backward()  # type: ignore[no-untyped-call]
    body = {name: p.detach().clone().requires_grad_() for name, p in plain.named_parameters()}
    head = [p.detach().clone().requires_grad_() for p in learner.head.parameters()]
    norms = {id(p) for m in plain.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
    adapts = (
        [] if isinstance(method, ANIL) else [n for n, p in plain.named_parameters() if id(p) not in norms]
    )

    def logits(own: dict[str, Tensor], weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
        buffers = {name: b.clone() for name, b in plain.named_buffers()}
        features: Tensor = functional_call(plain, {**own, **buffers}, (x,))
        return features @ weight.T + bias

    losses = []
    for episode in episodes:
        loss = F.cross_entropy(logits(body, *head, episode.task.support_x), episode.task.support_y)
        moving = [*(body[name] for name in adapts), *head]
        slopes = torch.autograd.grad(loss, moving, create_graph=True)
        moved = [p - 0.1 * g for p, g in zip(moving, slopes, strict=True)]
        own = {**body, **dict(zip(adapts, moved, strict=False))}
        losses.append(F.cross_entropy(logits(own, *moved[-2:], episode.task.query_x), episode.query_y))
    torch.stack(losses).mean().backward()  # type: ignore[no-untyped-call]
    places = {id(p): name for name, p in plain.named_parameters()}
    for own_parameter, parameter in zip(in_order(learner.body), in_order(plain), strict=True):
        name = places[id(parameter)]
        assert own_parameter.grad is not None
        assert torch.allclose(own_parameter.grad, body[name].grad, atol=1e-8), name  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", ["transductive", "support", "running"])
def test_queries_inform_one_another_only_when_transductive(policy: str) -> None:
    for method in (MAML(inner_lr=0.1, inner_steps=1), ProtoNet()):
        torch.manual_seed(0)
        learner = Learner(ours("test_resnet", batch_norm=policy), 3).double()
        method.outer_loss(learner, [tiny_episode(seed=4, size=SIZE)])
        task = tiny_episode(seed=5, size=SIZE).task
        whole = method.predict(learner, task)
        part = method.predict(learner, type(task)(**{**vars(task), "query_x": task.query_x[:2]}))
        assert torch.allclose(whole[:2], part, atol=1e-9) == (policy != "transductive")


def test_tasks_side_by_side_keep_their_own_statistics() -> None:
    for policy in ("transductive", "support"):
        learner = Learner(ours("test_resnet", batch_norm=policy), 3).double()
        tasks = [tiny_episode(seed=k, size=SIZE).task for k in range(3)]
        together = ProtoNet().predict_batch(learner, tasks)
        for task, logits in zip(tasks, together, strict=True):
            assert torch.allclose(logits, ProtoNet().predict(learner, task), atol=1e-9)


def test_models_that_give_channels_last_are_one_stage() -> None:
    """Probes take dimension 2 for the channels."""
    body = ours("test_mambaout")
    assert body.layers == ("backbone",)
    assert body(images(1, 2, 1), Statistics("batch"), 0, 1).shape == (1, 2, body.out_features, 1, 1)


def test_nothing_is_left_to_chance_in_training() -> None:
    torch.manual_seed(0)
    body = Timm(model="swin_tiny_patch4_window7_224").build(1, 56).train()
    x = torch.randn(1, 2, 1, 56, 56)
    assert torch.equal(body(x, Statistics("batch")), body(x, Statistics("batch")))


def test_weights_are_read_from_a_file_that_is_the_one_named(tmp_path: Path) -> None:
    other = timm().create_model("test_resnet", num_classes=10, in_chans=1)
    path = tmp_path / "weights.pth"
    torch.save(other.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ConfigError, match=rf"weights_sha256 must be the SHA-256 of .*'{digest}'; got None"):
        Timm(model="test_resnet", weights=str(path)).build(1, SIZE)
    body = Timm(model="test_resnet", weights=str(path), weights_sha256=digest).build(1, SIZE)
    assert torch.equal(next(body.parameters()), next(other.parameters()))
    with pytest.raises(ConfigError, match="do not fit the model: the shapes differ"):
        Timm(model="test_resnet", weights=str(path), weights_sha256=digest).build(3, SIZE)
    with pytest.raises(ConfigError, match="do not fit the model: it lacks"):
        Timm(model="test_convnext", weights=str(path), weights_sha256=digest).build(1, SIZE)
    path.write_bytes(b"nothing")
    of_nothing = hashlib.sha256(b"nothing").hexdigest()
    with pytest.raises(ConfigError, match="cannot be read"):
        Timm(model="test_resnet", weights=str(path), weights_sha256=of_nothing).build(1, SIZE)
    with pytest.raises(ConfigError, match="which is no file"):
        Timm(model="test_resnet", weights=str(tmp_path / "gone.pth")).build(1, SIZE)


def test_mistakes_are_said_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"'resnet81' is no model of timm .* Did you mean 'resnet18'"):
        Timm(model="resnet81").build(3, SIZE)
    with pytest.raises(ConfigError, match=r"must be an absolute path or None; got 'here\.pth'"):
        Timm(weights="here.pth")
    with pytest.raises(ConfigError, match=r"cannot be made for images of 8 pixels .*: set Images\.size"):
        Timm(model="vgg11").build(3, 8)
    broken = 'import sys; sys.modules["torchvision"] = None; from harness.timm_network import Timm; Timm().build(3, 32)'
    said = subprocess.run([sys.executable, "-c", broken], capture_output=True, text=True, check=False).stderr
    assert "ConfigError: The network Timm needs the package timm, which cannot be imported" in said
    assert "install torchvision's CPU build" in said
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        ConfigError, match=r"needs the package timm.*pip install -c constraints\.txt -e '\.\[timm\]'"
    ):
        Timm().build(3, SIZE)
