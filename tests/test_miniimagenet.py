"""miniImageNet from images with lists: whole, as stored, and every broken list or image named."""

import io
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.dataset import native_size
from harness.errors import ConfigError, DataError, MissingDataError
from harness_datasets.miniimagenet import MiniImageNet
from harness_datasets.raw_files import raw_folder_at
from mini import COUNTS, STEMS, labels, read
from packing import FORMS, drawn, pack, write_tree

REAL = "mini_imagenet_100x100.zip"


@cache
def images() -> Mapping[str, bytes]:
    """Two images of 84x84 for each of 100 classes, with the three lists; not in the lists' order."""
    files: dict[str, bytes] = {}
    for split, stem in STEMS.items():
        lines = ["filename,label"]
        for at, label in enumerate(labels(split)):
            for k in (2, 1):
                files[f"mini-imagenet/images/{label}0000000{k}.jpg"] = drawn(at + k, (84, 84), kind="JPEG")
                lines.append(f"{label}0000000{k}.jpg,{label}")
        files[f"mini-imagenet/{stem}.csv"] = "\r\n".join(lines).encode()
    return files


def test_the_published_images_are_read_whole_and_as_stored(data_dir: Path) -> None:
    path = data_dir / REAL
    if not path.is_file():
        pytest.skip(f"no {path}")
    dataset = MiniImageNet()
    assert dataset.find(data_dir).location == path
    sizes = {split: dataset.class_sizes(split, data_dir) for split in dataset.splits}
    assert {split: len(classes) for split, classes in sizes.items()} == COUNTS
    names = [name for classes in sizes.values() for name in classes]
    assert len(set(names)) == 100
    assert {size for classes in sizes.values() for size in classes.values()} == {100}
    for split, classes in sizes.items():
        first, *_, last = classes
        parts = dict(dataset.read(split, [first, last], data_dir))
        assert {name: images.shape for name, images in parts.items()} == dict.fromkeys(
            (first, last), (100, 84, 84, 3)
        )
    raw = raw_folder_at(path)
    assert raw is not None
    name = sorted(image for image in raw.paths() if f"/{last}" in image)[41]
    with Image.open(io.BytesIO(raw.read(name))) as image:
        np.testing.assert_array_equal(parts[last][41], np.asarray(image))
    some = MiniImageNet(max_images_per_class=3)
    assert set(some.class_sizes("test", data_dir).values()) == {3}


@pytest.mark.parametrize("form", FORMS)
def test_images_with_lists_read_the_same_in_every_form(form: str, tmp_path: Path) -> None:
    pack(tmp_path / form, "mini-imagenet", images(), form)
    pack(tmp_path / "z", "mini-imagenet", images(), "zip")
    dataset = MiniImageNet()
    assert dataset.fingerprint(tmp_path / form) == dataset.fingerprint(tmp_path / "z")
    found = read(dataset, tmp_path / form)
    assert list(found) == [label for split in STEMS for label in labels(split)]
    for at, label in enumerate(labels("valid")):
        for k in (1, 2):
            with Image.open(io.BytesIO(drawn(at + k, (84, 84), kind="JPEG"))) as image:
                np.testing.assert_array_equal(found[label][k - 1], np.asarray(image))


def test_lists_may_lie_beside_the_images_and_are_part_of_the_content(tmp_path: Path) -> None:
    inside = {path: content for path, content in images().items() if path.endswith(".jpg")}
    beside = {path.replace("mini-imagenet/", ""): c for path, c in images().items() if path not in inside}
    pack(tmp_path / "1", "mini-imagenet", images(), "zip")
    pack(tmp_path / "2", "mini-imagenet", inside, "zip")
    with pytest.raises(
        DataError, match=r"split list train\.csv .* neither readable in .*mini-imagenet\.zip nor"
    ):
        MiniImageNet().fingerprint(tmp_path / "2")
    write_tree(tmp_path / "2", beside)
    assert MiniImageNet().fingerprint(tmp_path / "1") == MiniImageNet().fingerprint(tmp_path / "2")
    a, b = labels("valid")[:2]
    swapped = (
        beside["val.csv"].replace(a.encode(), b"x").replace(b.encode(), a.encode()).replace(b"x", b.encode())
    )
    lines = [line.split(b",") for line in swapped.split(b"\r\n")]
    other = {a.encode(): b.encode(), b.encode(): a.encode()}
    relabelled = b"\n".join(name + b"," + other.get(label, label) for name, label in lines)
    write_tree(tmp_path / "2", {"val.csv": relabelled})
    assert MiniImageNet().fingerprint(tmp_path / "1") != MiniImageNet().fingerprint(tmp_path / "2")


