"""Prepared TFDS data sets: found, read class by class in both formats, and a clear sentence for what is damaged."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import ConfigError, DataError
from harness_datasets import tfds_index, tfds_shards
from harness_datasets.tfds_index import Leave
from harness_datasets.tfds_prepared import find_prepared
from harness_datasets.tfds_route import TfdsData, find_tfds
from tfds_data import drawn, mixed, prepare_drawn, told

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
