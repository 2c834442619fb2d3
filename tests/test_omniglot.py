"""Omniglot: splits as published, archive equal to tree, a clear sentence for every kind of broken data."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.errors import ConfigError, DataError, MissingDataError
from harness_datasets.meta_dataset_spec import read_spec
from harness_datasets.omniglot import Omniglot
from harness_datasets.omniglot_characters import VALIDATION_ALPHABETS, characters, part_of
from omniglot_files import (
    drawing,
    make_small,
    read_all,
    small_files,
    write_archives,
    write_tree,
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    return make_small(monkeypatch)


@pytest.mark.parametrize(("split", "sizes"), [("shuffled", (1100, 100, 423)), ("lake", (883, 81, 659))])
def test_the_splits_have_the_published_sizes_and_share_nothing(split: str, sizes: tuple[int, ...]) -> None:
    chosen = [characters(split, part) for part in ("train", "valid", "test")]
    assert tuple(map(len, chosen)) == sizes
    assert len(set().union(*chosen)) == 1623


def test_lake_splits_by_alphabet_and_shuffled_mixes_them() -> None:
    assert {part_of(c) for c in characters("lake", "test")} == {"images_evaluation"}
    assert {c.split("/")[0] for c in characters("lake", "valid")} == set(VALIDATION_ALPHABETS)
    assert len({c.split("/")[0] for c in characters("shuffled", "test")}) == 50
    # Results depend on this shuffle: it must never change.
    validation = "\n".join(f"{part_of(c)}/{c}" for c in characters("shuffled", "valid")).encode()
    assert hashlib.sha256(validation).hexdigest()[:16] == "3af8fed87982a816"


@pytest.mark.slow
@pytest.mark.parametrize("split", ["shuffled", "lake"])
def test_real_omniglot_is_complete_and_bright_on_dark(split: str, data_dir: Path) -> None:
    if not ((data_dir / "omniglot").is_dir() or (data_dir / "images_background.zip").is_file()):
        pytest.skip(f"no Omniglot in {data_dir}")
    dataset = Omniglot(split=split)
    sizes = dataset.class_sizes("valid", data_dir)
    assert set(sizes.values()) == {20}
    read = list(dataset.read("valid", list(sizes), data_dir))
    assert [name for name, _ in read] == list(sizes)
    pixels = np.concatenate([images for _, images in read])
    assert pixels.shape == (20 * len(sizes), 105, 105, 1)
    assert pixels.max() == 255
    assert 0.03 < pixels.mean() / 255 < 0.2
    assert all(images.min() == 0 for _, images in read)


def test_an_archive_and_its_unpacked_tree_are_the_same(tmp_path: Path, small: dict[str, bytes]) -> None:
    write_archives(tmp_path / "zips", small)
    write_tree(tmp_path / "tree" / "omniglot", {**small, "images_background/Greek/.DS_Store": b"litter"})
    dataset = Omniglot(split="lake")
    zips, tree = tmp_path / "zips", tmp_path / "tree"
    assert dataset.fingerprint(zips) == dataset.fingerprint(tree)
    from_zips, from_tree = read_all(dataset, zips), read_all(dataset, tree)
    assert [name for name, _ in from_zips["train"]] == [
        "Greek/character01",
        "Greek/character02",
        "Latin/character01",
    ]
    assert [len(from_zips[split]) for split in dataset.splits] == [3, 1, 2]
    for split in dataset.splits:
        assert dataset.class_sizes(split, zips) == dataset.class_sizes(split, tree)
        for (name, images), (other, others) in zip(from_zips[split], from_tree[split], strict=True):
            assert name == other
            np.testing.assert_array_equal(images, others)


def test_drawings_are_in_order_and_inverted(tmp_path: Path, small: dict[str, bytes]) -> None:
    write_archives(tmp_path, small)
    ((name, images),) = Omniglot(split="lake").read("train", ["Greek/character01"], tmp_path)
    assert (name, images.shape, images.dtype) == ("Greek/character01", (20, 21, 21, 1), np.uint8)
    for number in range(20):
        with Image.open(io.BytesIO(drawing(number))) as image:
            np.testing.assert_array_equal(images[number, :, :, 0], 255 - np.asarray(image.convert("L")))


def test_the_alphabets_are_groups_where_splits_do_not_share_them(
    tmp_path: Path, small: dict[str, bytes]
) -> None:
    write_archives(tmp_path, small)
    groups = Omniglot(split="lake").class_groups("train", tmp_path)
    assert groups is not None
    assert groups.kind == "superclasses"
    assert groups.members == {
        "Greek": ["Greek/character01", "Greek/character02"],
        "Latin": ["Latin/character01"],
    }
    turned = Omniglot(split="lake", rotations=True).class_groups("test", tmp_path)
    assert turned is not None
    assert turned.members["ULOG/rot090"] == ["ULOG/character01/rot090", "ULOG/character02/rot090"]
    assert len(turned.members) == 4
    assert Omniglot(split="shuffled").class_groups("train", tmp_path) is None


def test_lake_is_metadatasets_split_in_its_order(data_dir: Path) -> None:
    path = data_dir / "meta_dataset_specs" / "omniglot_dataset_spec.json"
    if not path.is_file():
        pytest.skip(f"no {path.name} in {path.parent}")
    spec = read_spec(path.read_bytes(), path.name)
    for split in ("train", "valid", "test"):
        official = [name.replace("-character", "/character") for name in spec.class_names(split)]
        assert characters("lake", split) == official
        assert len(official) == Omniglot.official_classes[split]


def test_a_few_images_of_a_class_are_the_same_few(tmp_path: Path, small: dict[str, bytes]) -> None:
    write_archives(tmp_path, small)
    limited = Omniglot(split="lake", max_images_per_class=7)
    assert set(limited.class_sizes("train", tmp_path).values()) == {7}
    assert limited.fingerprint(tmp_path) == Omniglot(split="lake").fingerprint(tmp_path) + "-at-most-7"
    whole = dict(read_all(Omniglot(split="lake"), tmp_path)["train"])
    for name, images in read_all(limited, tmp_path)["train"]:
        places = [int(np.flatnonzero((whole[name] == image).all((1, 2, 3)))[0]) for image in images]
        assert places == sorted(set(places))
        assert len(places) == 7
    again = read_all(limited, tmp_path)["train"]
    for (_, one), (_, other) in zip(read_all(limited, tmp_path)["train"], again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_changed_drawing_changes_the_fingerprint(tmp_path: Path, small: dict[str, bytes]) -> None:
    write_archives(tmp_path / "one", small)
    write_archives(
        tmp_path / "two", {**small, "images_background/Greek/character01/1001_01.png": drawing(99)}
    )
    dataset = Omniglot(split="lake")
    assert dataset.fingerprint(tmp_path / "one") != dataset.fingerprint(tmp_path / "two")


def test_rotations_are_four_classes_of_one_split(tmp_path: Path, small: dict[str, bytes]) -> None:
    write_archives(tmp_path, small)
    plain = dict(read_all(Omniglot(split="lake"), tmp_path)["test"])
    turned = dict(read_all(Omniglot(split="lake", rotations=True), tmp_path)["test"])
    assert list(turned) == list(Omniglot(split="lake", rotations=True).class_sizes("test", tmp_path))
    assert len(turned) == 4 * len(plain)
    for name, images in plain.items():
        for turn, degrees in enumerate(("000", "090", "180", "270")):
            for image, other in zip(images, turned[f"{name}/rot{degrees}"], strict=True):
                np.testing.assert_array_equal(np.rot90(image, turn), other)


def test_missing_data_says_where_it_looked_and_what_to_do(tmp_path: Path, small: dict[str, bytes]) -> None:
    write_archives(tmp_path, small)
    (tmp_path / "images_evaluation.zip").unlink()
    for ask in (Omniglot().fingerprint, lambda d: Omniglot().class_sizes("test", d)):
        with pytest.raises(DataError) as caught:
            ask(tmp_path)
        message = str(caught.value)
        assert f"needs images_evaluation.zip beside {tmp_path / 'images_background.zip'}" in message
        assert "brendenlake/omniglot" in message
    (tmp_path / "images_background.zip").unlink()
    with pytest.raises(MissingDataError) as gone:
        Omniglot().fingerprint(tmp_path)
    for part in (f"looked in {tmp_path}", "brendenlake/omniglot"):
        assert part in str(gone.value)
    with pytest.raises(MissingDataError, match="no folder of raw data was named"):
        list(Omniglot().read("test", [], None))


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
def test_a_truncated_archive_is_named(tmp_path: Path, small: dict[str, bytes], kept: float) -> None:
    write_archives(tmp_path, small)
    path = tmp_path / "images_background.zip"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept > 1 else kept * len(content))])
    with pytest.raises(DataError, match=r"images_background\.zip .*truncated"):
        Omniglot().class_sizes("train", tmp_path)


def test_a_damaged_member_is_named(tmp_path: Path, small: dict[str, bytes]) -> None:
    write_archives(tmp_path, small)
    path = tmp_path / "images_background.zip"
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("images_background/Greek/character02/1002_07.png")
        start = member.header_offset + 30 + len(member.filename)
    content = bytearray(path.read_bytes())
    content[start + 5 : start + 25] = b"\0" * 20
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"Greek/character02/1002_07\.png in .*images_background\.zip"):
        read_all(Omniglot(split="lake"), tmp_path)


@pytest.mark.parametrize("content", [b"", b"not an image", drawing(3)[:60]])
def test_a_bad_png_is_named(tmp_path: Path, small: dict[str, bytes], content: bytes) -> None:
    bad = "images_background/Greek/character02/1002_07.png"
    for folder, write in ((tmp_path / "zip", write_archives), (tmp_path / "tree", write_tree)):
        write(folder, {**small, bad: content})
        with pytest.raises(DataError, match=r"Greek/character02/1002_07\.png"):
            read_all(Omniglot(split="lake"), folder)


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("images_background/Greek/character02/1002_07.png", r"3 of 4 .*Greek/character02 \(19\)"),
        ("images_background/Greek/", r"2 of 4 .*Greek/character01 \(0\), Greek/character02 \(0\)"),
        ("images_evaluation/", r"0 of 2 .*ULOG/character01 \(0\)"),
    ],
)
def test_missing_characters_are_named(
    tmp_path: Path, small: dict[str, bytes], gone: str, message: str
) -> None:
    left = {name: content for name, content in small.items() if not name.startswith(gone)}
    (tmp_path / "tree" / "images_evaluation").mkdir(parents=True)
    for folder, write in ((tmp_path / "zip", write_archives), (tmp_path / "tree", write_tree)):
        write(folder, left)
        for ask in (Omniglot().fingerprint, lambda d: Omniglot().class_sizes("test", d)):
            with pytest.raises(DataError, match=message):
                ask(folder)


def test_a_few_characters_are_not_the_published_1623(tmp_path: Path) -> None:
    write_archives(tmp_path, small_files())
    with pytest.raises(DataError, match=r"4 of 964 characters .* and 955 more"):
        Omniglot().class_sizes("train", tmp_path)


def test_characters_nobody_published_are_refused(tmp_path: Path, small: dict[str, bytes]) -> None:
    more = {f"images_background/Klingon/character01/2001_{k:02}.png": drawing(k) for k in range(1, 21)}
    write_archives(tmp_path, {**small, **more})
    with pytest.raises(DataError, match=r"Klingon/character01 \(20\)"):
        Omniglot().fingerprint(tmp_path)


def test_an_archive_whose_paths_lead_out_is_refused(tmp_path: Path, small: dict[str, bytes]) -> None:
    write_archives(tmp_path, small)
    with zipfile.ZipFile(tmp_path / "images_background.zip", "a") as archive:
        archive.writestr("images_background/../../character01/0001_01.png", b"evil")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=r"images_background\.zip"):
        Omniglot(split="lake").fingerprint(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"split": "lakes"}, "Did you mean 'lake'"),
        ({"split": 3}, "Omniglot.split must .* got 3"),
        ({"rotations": 1}, "Omniglot.rotations must be True or False; got 1"),
        ({"name": "../omniglot"}, "Omniglot.name"),
        ({"name": ""}, "Omniglot.name"),
    ],
)
def test_wrong_parameters_are_config_errors(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Omniglot(**parameters)


def test_an_unknown_split_is_a_data_error_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Did you mean 'train'"):
        Omniglot().class_sizes("trian", tmp_path)
    with pytest.raises(DataError, match="Did you mean 'valid'"):
        next(iter(Omniglot().read("validation", [], tmp_path)))
