"""Training from pools of growing size: each iteration reads its own episodes from a pool on disk, and works on them."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from harness.dataset import ClassGroups, ClassImages
from harness.episode import EpisodeShape
from harness.episode_sequence import SourceSequence
from harness.plugins import Component
from harness.pools import ensure_pool, open_pool
from harness.spec import ImageSpec, SourceSpec
from speed.contestants import OUTER_LR
from speed.settings import Case, MethodName, Setting, learner_of, method_of

A_CLASS = 20
"""Images of a class, as in Omniglot."""


@dataclass(frozen=True)
class Noise:
    """Grey images of random pixels: `images` of them, in classes of A_CLASS."""

    images: int
    side: int
    name: str = "noise"
    channels: int = 1
    splits: tuple[str, ...] = ("train",)
    needs_data: bool = False

    def fingerprint(self, data_dir: Path | None) -> str:
        return f"noise-{self.images}"

    def class_sizes(self, split: str, data_dir: Path | None) -> Mapping[str, int]:
        return {str(k): A_CLASS for k in range(self.images // A_CLASS)}

    def class_groups(self, split: str, data_dir: Path | None) -> ClassGroups | None:
        return None

    def read(self, split: str, classes: Sequence[str], data_dir: Path | None) -> Iterator[ClassImages]:
        for name in classes:
            rng = np.random.default_rng(int(name))
            yield name, rng.integers(0, 256, (A_CLASS, self.side, self.side, 1), dtype=np.uint8)


def iteration(case: Case, cache: Path, key: str, images: ImageSpec) -> Callable[[], None]:
    """One training iteration on the next episodes of a pool."""
    setting = case.setting
    shape = EpisodeShape(n_way=setting.n_way, n_shot=setting.n_shot, n_query=setting.n_query)
    sequence = SourceSequence(open_pool(cache, key), shape, images, seed=0)
    method, learner = method_of(case), learner_of(case, torch.float32)
    learner.train()
    optimiser = torch.optim.Adam(learner.parameters(), lr=OUTER_LR)
    done = 0

    def iterate() -> None:
        nonlocal done
        episodes = [sequence[done + k] for k in range(setting.tasks)]
        done += setting.tasks
        optimiser.zero_grad(set_to_none=True)
        loss = method.outer_loss(learner, episodes)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return iterate


def pool_rates(
    setting: Setting, methods: Sequence[MethodName], sizes: Sequence[int], *, seconds: float, rounds: int
) -> Iterator[tuple[int, MethodName, list[float]]]:
    """(images, method, tasks a core-second in each round), each round once through all sizes."""
    images = ImageSpec(size=setting.image_size, channels=1, scaling="unit", resize="antialias")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        cache, keys = Path(folder), {}
        for size in sizes:
            source = Noise(size, setting.image_size)
            spec = SourceSpec(
                name=source.name,
                component=Component(plugin=source.name, params={}),
                fingerprint=source.fingerprint(None),
                native_size=setting.image_size,
            )
            keys[size] = ensure_pool(source, spec, "train", images, data_dir=None, cache=cache).key
        for method in methods:
            case = Case(setting=setting, method=method, phase="training")
            calls = {size: iteration(case, cache, key, images) for size, key in keys.items()}
            rates: dict[int, list[float]] = {size: [] for size in sizes}
            for call in calls.values():
                call()
            for _ in range(rounds):
                for size, call in calls.items():
                    rates[size].append(setting.tasks * _rate(call, seconds))
            yield from ((size, method, found) for size, found in rates.items())


def _rate(call: Callable[[], None], seconds: float) -> float:
    """Calls a core-second."""
    began, number = time.process_time(), 0
    while time.process_time() - began < seconds or not number:
        call()
        number += 1
    return number / (time.process_time() - began)
