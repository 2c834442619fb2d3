"""Devices and precisions: what a GPU would be given, tried on the CPU."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from command_line import refused
from experiments import write_tiny
from harness import pool_tensors, task_convolutions
from harness.compute import Compute
from harness.device_pixels import DevicePool, to_device_tensor
from harness.episode import EpisodeShape
from harness.episode_sequence import SourceSequence
from harness.errors import ConfigError
from harness.layers import Conv2d
from harness.pixels import to_tensor
from harness.spec import ImageSpec
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from tiny import tiny_episode, tiny_learner

MEAN, STD = (100.0, 120.0, 0.0), (50.0, 40.0, 0.0)


def grey_pool(n_classes: int = 6, each: int = 5) -> Any:
    pixels = np.random.default_rng(0).integers(0, 256, (n_classes * each, 28, 28, 1)).astype(np.uint8)
    sizes = np.full(n_classes, each, np.int64)
    return SimpleNamespace(
        images=pixels, class_sizes=sizes, mean=(90.0,), std=(30.0,), source="x", split="test", groups=None
    )


@pytest.mark.parametrize("resize", ["bilinear", "antialias"])
@pytest.mark.parametrize("scaling", ["unit", "signed", "source"])
@pytest.mark.parametrize(("of_pool", "channels"), [(1, 1), (1, 3), (3, 1), (3, 3)])
@pytest.mark.parametrize("size", [28, 40])
def test_pixels_made_on_the_device_are_those_made_by_numpy(
    size: int, of_pool: int, channels: int, scaling: str, resize: str
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 28, 28, of_pool)).astype(np.uint8)
    images = ImageSpec(size=size, channels=channels, scaling=scaling, resize=resize)
    mean, std = MEAN[-of_pool:], STD[-of_pool:]
    expected = to_tensor(pixels, images, mean=mean, std=std)
    found = to_device_tensor(torch.from_numpy(pixels), images, mean=mean, std=std)
    assert found.shape == expected.shape
    assert found.stride() == expected.stride()
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_episodes_put_together_on_the_device_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    images = ImageSpec(size=28, channels=3, scaling="signed", resize="bilinear")
    shape = EpisodeShape(n_way=3, n_shot=2, n_query=2)
    usual = SourceSequence(grey_pool(), shape, images, seed=0)[7]
    made: list[DevicePool] = []

    def on_the_cpu(pool: Any, images: ImageSpec, device: str) -> DevicePool:
        assert device == "meta"
        made.append(DevicePool(pool, images, "cpu"))
        return made[0]

    monkeypatch.setattr(pool_tensors, "DevicePool", on_the_cpu)
    sequence = SourceSequence(grey_pool(), shape, images, seed=0, device="meta")
    monkeypatch.setattr(sequence, "_device", "cpu")
    found = sequence[7]
    assert made
    for one, other in (
        (found.task.support_x, usual.task.support_x),
        (found.task.query_x, usual.task.query_x),
    ):
        assert torch.allclose(one, other, atol=1e-6)
    assert torch.equal(found.query_y, usual.query_y)


@pytest.mark.parametrize(
    "method", [MAML(inner_lr=0.3, inner_steps=2), ANIL(inner_lr=0.7)], ids=lambda m: m.name
)
def test_tasks_as_groups_give_the_same_outer_gradient(
    method: MAML | ANIL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float64, on both forms of the network's blocks."""
    episodes = [tiny_episode(seed=k) for k in range(3)]
    for network in ({}, {"downsample": "max_pool", "readout": "flatten"}):
        found = []
        for grouped in (False, True):
            monkeypatch.setattr(task_convolutions, "ALWAYS_GROUPED", grouped)
            learner = tiny_learner(method, **network)
            loss = method.outer_loss(learner, episodes)
            loss.backward()
            gradients = [p.grad for p in learner.parameters() if p.grad is not None]
            logits = method.predict_batch(learner, [e.task for e in episodes])
            found.append([loss.detach(), *gradients, logits])
        for one, other in zip(*found, strict=True):
            assert torch.allclose(one, other, atol=1e-11)


def test_a_learner_is_placed_at_its_precision() -> None:
    for precision, low in (("bfloat16", True), ("float32", False)):
        learner = Compute(precision=precision).place(tiny_learner(MAML()))
        assert {m.low for m in learner.modules() if isinstance(m, Conv2d)} == {low}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_said_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"Compute\.device is 'cuda', but PyTorch finds no NVIDIA GPU"):
        Compute(device="cuda").place(tiny_learner(MAML()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU here")
def test_a_gpu_gives_the_same_outer_gradient() -> None:
    method, found = MAML(inner_lr=0.3, inner_steps=2), []
    for device in ("cpu", "cuda"):
        learner = tiny_learner(method).to(device)
        episodes = [on(device, k) for k in range(3)]
        method.outer_loss(learner, episodes).backward()
        found.append([p.grad.cpu() for p in learner.parameters() if p.grad is not None])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-9)


def on(device: str, k: int) -> Any:
    episode = tiny_episode(seed=k)
    task = episode.task
    moved = replace(
        task,
        support_x=task.support_x.to(device),
        support_y=task.support_y.to(device),
        query_x=task.query_x.to(device),
    )
    return replace(episode, task=moved, query_y=episode.query_y.to(device))


@pytest.mark.parametrize(("field", "value"), [("device", "gpu"), ("precision", "float16")])
def test_wrong_settings_are_named(field: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"Compute\.{field}"):
        Compute(**{field: value})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("backend", ["serial", "ray"])
def test_a_run_on_a_missing_gpu_is_refused_before_anything_is_made(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny(tmp_path, "Experiment.compute = @Compute()", "Compute.device = 'cuda'")
    said = refused(capsys, "run", "tiny.gin", "--backend", backend, "--out", "out", "--cache", "cache")
    assert "PyTorch finds no NVIDIA GPU" in said
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "cache").exists()


def test_a_gpu_that_no_run_would_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_tiny(tmp_path, "Experiment.resources = @Resources()", "Resources.gpus = 0.5")
    said = refused(capsys, "plan", str(config))
    assert "Resources.gpus is 0.5, but Compute.device is 'cpu'" in said


def test_foreign_convolutions_are_not_called_bfloat16() -> None:
    learner = tiny_learner(MAML())
    learner.extra = torch.nn.Conv2d(1, 1, 1)
    with pytest.raises(ConfigError, match=r"convolutions of another kind \(Conv2d\)"):
        Compute(precision="bfloat16").place(learner)


@pytest.mark.parametrize("name", ["gpu", "GPU", "cuda:1"])
def test_other_names_of_a_gpu_are_told_the_right_one(name: str) -> None:
    with pytest.raises(ConfigError, match="an NVIDIA GPU is called 'cuda'"):
        Compute(device=name)
