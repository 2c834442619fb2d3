"""Every registered source keeps its contract, and what does not is caught."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import plugins
from harness.dataset import ClassGroups, ClassImages
from harness.errors import MissingDataError
from harness.testing import check_dataset
from harness_datasets.digits import Digits
from harness_datasets.glyphs import Glyphs

Pixels = np.ndarray[Any, np.dtype[Any]]

SMALL = {"n_classes": 20, "images_per_class": 5}

ARGUMENTS: dict[str, dict[str, object]] = {
    "image_folder": {"path": "pacs_sketch_84.zip", "fractions": (0.4, 0.2, 0.4)},
    "tfds": {"builder": "omniglot", "channels": 1, "tfds_splits": ("test",), "max_images_per_class": 2},
    "controlled_shift": {"source": Glyphs(n_classes=20, images_per_class=5), "name": "controlled_shift"},
}
"""Of sources that cannot be made from their name alone."""


@pytest.mark.slow
@pytest.mark.parametrize("name", plugins.names(plugins.DATASETS))
def test_every_registered_source_keeps_the_contract(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = plugins.load(plugins.DATASETS, name)
    fields = {field.name for field in dataclasses.fields(source)}
    small = {key: value for key, value in SMALL.items() if key in fields}
    dataset = source(**small, **ARGUMENTS.get(name, {}))
    assert dataset.name == name
    data_dir = request.getfixturevalue("data_dir") if dataset.needs_data else None
    try:
        dataset.fingerprint(data_dir)
    except MissingDataError as error:
        if not hasattr(dataset, "write_stand_in"):
            pytest.skip(str(error))
        dataset.write_stand_in(tmp_path)
        data_dir = tmp_path
    checks = check_dataset(dataset, data_dir)
    assert len(checks) == 12
    assert [check for check in checks if not check.passed] == []
    component = plugins.describe(plugins.DATASETS, dataset)
    assert plugins.build(plugins.DATASETS, component) == dataset


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wrong(Digits):
    """Keeps the contract but for one fault."""

    fault: str
    name: str = "wrong"

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("test", "train") if self.fault == "order of splits" else ("train", "test")

    @property
    def channels(self) -> int:  # type: ignore[override]
        return 2 if self.fault == "two channels" else 1

    @property
    def needs_data(self) -> bool:  # type: ignore[override]
        return self.fault == "needs nothing"

    def __getstate__(self) -> dict[str, Any]:
        return {} if self.fault == "pickle" else self.__dict__

    def fingerprint(self, data_dir: Path | None) -> str:
        if self.fault == "long fingerprint":
            return "digits" * 20
        return f"{np.random.default_rng().random()}" if self.fault == "fingerprint" else "digits"

    def class_sizes(self, split: str, data_dir: Path | None) -> dict[str, int]:
        if split not in self.splits and self.fault != "any split":
            return {**super().class_sizes(split, data_dir)}
        if self.fault == "no class":
            return {}
        sizes = {f"{split}{digit}": 2 for digit in range(3)}
        if self.fault == "shared class":
            sizes = {"same": 2, **dict(list(sizes.items())[1:])}
        if self.fault == "empty class":
            sizes[f"{split}0"] = 0
        return dict(reversed(sizes.items())) if self.fault == "order" else sizes

    @property
    def native_size(self) -> int | None:  # type: ignore[override]
        return 9 if self.fault == "native size" else 8

    def class_groups(self, split: str, data_dir: Path | None) -> ClassGroups | None:
        kind = "friends" if self.fault == "group kind" else "superclasses"
        names = [f"{split}0", "nobody" if self.fault == "group" else f"{split}1"]
        return ClassGroups(kind=kind, members={"few": names})

    def read(self, split: str, classes: Sequence[str], data_dir: Path | None) -> Iterator[ClassImages]:
        known = self.class_sizes(split, data_dir)
        asked = list(known) if self.fault == "all classes" else list(classes)
        twice = [*asked, *asked] if self.fault == "in two pieces" else asked
        for at, name in enumerate(sorted(asked) if self.fault == "order" else twice):
            images = self._images(name, at, len(asked))[: 0 if known.get(name) == 0 else None]
            if self.fault == "in two pieces":
                images = images[at // len(asked) :][:1]
            yield name, images[:1]
            yield name, images[1:]
            if self.fault == "early end":
                return

    def _images(self, name: str, at: int, asked: int) -> Pixels:
        seed = {"shared image": [0], "counts on": [at, asked, *name.encode()]}.get(
            self.fault, [*name.encode()]
        )
        rng = np.random.default_rng(None if self.fault == "random" else seed)
        images = rng.integers(0, 256, (1 if self.fault == "count" else 2, 8, 8, 1)).astype(np.uint8)
        faulty = {
            "range": (images / 255).astype(np.uint8),
            "colour": images.repeat(3, axis=3),
            "no height": images[:, :0],
            "floats": images / 255,
        }
        return np.asarray(faulty.get(self.fault, images))


def test_the_source_without_fault_passes() -> None:
    assert [check for check in check_dataset(Wrong(fault="none"), None) if not check.passed] == []


@pytest.mark.parametrize(
    ("fault", "caught"),
    [
        ("order of splits", {"attributes"}),
        ("two channels", {"attributes"}),
        ("pickle", {"frozen dataclass that pickles"}),
        ("fingerprint", {"fingerprint is stable"}),
        ("long fingerprint", {"fingerprint is stable"}),
        ("shared class", {"splits share no class", "splits share no image"}),
        ("any split", {"unknown split is a DataError"}),
        ("needs nothing", {"missing raw data is a DataError"}),
        ("order", {"read agrees with class_sizes"}),
        ("count", {"read agrees with class_sizes"}),
        ("early end", {"read agrees with class_sizes"}),
        ("in two pieces", {"read agrees with class_sizes"}),
        ("empty class", {"read agrees with class_sizes"}),
        ("no class", {"read agrees with class_sizes"}),
        ("range", {"images are uint8 in full range"}),
        ("colour", {"images are uint8 in full range"}),
        ("no height", {"images are uint8 in full range"}),
        ("floats", {"images are uint8 in full range"}),
        ("native size", {"images are uint8 in full range"}),
        ("all classes", {"some classes are read alone, in order"}),
        ("counts on", {"some classes are read alone, in order"}),
        ("group", {"groups name classes of the split"}),
        ("group kind", {"groups name classes of the split"}),
        ("random", {"reading twice gives the same bytes"}),
        ("shared image", {"splits share no image"}),
    ],
)
def test_each_fault_of_a_source_is_caught_by_name(fault: str, caught: set[str]) -> None:
    failed = {check.name for check in check_dataset(Wrong(fault=fault), None) if not check.passed}
    assert caught <= failed
    assert len(failed) <= 3


def test_something_else_fails_without_raising() -> None:
    assert not any(check.passed for check in check_dataset(object(), None))