def without(gone: Callable[[str], bool]) -> dict[str, bytes]:
    return {path: content for path, content in images().items() if not gone(path)}


def with_list(stem: str, old: str, new: str) -> dict[str, bytes]:
    path = f"mini-imagenet/{stem}.csv"
    assert old.encode() in images()[path]
    return {**images(), path: images()[path].replace(old.encode(), new.encode())}


FIRST, SECOND = (f"{label}00000001.jpg" for label in labels("train")[:2])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            without(lambda path: path.endswith("00000002.jpg")),
            r"lacks 64 of the 128 images that train\.csv .* among them n10000000",
        ),
        (
            with_list("train", "filename,label", "file,class"),
            r"train\.csv .* the columns \['file', 'class'\]",
        ),
        (with_list("train", FIRST, SECOND), r"train\.csv .* names an image twice"),
        (
            with_list("test", f",{labels('test')[0]}", f",{labels('test')[1]}"),
            r"'test' .* has 19 classes; .* has 20",
        ),
        (
            with_list("test", f",{labels('test')[0]}", f",{labels('train')[0]}"),
            r"'test' .* has 20 classes, 1 of them in an earlier split too \(n10000000\)",
        ),
        ({**images(), "mini-imagenet/old/val.csv": b"x"}, r"two lists val\.csv"),
        ({**images(), "mini-imagenet/val.csv": b"filename,label\n\xff\xfe"}, r"split list val\.csv"),
        (
            {**images(), f"mini-imagenet/images/{FIRST}": drawn(1, (84, 83), kind="JPEG")},
            rf"{FIRST} in .* is 84x83 pixels, but the images of source 'miniimagenet' are 84x84",
        ),
        (
            {**images(), f"mini-imagenet/images/{FIRST}": drawn(1, (84, 84), kind="JPEG")[:300]},
            rf"{FIRST} in .*, of class 'n10000000' .* no readable image",
        ),
    ],
)
def test_broken_images_and_lists_are_named(files: Mapping[str, bytes], message: str, tmp_path: Path) -> None:
    pack(tmp_path, "mini-imagenet", files, "zip")
    with pytest.raises(DataError, match=message):
        read(MiniImageNet(), tmp_path)


def test_images_of_any_size_on_demand(tmp_path: Path) -> None:
    files = {**images(), f"mini-imagenet/images/{FIRST}": drawn(1, (50, 40), kind="JPEG")}
    pack(tmp_path, "mini-imagenet", files, "zip")
    anything = MiniImageNet(any_size=True)
    assert (native_size(MiniImageNet()), native_size(anything)) == (84, None)
    parts = [images.shape for _, images in anything.read("train", [labels("train")[0]], tmp_path)]
    assert parts == [(1, 40, 50, 3), (1, 84, 84, 3)]


def test_nothing_there_and_wrong_parameters(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="twitter-research/meta-learning-lstm"):
        MiniImageNet().fingerprint(tmp_path)
    with pytest.raises(ConfigError, match=r"MiniImageNet\.any_size must be True or False"):
        MiniImageNet(any_size=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"MiniImageNet\.route must be one of 'auto', 'images', 'pickles'"):
        MiniImageNet(route="tfds")


def test_a_source_of_another_name_is_in_the_same_folder(tmp_path: Path) -> None:
    pack(tmp_path / "miniimagenet", "mini-imagenet", images(), "zip")
    assert MiniImageNet(name="mine").fingerprint(tmp_path) == MiniImageNet().fingerprint(tmp_path)
