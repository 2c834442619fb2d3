"""The labels of a small miniImageNet, and its images as a plugin reads them."""

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness_datasets.miniimagenet import MiniImageNet

STEMS = {"train": "train", "valid": "val", "test": "test"}
COUNTS = {"train": 64, "valid": 16, "test": 20}


@cache
def labels(split: str) -> tuple[str, ...]:
    start = {"train": 0, "valid": 64, "test": 80}[split]
    return tuple(f"n{10_000_000 + (start + k) * 7}" for k in range(COUNTS[split]))


def read(dataset: MiniImageNet, place: Path) -> dict[str, npt.NDArray[np.uint8]]:
    found: dict[str, npt.NDArray[np.uint8]] = {}
    for split in dataset.splits:
        for name, part in dataset.read(split, list(dataset.class_sizes(split, place)), place):
            found[name] = np.concatenate([found[name], part]) if name in found else part
    return found
