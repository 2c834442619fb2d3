"""CIFAR from images and from the original pickles: the published classes and splits, pixels as stored."""

import pickle
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from harness.dataset import Dataset, native_size
from harness.errors import ConfigError, DataError, MissingDataError
from harness_datasets.cifar import CIFAR10, CIFAR100, CIFARFS
from harness_datasets.cifar_files import CIFAR_10, CIFAR_100, CIFAR_FS, Layout
from harness_datasets.source import RoutedSource
from packing import FORMS, drawn, pack

TOPS = {CIFAR10: "cifar-10-batches-py", CIFAR100: "cifar-100-python", CIFARFS: "cifar-100-python"}
KINDS: list[type[RoutedSource]] = [CIFARFS, CIFAR100, CIFAR10]


def layout(kind: type[RoutedSource]) -> Layout:
    return CIFAR_10 if kind is CIFAR10 else CIFAR_100


@cache
def batch(number: int, classes: int) -> tuple[npt.NDArray[np.uint8], list[int]]:
    rng = np.random.default_rng(number)
    labels = rng.permutation(np.repeat(np.arange(classes), 2)).tolist()
    return rng.integers(0, 256, (len(labels), 3072), np.uint8), labels


def batches(
    kind: type[RoutedSource], *, as_bytes: bool = False, changed: Mapping[str, Any] | None = None
) -> dict[str, bytes]:
    """The original pickles, with two images of each class in each; `changed` replaces entries of the last batch."""

    def key(name: str) -> str | bytes:
        return name.encode() if as_bytes else name

    made, of = layout(kind), len(layout(kind).classes)
    files = {made.meta: {key(made.names): [key(name) for name in made.classes], key("other"): 1}}
    for number, name in enumerate(made.batches):
        pixels, labels = batch(number, of)
        files[name] = {key("data"): pixels, key(made.labels): labels, key("batch_label"): key("x")}
    for name, value in (changed or {}).items():
        files[made.batches[-1]][key(name)] = value
    return {f"{TOPS[kind]}/{name}": pickle.dumps(content, protocol=2) for name, content in files.items()}


def images(kind: type[RoutedSource], top: str = "cifar100/data/") -> dict[str, bytes]:
    return {
        f"{top}{name}/{name}_s_{k}.png": drawn(at + k, (32, 32))
        for at, name in enumerate(layout(kind).classes)
        for k in range(2)
    }


def read(dataset: Dataset, place: Path) -> dict[str, npt.NDArray[np.uint8]]:
    parts = [
        part
        for split in dataset.splits
        for part in dataset.read(split, list(dataset.class_sizes(split, place)), place)
    ]
    return {name: np.concatenate([some for other, some in parts if other == name]) for name, _ in parts}


def test_the_class_split_of_cifar_fs_is_that_of_its_lists(data_dir: Path) -> None:
    path = data_dir / "splits.zip"
    if not path.is_file():
        pytest.skip(f"no {path}")
    with zipfile.ZipFile(path) as archive:
        for split, stem in (("train", "train"), ("valid", "val"), ("test", "test")):
            assert archive.read(f"cifar_fs/{stem}.txt").decode().split() == list(CIFAR_FS[split])
    assert {split: len(names) for split, names in CIFAR_FS.items()} == dict(CIFARFS.official_classes)
    assert len(set(CIFAR_100.classes)) == 100


@pytest.mark.parametrize(
    ("kind", "file", "each"),
    [(CIFARFS, "cifar100_32", 30), (CIFAR100, "cifar100_32", 30), (CIFAR10, "cifar10_32", 200)],
)
def test_real_images_are_read_whole_and_as_stored(
    kind: type[RoutedSource], file: str, each: int, data_dir: Path
) -> None:
    path = data_dir / f"{file}.zip"
    if not path.is_file():
        pytest.skip(f"no {path}")
    dataset = kind(name="mine")
    assert dataset.find(data_dir).location == path
    found = read(dataset, data_dir)
    assert set(found) == set(layout(kind).classes)
    assert {pixels.shape for pixels in found.values()} == {(each, 32, 32, 3)}
    assert native_size(dataset) == 32
    name = sorted(found)[-1]
    with zipfile.ZipFile(path) as archive:
        member = sorted(member for member in archive.namelist() if member.startswith(f"{name}/"))[11]
        with archive.open(member) as stream, Image.open(stream) as image:
            np.testing.assert_array_equal(found[name][11], np.asarray(image))


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_original_pickles_are_read_as_stored(
    kind: type[RoutedSource], as_bytes: bool, tmp_path: Path
) -> None:
    place = pack(tmp_path, TOPS[kind], batches(kind, as_bytes=as_bytes), "tar.gz")
    assert place.name == f"{TOPS[kind]}.tar.gz"
    found, made = read(kind(name="mine"), tmp_path), layout(kind)
    assert set(found) == set(made.classes)
    for number, name in enumerate(made.classes):
        expected = [
            pixels.reshape(3, 32, 32).transpose(1, 2, 0)
            for at in range(len(made.batches))
            for pixels, label in zip(*batch(at, len(made.classes)), strict=True)
            if label == number
        ]
        np.testing.assert_array_equal(found[name], np.stack(expected))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_form_has_one_fingerprint(kind: type[RoutedSource], form: str, tmp_path: Path) -> None:
    top = "cifar10_x" if kind is CIFAR10 else "cifar100_x"
    for name, files in ((TOPS[kind], batches(kind)), (top, images(kind, f"{top}/"))):
        pack(tmp_path / name / "1", name, files, form)
        pack(tmp_path / name / "2", name, files, "zip")
        dataset = kind(name="mine")
        assert dataset.fingerprint(tmp_path / name / "1") == dataset.fingerprint(tmp_path / name / "2")


