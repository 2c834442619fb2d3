"""Prepared TFDS data sets that are damaged or not as they should be: a clear sentence names what it is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import DataError
from harness_datasets import tfds_index
from harness_datasets.tfds_route import find_tfds
from tfds_data import drawn, mixed, prepare_drawn
from tfds_drawings import EACH, data, find, own_cache, prepared, read, shards

__all__ = ["data", "own_cache", "prepared"]


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "other": lambda path: path.write_bytes(b"no records" * 20_000),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_shard_is_named(data: Path, how: str) -> None:
    victim = shards(data)[4]
    before = find(data).fingerprint()
    DAMAGE[how](victim)
    with pytest.raises(DataError, match=victim.name):
        find(data).class_sizes("train")
    if how != "gone":
        assert find(data).fingerprint() != before


def test_a_damaged_record_is_found_in_the_pass_and_when_it_is_read(data: Path) -> None:
    victim = max(shards(data), key=lambda path: path.stat().st_size)
    found = find(data)
    sizes = found.class_sizes("train")
    record = victim.read_bytes().index(b"\x89PNG") if "tfrecord" in victim.name else 70_000
    content = bytearray(victim.read_bytes())
    if "tfrecord" not in victim.name:
        # The first chunk of records follows the header of the file.
        record = 64 + 40 + 4
    content[record + 8] ^= 0xFF
    victim.write_bytes(content)
    with pytest.raises(DataError, match=rf"{victim.name} is truncated or damaged"):
        read(found, "train", {name: range(size) for name, size in sizes.items()}) | read(
            found, "test", {name: range(EACH + 4) for name in ("3", "4")}
        )
    tfds_index.label_index.cache_clear()
    with pytest.raises(DataError, match=rf"{victim.name} is truncated or damaged"):
        find(data).class_sizes("train")


def test_a_record_whose_length_is_damaged_is_found_when_it_is_read(tmp_path: Path) -> None:
    where = prepare_drawn(tmp_path, {"train": mixed(2, 9)}, file_format="tfrecord", shards=1)
    found = find(tmp_path, parts=("train",), split_classes=lambda names: {"test": names})
    assert found.class_sizes("test") == {"0": 9, "1": 9}
    (shard,) = where.glob("drawings-train*")
    for place in (0, 5, 9):
        content = bytearray(shard.read_bytes())
        content[place] ^= 0xFF
        shard.write_bytes(content)
        with pytest.raises(DataError, match=f"{shard.name} is truncated or damaged"):
            read(found, "test", {name: range(9) for name in ("0", "1")})
        content[place] ^= 0xFF
        shard.write_bytes(content)
    assert len(read(found, "test", {"0": range(9)})["0"]) == 9


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    from tfds_data import png, write_as

    records = [(png(drawn(k, 0)) if k != 1 else b"no image", k, "") for k in range(47)]
    where = write_as(tmp_path, "dtd", {"train": records})
    found = find_tfds(tmp_path, "dtd", parts=("train",), split_classes=lambda names: {"test": names})
    assert found is not None
    assert found.class_sizes("test")["blotchy"] == 1
    with pytest.raises(
        DataError, match=rf"image in a record of class 'blotchy' in the shard {where}/dtd-train.*damaged"
    ):
        read(found, "test", {"blotchy": [0]})


def test_too_few_records_are_refused(data: Path) -> None:
    path = data / "tfds" / "drawings" / "1.2.0" / "dataset_info.json"
    info = json.loads(path.read_text())
    info["splits"][0]["shardLengths"][0] = str(int(info["splits"][0]["shardLengths"][0]) + 1)
    path.write_text(json.dumps(info))
    with pytest.raises(DataError, match=r"has \d+ records, but dataset_info.json says \d+: it is truncated"):
        find(data).class_sizes("train")


def test_what_is_not_as_published_is_refused(data: Path) -> None:
    with pytest.raises(DataError, match="not as published: it has 220 images, not 221"):
        find(data, images=221).class_sizes("train")
    assert find(data, images=220).class_sizes("train")
    with pytest.raises(DataError, match=r"no split 'trian'. Did you mean 'train'"):
        find(data, parts=("trian",))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"label": "lable"}, "no label feature 'lable'. Did you mean 'label'"),
        ({"label": "size"}, "'size' .* is Tensor, not a class label. Its class label features are 'label'"),
        ({"image": "picture"}, "no image feature 'picture'.*Its image features are 'image'"),
        ({"image": "label"}, "'label' .* is ClassLabel, not an Image"),
    ],
)
def test_features_of_another_kind_are_refused(data: Path, changes: dict[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        find(data, **changes)


def test_images_without_a_label_are_refused(tmp_path: Path) -> None:
    content = [(drawn(0, 0), 0), (drawn(1, 1), 1), (drawn(0, 2), -1)]
    prepare_drawn(tmp_path, {"test": content}, file_format="tfrecord", names=["ant", "bee"], shards=1)
    with pytest.raises(DataError, match="1 records with the label -1, and the labels are 0 to 1"):
        find(tmp_path, parts=("test",)).class_sizes("train")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("dataset_info.json", "{", "is no JSON text"),
        ("dataset_info.json", "[]", "holds no JSON object"),
        ("dataset_info.json", "{}", "does not describe a prepared data set"),
        ("features.json", "{}", "does not describe named features"),
        ("label.labels.txt", "ant\nbee\n", "names 2 labels, but features.json beside it says 5"),
    ],
)
def test_damaged_descriptions_are_refused(data: Path, file: str, content: str, said: str) -> None:
    (data / "tfds" / "drawings" / "1.2.0" / file).write_text(content)
    with pytest.raises(DataError, match=said):
        find(data)


def test_another_file_format_is_refused(data: Path) -> None:
    path = data / "tfds" / "drawings" / "1.2.0" / "dataset_info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fileFormat": "riegeli"}))
    with pytest.raises(DataError, match="prepared as 'riegeli', and 'array_record', 'tfrecord' can be read"):
        find(data)
