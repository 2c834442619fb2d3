"""A tiny source for the tests of pools, and what they all do with it."""

import errno
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from harness.dataset import ClassGroups, ClassImages
from harness.plugins import Component
from harness.pools import ensure_pool
from harness.spec import ImageSpec, SourceSpec

SIZES = {"a": 3, "b": 5, "c": 4}
IMAGES = ImageSpec(size=8, channels=3, scaling="signed", resize="bilinear")


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Three classes of random 8x8 images. `asked` notes what `read` is asked for, `fault` says what goes wrong."""

    name: str = "numbers"
    fault: str = ""
    seconds: float = 0.0
    asked: list[tuple[str, ...]] = field(default_factory=list)

    channels: ClassVar[int] = 3
    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    needs_data: ClassVar[bool] = False

    def fingerprint(self, data_dir: Path | None) -> str:
        return "changed" if self.fault == "fingerprint" else "numbers-1"

    def class_sizes(self, split: str, data_dir: Path | None) -> Mapping[str, int]:
        if self.fault == "empty split":
            return {}
        return {**SIZES, "c": 0} if self.fault == "empty class" else SIZES

    def class_groups(self, split: str, data_dir: Path | None) -> ClassGroups | None:
        if self.fault == "groups":
            return ClassGroups(kind="superclasses", members={"early": ["a", "z"]})
        return ClassGroups(kind="superclasses", members={"early": ["a", "b"], "late": ["c"]})

    def read(self, split: str, classes: Sequence[str], data_dir: Path | None) -> Iterator[ClassImages]:
        self.asked.append(tuple(classes))
        order = list(classes)[::-1] if self.fault == "order" else list(classes)
        for name in order:
            time.sleep(self.seconds)
            if name == "b" and self.fault == "ends early":
                return
            pixels = pixels_of(name)
            if name == "b" and self.fault == "count":
                pixels = pixels[:4]
            if self.fault == "dtype":
                pixels = pixels.astype(np.int64)  # type: ignore[assignment]
            yield "x" if self.fault == "name" and name == "b" else name, pixels[:2]
            if name == "b" and self.fault == "interrupt":
                raise KeyboardInterrupt
            if name == "b" and self.fault == "unreadable":
                raise OSError(errno.EIO, "Input/output error")
            yield name, pixels[2:]
        if self.fault == "extra":
            yield "d", pixels
        if self.fault == "twice":
            yield "a", pixels


def pixels_of(name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    rng = np.random.default_rng(list(SIZES).index(name))
    return rng.integers(0, 256, (SIZES[name], 8, 8, 3)).astype(np.uint8)


SPEC = SourceSpec(
    name="numbers", component=Component(plugin="numbers", params={"seed": 1}), fingerprint="numbers-1"
)
KEY = SPEC.pool_key("test", IMAGES)


def prepare(cache: Path, dataset: Any, split: str = "test", spec: SourceSpec = SPEC, **options: Any) -> Any:
    return ensure_pool(dataset, spec, split, IMAGES, data_dir=None, cache=cache, **options)


def expected_pixels() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.concatenate([pixels_of(name) for name in SIZES])


def content(pool: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """All images of a pool."""
    return np.concatenate(list(pool.images.parts()))


def left_in(cache: Path) -> list[str]:
    return sorted(p.name for p in (cache / "pools").iterdir() if p.suffix != ".lock")
