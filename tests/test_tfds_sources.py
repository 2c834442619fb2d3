"""Named sources read what tensorflow-datasets has prepared, and can have it fetched."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command_line import refused
from harness import cli
from harness.dataset import SPLITS
from harness.errors import DataError
from harness.testing import check_dataset
from harness_datasets import cifar, idx, tfds_catalogue, tfds_index
from harness_datasets.cifar import CIFAR10, CIFAR100, CIFARFS
from harness_datasets.cifar_files import CIFAR_10, CIFAR_100, CIFAR_FS
from harness_datasets.dtd import DTD
from harness_datasets.idx import KMNIST, MNIST, FashionMNIST, IdxSource
from harness_datasets.md_tfds import find_md_tfds
from harness_datasets.omniglot import Omniglot, RecordedDrawings
from harness_datasets.quickdraw import QuickDraw
from harness_datasets.source import RoutedSource
from md_tfds_data import prepare_md_tfds
from tfds_data import cifar_archive, png, write_as

IDX_SOURCES = (MNIST, FashionMNIST, KMNIST)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    tfds_index.label_index.cache_clear()


def told(label: int, number: int, side: int, channels: int) -> bytes:
    """An encoded image whose value tells its label, and whose corner its number."""
    image = np.full((side, side, channels), label % 256, np.uint8)
    image[0, 0] = number
    image[0, 1] = 255
    image[1, 0] = label // 256
    return png(image[..., 0] if channels == 1 else image)


def records(
    classes: int, each: int, side: int, channels: int, first: int = 0
) -> Iterator[tuple[bytes, int, str]]:
    for number in range(first, first + each):
        for label in range(classes):
            yield told(label, number, side, channels), label, ""


def values(source: RoutedSource, split: str, name: str, data_dir: Path) -> set[int]:
    """What the images of a class are filled with."""
    return {int(image[-1, -1, 0]) for _, part in source.read(split, [name], data_dir) for image in part}


def prepared_cifar(folder: Path, builder: str, names: Sequence[str]) -> None:
    parts = {
        "train": records(len(names), 5, 32, 3),
        "test": records(len(names), 1, 32, 3, first=5),
    }
    where = write_as(folder / "tfds", builder, parts)
    (where / "label.labels.txt").write_text("\n".join(names))


def test_cifar_is_read_with_both_parts_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "IMAGES", 600)
    names = CIFAR_100.classes
    prepared_cifar(tmp_path, "cifar100", names)
    few = CIFARFS()
    assert few.find(tmp_path).location.parent.name == "cifar100"
    assert {split: tuple(few.class_sizes(split, tmp_path)) for split in SPLITS} == dict(CIFAR_FS)
    assert few.class_sizes("test", tmp_path)["baby"] == 6
    assert values(few, "test", "whale", tmp_path) == {names.index("whale")}
    all_of_it = CIFAR100(fractions=(0.5, 0.2, 0.3))
    assert [len(all_of_it.class_sizes(split, tmp_path)) for split in SPLITS] == [50, 20, 30]
    assert [check for check in check_dataset(few, tmp_path) if not check.passed] == []
    monkeypatch.setattr(cifar, "IMAGES", 60)
    prepared_cifar(tmp_path, "cifar10", CIFAR_10.classes)
    assert CIFAR10().class_sizes("test", tmp_path) == dict.fromkeys(CIFAR_10.classes, 6)
    assert values(CIFAR10(), "test", "frog", tmp_path) == {6}


def test_cifar_with_other_labels_or_too_few_images_is_refused(tmp_path: Path) -> None:
    prepared_cifar(tmp_path, "cifar10", ["yak", *CIFAR_10.classes[1:]])
    with pytest.raises(DataError, match="'cifar10' are not the 10 published: 'airplane' is in one"):
        CIFAR10().class_sizes("test", tmp_path)
    prepared_cifar(tmp_path / "short", "cifar10", CIFAR_10.classes)
    with pytest.raises(DataError, match="it has 60 images, not 60000"):
        CIFAR10().class_sizes("test", tmp_path / "short")


@pytest.mark.parametrize("plugin", IDX_SOURCES)
def test_mnist_and_its_kin_are_read_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugin: type[IdxSource]
) -> None:
    monkeypatch.setattr(idx, "TFDS_PARTS", {"train": ("train", 40), "t10k": ("test", 20)})
    parts = {"train": records(10, 4, 28, 1), "test": records(10, 2, 28, 1, first=4)}
    write_as(tmp_path, plugin.tfds_builder, parts)
    source = plugin()
    assert source.class_sizes("test", tmp_path) == dict.fromkeys(plugin.classes, 6)
    assert values(source, "test", plugin.classes[3], tmp_path) == {3}
    for part, each in (("train", 4), ("t10k", 2), ("both", 6)):
        assert plugin(parts=part).class_sizes("test", tmp_path)[plugin.classes[9]] == each
    assert source.fingerprint(tmp_path) != plugin(parts="t10k").fingerprint(tmp_path)
    assert [check for check in check_dataset(source, tmp_path) if not check.passed] == []


def test_the_official_sources_take_it_where_nothing_else_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_as(tmp_path / "tfds", "dtd", {"train": records(47, 40, 4, 3),
        "validation": records(47, 40, 4, 3, first=40), "test": records(47, 40, 4, 3, first=80)})  # fmt: skip
    source = DTD()
    assert source.find(tmp_path).location.parent.name == "dtd"
    assert [len(source.class_sizes(split, tmp_path)) for split in SPLITS] == [33, 7, 7]
    assert [check for check in check_dataset(source, tmp_path) if not check.passed] == []
    monkeypatch.setattr(tfds_catalogue, "QUICKDRAW_IMAGES", 345 * 2)
    write_as(tmp_path, "quickdraw_bitmap", {"train": records(345, 2, 28, 1)})
    drawings = QuickDraw()
    assert [len(drawings.class_sizes(split, tmp_path)) for split in SPLITS] == [241, 52, 52]
    assert [check for check in check_dataset(drawings, tmp_path) if not check.passed] == []


def test_meta_datasets_own_data_sets_serve_as_its_records_do(tmp_path: Path) -> None:
    prepare_md_tfds(tmp_path, "dtd")
    source = DTD()
    assert source.class_sizes("train", tmp_path) == {"Greek-character01": 6, "Greek-character02": 4}
    assert source.fingerprint(tmp_path).startswith("md-")
    prepare_md_tfds(tmp_path, "omniglot")
    found = find_md_tfds(tmp_path, "omniglot", channels=1)
    assert found is not None
    drawings = RecordedDrawings(records=found)
    wanted = [("Greek/character01", np.array([0, 2])), ("ULOG/character01", np.array([1]))]
    shapes = [(place, images.shape[0]) for place, images in drawings.read(wanted)]
    assert {place: sum(n for p, n in shapes if p == place) for place in (0, 1)} == {0: 2, 1: 1}
    # All 1623 characters are asked for, by the name the records give them.
    with pytest.raises(DataError, match=r"lack 659 of the 659 characters of its test split"):
        Omniglot(split="lake").class_sizes("test", tmp_path)


def test_a_source_is_fetched_from_the_archives_that_are_there(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`harness data prepare cifar_10 --download`, with an archive of CIFAR-10's layout."""
    archive, register = cifar_archive(tmp_path / "mine")
    register(monkeypatch)
    monkeypatch.setattr(cifar, "IMAGES", 60)
    data, cache = tmp_path / "data", tmp_path / "cache"
    command = ["data", "prepare", "cifar_10", "--download", "--manual-dir", str(archive.parent)]
    said = refused(capsys, *command)
    assert "--download needs a folder to put the data in" in said
    assert cli.main([*command, "--data", str(data), "--cache", str(cache)]) == 0
    shown = capsys.readouterr().out
    assert "Fetching cifar_10" in shown
    assert "10 classes, 60 images" in shown


@pytest.mark.parametrize("plugin", [CIFARFS, *IDX_SOURCES, DTD, QuickDraw, Omniglot])
def test_what_can_be_fetched_is_in_the_catalogue(plugin: Any) -> None:
    import tensorflow_datasets as tfds

    assert plugin.tfds_builder in tfds.list_builders(with_community_datasets=False)
