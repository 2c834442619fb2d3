"""Meta-Dataset's class splits, recomputed."""

from pathlib import Path

import pytest

from harness.errors import DataError
from harness_datasets.meta_dataset_spec import MetaDatasetSpec, read_spec
from harness_datasets.official_splits import official_split

SPLITS = ("train", "valid", "test")


def spec_of(data_dir: Path, source: str) -> MetaDatasetSpec:
    path = data_dir / "meta_dataset_specs" / f"{source}_dataset_spec.json"
    if not path.is_file():
        pytest.skip(f"no {path.name} in {path.parent}")
    return read_spec(path.read_bytes(), path.name)


@pytest.mark.parametrize("source", ["aircraft", "cu_birds", "dtd", "quickdraw", "fungi", "vgg_flower"])
def test_the_official_splits_come_from_the_sorted_names(data_dir: Path, source: str) -> None:
    spec = spec_of(data_dir, source)
    official = {split: spec.class_names(split) for split in SPLITS}
    names = [name for split in SPLITS for name in official[split]]
    # Fungi numbers its classes, and Meta-Dataset sorts the numbers' texts with the names behind them.
    assert official_split(sorted(names), len(official["train"]), len(official["valid"])) == official


def test_the_same_classes_in_another_order_are_another_split() -> None:
    names = [f"c{k:02}" for k in range(20)]
    assert official_split(names, 10, 5) == official_split(tuple(names), 10, 5)
    assert official_split(names, 10, 5) != official_split(names[::-1], 10, 5)
    chosen = official_split(names, 10, 5)
    assert [len(chosen[split]) for split in SPLITS] == [10, 5, 5]
    assert sorted(name for split in SPLITS for name in chosen[split]) == names


def test_too_few_classes_are_refused() -> None:
    with pytest.raises(DataError, match="3 classes cannot be split into 2 for training and 2"):
        official_split(["a", "b", "c"], 2, 2)