@pytest.mark.parametrize("top", ["cifar-100-python", "cifar100"])
def test_the_split_is_part_of_the_fingerprint(top: str, tmp_path: Path) -> None:
    pack(
        tmp_path,
        top,
        batches(CIFAR100) if top == "cifar-100-python" else images(CIFAR100, "cifar100/"),
        "zip",
    )
    dealt = [CIFAR100(fractions=(0.6, 0.2, 0.2), split_seed=seed) for seed in (0, 1)]
    assert len({dataset.fingerprint(tmp_path) for dataset in (CIFAR100(), CIFARFS(), *dealt)}) == 4


def test_cifar_fs_as_it_is_passed_on_is_understood(tmp_path: Path) -> None:
    extra = {"cifar100/splits/bertinetto/train.txt": b"apple\n"}
    pack(
        tmp_path,
        "cifar-fs",
        {f"cifar-fs/{path}": c for path, c in {**images(CIFARFS), **extra}.items()},
        "zip",
    )
    assert {split: len(CIFARFS().class_sizes(split, tmp_path)) for split in CIFARFS.splits} == {
        "train": 64,
        "valid": 16,
        "test": 20,
    }


def test_cifar_100_is_dealt_by_lists_and_by_fractions(tmp_path: Path) -> None:
    pack(tmp_path, "cifar-100-python", batches(CIFAR100), "zip")
    assert list(CIFAR100().class_sizes("test", tmp_path)) == list(CIFAR_100.classes)
    dealt = CIFAR100(fractions=(0.6, 0.2, 0.2))
    sizes = {split: list(dealt.class_sizes(split, tmp_path)) for split in dealt.splits}
    assert {split: len(names) for split, names in sizes.items()} == {"train": 60, "valid": 20, "test": 20}
    assert len({name for names in sizes.values() for name in names}) == 100
    lists = {f"{split}_classes": list(names) for split, names in CIFAR_FS.items()}
    listed = CIFAR100(**lists)
    for split, names in CIFAR_FS.items():
        assert list(listed.class_sizes(split, tmp_path)) == list(names)
    with pytest.raises(ConfigError, match=r"CIFAR100\.fractions"):
        CIFAR100(fractions=(0.6, 0.2))


def test_missing_and_unknown_classes_are_named(tmp_path: Path) -> None:
    less = {path: content for path, content in images(CIFARFS).items() if "/wolf/" not in path}
    pack(tmp_path, "cifar100", less, "zip")
    with pytest.raises(DataError, match=r"of its 100 classes 1 missing: 'wolf'"):
        CIFARFS().fingerprint(tmp_path)
    pack(tmp_path, "cifar100", {**images(CIFARFS), "cifar100/data/dodo/1.png": drawn(1, (32, 32))}, "zip")
    with pytest.raises(DataError, match=r"1 unknown: 'dodo'"):
        CIFAR100().fingerprint(tmp_path)


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    pack(tmp_path, "cifar100", {**images(CIFARFS), "cifar100/data/wolf/x.png": drawn(1, (64, 64))}, "zip")
    with pytest.raises(DataError, match=r"wolf/x\.png in .* is 64x64 pixels, but .* are 32x32"):
        read(CIFARFS(), tmp_path)


PIXELS, LABELS = batch(5, 10)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data": PIXELS[:-1]}, r"test_batch in .* holds uint8 \(19, 3072\) for 20 labels"),
        ({"data": PIXELS.astype(float)}, r"test_batch in .* holds float64"),
        ({"labels": [*LABELS[:-1], 10]}, r"test_batch in .* labels other than 0 to 9"),
        ({"labels": ["cat"] * 20}, r"test_batch in .* labels other than 0 to 9"),
    ],
)
def test_broken_batches_are_named(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    pack(tmp_path, TOPS[CIFAR10], batches(CIFAR10, changed=changed), "zip")
    with pytest.raises(DataError, match=message):
        read(CIFAR10(), tmp_path)


def test_batches_that_are_missing_cut_off_or_hostile_are_named(tmp_path: Path) -> None:
    top, files = TOPS[CIFAR10], batches(CIFAR10)
    pack(tmp_path, top, {path: c for path, c in files.items() if not path.endswith("_3")}, "zip")
    with pytest.raises(DataError, match=r"lacks data_batch_3"):
        CIFAR10().fingerprint(tmp_path)
    hostile = b"cos\nsystem\n(S'true'\ntR."
    for content, message in (
        (files[f"{top}/data_batch_2"][:999], "no readable"),
        (hostile, r"asks for .*\.system"),
    ):
        pack(tmp_path, top, {**files, f"{top}/data_batch_2": content}, "zip")
        with pytest.raises(DataError, match=rf"data_batch_2 in .*{message}"):
            CIFAR10().class_sizes("test", tmp_path)
    names = {"label_names": ["plane", *CIFAR_10.classes[1:]]}
    pack(tmp_path, top, {**files, f"{top}/batches.meta": pickle.dumps(names)}, "zip")
    with pytest.raises(DataError, match=r"batches\.meta .* does not name the published classes"):
        CIFAR10().class_sizes("test", tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_there(kind: type[RoutedSource], tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"cifar-10+-python\.tar\.gz"):
        kind(name="mine").fingerprint(tmp_path)


def test_cifar_100_is_not_taken_for_cifar_10(tmp_path: Path) -> None:
    pack(tmp_path, "cifar100_32", images(CIFARFS, "cifar100_32/"), "zip")
    pack(tmp_path, "cifar-100-python", batches(CIFAR100), "zip")
    with pytest.raises(MissingDataError):
        CIFAR10().fingerprint(tmp_path)
