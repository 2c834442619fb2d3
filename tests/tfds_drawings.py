"""A drawn data set in TFDS' two formats, to be found, read and damaged."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness_datasets import tfds_index
from harness_datasets.tfds_route import TfdsData, find_tfds
from tfds_data import mixed, prepare_drawn

CLASSES, EACH = 5, 40
FORMATS = ("tfrecord", "array_record")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No index of another test, in memory or on disk."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    tfds_index.label_index.cache_clear()
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Of each format, a folder with `tfds/drawings/1.2.0`: three shards for training, one or more for testing."""
    made: dict[str, Path] = {}

    def make(file_format: str) -> Path:
        if file_format not in made:
            made[file_format] = tmp_path_factory.mktemp(file_format)
            splits = {"train": mixed(CLASSES, EACH), "test": mixed(CLASSES, 4, first=EACH)}
            prepare_drawn(made[file_format] / "tfds", splits, file_format=file_format)
        return made[file_format]

    return make


@pytest.fixture(params=FORMATS)
def data(request: pytest.FixtureRequest, prepared: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(prepared(request.param), tmp_path / "data"))


def halves(names: Sequence[str]) -> dict[str, list[str]]:
    return {"train": list(names[:3]), "test": list(names[3:])}


def find(data_dir: Path, **changes: Any) -> TfdsData:
    found = find_tfds(
        data_dir, "drawings", **{"parts": ("train", "test"), "split_classes": halves, **changes}
    )
    assert found is not None
    return found


def read(found: TfdsData, split: str, wanted: dict[str, Sequence[int]]) -> dict[str, list[Any]]:
    images: dict[str, list[Any]] = {name: [] for name in wanted}
    rows = {name: np.array(places, np.int64) for name, places in wanted.items()}
    for name, part in found.read(split, rows):
        assert part.dtype == np.uint8
        assert part.ndim == 4
        images[name] += list(part)
    return images


def shards(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "tfds" / "drawings" / "1.2.0").glob("drawings-*-of-*"))
