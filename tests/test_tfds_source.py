"""TFDS: any prepared data set as a source of one's own; and preparing one where there is no network."""

import shutil
import socket
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.dataset import Dataset
from harness.errors import ConfigError, DataError, MissingDataError
from harness.testing import check_dataset
from harness_datasets import tfds_index, tfds_preparing
from harness_datasets.tfds_preparing import prepare_tfds
from harness_datasets.tfds_source import TFDS
from tfds_data import cifar_archive, mixed, prepare_drawn, told

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    tfds_index.label_index.cache_clear()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten classes of nine images in `train`, four in `test`, and one of nothing but `extra`."""
    folder = tmp_path_factory.mktemp("data")
    splits = {"train": mixed(10, 9), "test": mixed(10, 4, first=9), "extra": mixed(1, 3, first=20)}
    prepare_drawn(folder / "tfds", splits, file_format="array_record", names=NAMES)
    return folder


def test_every_class_is_for_testing_unless_said_otherwise(prepared: Path) -> None:
    source = TFDS(builder="drawings")
    assert isinstance(source, Dataset)
    assert source.splits == ("test",)
    assert source.class_sizes("test", prepared) == dict.fromkeys(NAMES, 13)
    images = [image for _, part in source.read("test", ["cat", "jay"], prepared) for image in part]
    assert [told(image)[0] for image in images] == [2] * 13 + [9] * 13


def test_it_keeps_the_contract_of_sources(prepared: Path) -> None:
    checks = check_dataset(TFDS(builder="drawings", fractions=(0.5, 0.2, 0.3)), prepared)
    assert [check for check in checks if not check.passed] == []


def test_classes_are_split_by_fractions_and_by_lists(prepared: Path, tmp_path: Path) -> None:
    by_share = TFDS(builder="drawings", fractions=(0.5, 0.2, 0.3))
    sizes = {split: by_share.class_sizes(split, prepared) for split in by_share.splits}
    assert {split: len(classes) for split, classes in sizes.items()} == {"train": 5, "valid": 2, "test": 3}
    assert sorted(name for classes in sizes.values() for name in classes) == sorted(NAMES)
    data = Path(shutil.copytree(prepared, tmp_path / "data"))
    (data / "seen.txt").write_text("\n".join(NAMES[:7]))
    by_list = TFDS(builder="drawings", train_classes="seen.txt", test_classes=NAMES[7:])
    assert list(by_list.class_sizes("test", data)) == list(NAMES[7:])
    prints = {source.fingerprint(data) for source in (by_share, by_list, TFDS(builder="drawings"))}
    assert len(prints) == 3
    with pytest.raises(DataError, match="has no class 'yak'"):
        TFDS(builder="drawings", test_classes=["yak"]).class_sizes("test", data)


def test_the_splits_of_tfds_can_be_named(prepared: Path) -> None:
    assert TFDS(builder="drawings", tfds_splits=["test"]).class_sizes("test", prepared)["fox"] == 4
    # A label without an image in them is no class.
    assert TFDS(builder="drawings", tfds_splits=["extra"]).class_sizes("test", prepared) == {"ant": 3}
    with pytest.raises(DataError, match="no split 'validation'"):
        TFDS(builder="drawings", tfds_splits=["validation"]).class_sizes("test", prepared)


def test_a_limit_and_grey_and_inverted_images(prepared: Path) -> None:
    source = TFDS(builder="drawings", channels=1, max_images_per_class=5)
    assert source.class_sizes("test", prepared)["ant"] == 5
    plain = np.concatenate([part[:, :1, :1] for _, part in source.read("test", ["hen"], prepared)])
    assert plain.shape == (5, 1, 1, 1)
    over = TFDS(builder="drawings", channels=1, max_images_per_class=5, invert=True)
    turned = np.concatenate([part[:, :1, :1] for _, part in over.read("test", ["hen"], prepared)])
    assert np.array_equal(turned, 255 - plain)
    assert source.fingerprint(prepared) != over.fingerprint(prepared)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"builder": ""}, "must be as in 'cifar10'.*got ''"),
        ({"builder": "a b"}, "got 'a b'"),
        ({"channels": 2}, r"TFDS\.channels must be 1 \(grey\) or 3"),
        ({"tfds_splits": "train"}, r"TFDS\.tfds_splits must be a list .*got 'train'"),
        ({"tfds_splits": ()}, "must be a list"),
        ({"tfds_splits": ("train", "train")}, "names a split twice"),
        ({"fractions": (0.5, 0.5, 0.5)}, "that add up to 1"),
    ],
)
def test_parameters_out_of_range_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TFDS(**{"builder": "drawings", **changes})


def test_a_missing_data_set_is_said_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(
        MissingDataError, match=r"'cifar10' .* is not there.*`tfds build cifar10 --data_dir DIR/tfds`"
    ):
        TFDS(builder="cifar10").fingerprint(tmp_path)
    with pytest.raises(MissingDataError, match="no folder of raw data was named"):
        TFDS(builder="cifar10").class_sizes("test", None)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name is to be found, and no proxy is set."""

    def refuse(*given: Any, **named: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(tfds_preparing, "getproxies", dict)


def test_without_a_network_the_archives_to_bring_are_named_at_once(tmp_path: Path, offline: None) -> None:
    with pytest.raises(
        MissingDataError,
        match=r"github\.com is not to be reached.*images_background\.zip.*put them into a folder",
    ):
        prepare_tfds("omniglot", tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "images_background.zip").touch()
    with pytest.raises(MissingDataError) as told_again:
        prepare_tfds("omniglot", tmp_path, tmp_path / "mine")
    assert "images_background.zip" not in str(told_again.value)
    assert "images_evaluation.zip" in str(told_again.value)
    assert f"put them into {tmp_path / 'mine'}" in str(told_again.value)


def test_archives_that_only_the_user_can_fetch_are_asked_for(tmp_path: Path, offline: None) -> None:
    with pytest.raises(MissingDataError, match=r"'imagenet2012' needs archives .*ILSVRC2012_img_train\.tar"):
        prepare_tfds("imagenet2012", tmp_path)


def test_an_archive_of_another_content_is_refused(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in (
        "images_background",
        "images_evaluation",
        "images_background_small1",
        "images_background_small2",
    ):
        with zipfile.ZipFile(mine / f"{name}.zip", "w") as archive:
            archive.writestr(f"{name}/Greek/character01/0001_01.png", b"")
    with pytest.raises(DataError, match=r"refuses an archive of 'omniglot'.*checksum"):
        prepare_tfds("omniglot", tmp_path, mine)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"builder": "omniglott"}, ConfigError, r"no data set 'omniglott'\. Did you mean 'omniglot'"),
        ({"builder": "imagenet_resized/33x33"}, ConfigError, r"no configuration '33x33': .*'32x32'"),
        ({"builder": "dtd/small"}, ConfigError, "it has no configurations"),
        (
            {"builder": "dtd", "file_format": "csv"},
            ConfigError,
            "one of 'array_record', 'tfrecord'; got 'csv'",
        ),
        (
            {"builder": "dtd", "manual_dir": Path("nowhere")},
            MissingDataError,
            "The folder nowhere of archives",
        ),
    ],
)
def test_requests_that_cannot_be_met_are_refused(
    tmp_path: Path, given: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        prepare_tfds(data_dir=tmp_path, **given)


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_a_data_set_is_prepared_from_archives_that_are_there(
    tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    """TFDS's own builder of CIFAR-10 on an archive of its layout, whose checksum it is told."""
    archive, register = cifar_archive(tmp_path / "mine")
    register(monkeypatch)
    folder = prepare_tfds("cifar10", tmp_path, archive.parent, file_format=file_format)
    assert folder == tmp_path / "tfds" / "cifar10" / folder.name
    source = TFDS(builder="cifar10")
    sizes = source.class_sizes("test", tmp_path)
    assert (len(sizes), sum(sizes.values()), sizes["airplane"]) == (10, 60, 6)
    ((_, images),) = source.read("test", ["frog"], tmp_path)
    assert images.shape == (6, 32, 32, 3)
    assert set(images[:, 0, 0, 0].tolist()) == {6 * 20}
    # What is prepared is not prepared again.
    archive.unlink()
    assert prepare_tfds("cifar10", tmp_path, file_format=file_format) == folder
