"""Prepared TFDS data sets: found, and read class by class in both formats."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.errors import ConfigError, DataError
from harness_datasets import tfds_index, tfds_shards
from harness_datasets.tfds_index import Leave
from harness_datasets.tfds_prepared import find_prepared
from harness_datasets.tfds_route import find_tfds
from tfds_data import drawn, told
from tfds_drawings import EACH, FORMATS, data, find, own_cache, prepared, read, shards

__all__ = ["data", "own_cache", "prepared"]


def test_every_image_comes_once_under_its_class(data: Path) -> None:
    found = find(data)
    assert len(shards(data)) == 6
    assert found.class_sizes("train") == {"0": EACH + 4, "1": EACH + 4, "2": EACH + 4}
    assert list(found.class_sizes("test")) == ["3", "4"]
    assert found.class_sizes("valid") == {}
    images = read(found, "train", {name: range(EACH + 4) for name in ("0", "1", "2")})
    for name, of_class in images.items():
        labels, numbers = zip(*map(told, of_class), strict=True)
        assert set(labels) == {int(name)}
        assert sorted(numbers) == list(range(EACH + 4))
        # The TFDS splits come one after the other, and TFDS has shuffled each.
        assert set(numbers[:EACH]) == set(range(EACH))
        assert numbers[:EACH] != tuple(range(EACH))


def test_only_the_wanted_images_are_read_and_in_their_places(data: Path) -> None:
    found = find(data)
    every = read(found, "test", {"3": range(EACH + 4), "4": range(EACH + 4)})
    some = read(found, "test", {"4": [0, 7, 43], "3": [11]})
    assert [told(image) for image in some["4"]] == [told(every["4"][place]) for place in (0, 7, 43)]
    assert [told(image) for image in some["3"]] == [told(every["3"][11])]


def test_both_formats_hold_the_same_and_their_fingerprints_differ(prepared: Callable[[str], Path]) -> None:
    both = [find(prepared(file_format)) for file_format in FORMATS]
    contents = [
        {told(image) for image in read(found, "train", {"1": range(EACH + 4)})["1"]} for found in both
    ]
    assert contents[0] == contents[1]
    assert both[0].fingerprint() != both[1].fingerprint()
    assert all(len(found.fingerprint()) <= 60 for found in both)


def test_images_keep_their_size_and_colours_and_turn_grey_or_over_where_asked(data: Path) -> None:
    images = read(find(data), "train", {"2": range(EACH + 4)})["2"]
    assert {image.shape for image in images} == {(8, 8, 3), (8, 9, 3)}
    label, number = told(images[0])
    assert np.array_equal(images[0], drawn(label, number))
    assert np.array_equal(read(find(data, invert=True), "train", {"2": [0]})["2"][0], 255 - images[0])
    (grey,) = read(find(data, channels=1), "train", {"2": [0]})["2"]
    assert grey.shape == (*images[0].shape[:2], 1)
    assert abs(int(grey[0, 0, 0]) - round(float(images[0][0, 0] @ [0.299, 0.587, 0.114]))) <= 1


def test_parts_of_a_class_are_bounded(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness_datasets.image_files.PART_BYTES", 5 * 8 * 9 * 3)
    monkeypatch.setattr(tfds_shards, "BATCH_BYTES", 300)
    monkeypatch.setattr(tfds_shards, "COPY_BYTES", 300)
    monkeypatch.setattr(tfds_shards, "OPEN_SHARDS", 1)
    found = find(data)
    parts = [part for _, part in found.read("train", {"0": np.arange(EACH + 4)})]
    assert max(map(len, parts)) <= 5
    assert sorted(told(image)[1] for part in parts for image in part) == list(range(EACH + 4))


@pytest.mark.parametrize("place", ["", "tfds", "tfds/drawings", "tfds/drawings/1.2.0"])
def test_the_data_set_is_found_from_any_folder_around_it(data: Path, place: str) -> None:
    found = find(data / place)
    assert found.location == data / "tfds" / "drawings" / "1.2.0"
    assert found.fingerprint() == find(data).fingerprint()


def test_what_is_not_there_is_not_found(data: Path, tmp_path: Path) -> None:
    version = data / "tfds" / "drawings" / "1.2.0"
    for builder in ("omniglot", "drawings/small", "drawings:2.0.0"):
        assert find_prepared(data, builder) is None
        assert find_prepared(version, builder) is None
    assert find_prepared(tmp_path / "nowhere", "drawings") is None
    version.rename(version.with_name("1.2.0.incompleteABC"))
    assert find_prepared(data, "drawings") is None
    with pytest.raises(ConfigError, match=r"must be as in 'cifar10'.*got 'draw ings'"):
        find_prepared(data, "draw ings")


def test_the_newest_version_is_taken_unless_one_is_named(data: Path) -> None:
    old = data / "tfds" / "drawings" / "1.2.0"
    shutil.copytree(old, old.with_name("1.10.0"))
    newest, named = find_prepared(data, "drawings"), find_prepared(data, "drawings:1.2.0")
    assert newest is not None
    assert newest.folder.name == "1.10.0"
    assert named is not None
    assert named.folder == old


def test_one_of_several_configurations_must_be_named(data: Path) -> None:
    old = data / "tfds" / "drawings" / "1.2.0"
    for config in ("large", "small"):
        new = old.parent / config / "1.2.0"
        shutil.copytree(old, new)
        info = json.loads((new / "dataset_info.json").read_text()) | {"configName": config}
        (new / "dataset_info.json").write_text(json.dumps(info))
    shutil.rmtree(old)
    with pytest.raises(DataError, match=r"2 configurations.*'large', 'small'.*as in 'drawings/large'"):
        find_prepared(data, "drawings")
    small = find_prepared(data, "drawings/small")
    assert small is not None
    assert (small.builder, small.folder.parent.name) == ("drawings/small", "small")
    shutil.rmtree(old.parent / "large")
    assert find_prepared(data, "drawings") == small


def test_the_pass_through_the_shards_is_made_once(
    data: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = find(data).class_sizes("train")
    assert list((own_cache / "tfds-index").iterdir())

    def refuse(*given: object) -> None:
        raise AssertionError("passed through again")

    monkeypatch.setattr(tfds_index, "scan", refuse)
    tfds_index.label_index.cache_clear()
    assert find(data).class_sizes("train") == sizes
    assert len(read(find(data), "train", {"1": range(EACH + 4)})["1"]) == EACH + 4
    # Another content asks for another pass; so does an index that was damaged.
    with pytest.raises(AssertionError, match="again"):
        find(data, parts=("test",)).class_sizes("train")
    tfds_index.label_index.cache_clear()
    for path in (own_cache / "tfds-index").glob("*/places.npy"):
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(AssertionError, match="again"):
        find(data).class_sizes("train")


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(data: Path, own_cache: Path) -> None:
    own_cache.write_text("a file where a folder is needed")
    assert find(data).class_sizes("train")["0"] == EACH + 4


def test_records_can_be_left_out_by_a_text(tmp_path: Path) -> None:
    from tfds_data import png, write_as

    records = [(png(drawn(k % 102, k)), k % 102, f"image_{k:05}.jpg") for k in range(204)]
    write_as(tmp_path, "oxford_flowers102", {"train": records})
    leave = Leave(key="file_name", values=frozenset({b"image_00103.jpg"}))
    found = find_tfds(
        tmp_path,
        "oxford_flowers102",
        parts=("train",),
        split_classes=lambda names: {"test": names},
        leave=leave,
    )
    assert found is not None
    sizes = found.class_sizes("test")
    assert (sizes["pink primrose"], sizes["hard-leaved pocket orchid"], sum(sizes.values())) == (2, 1, 203)
    (image,) = read(found, "test", {"hard-leaved pocket orchid": [0]})["hard-leaved pocket orchid"]
    assert told(image)[1] == 1
