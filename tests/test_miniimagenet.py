"""miniImageNet from images with lists and from pickles: whole, as stored, and no stranger's code is run."""

import io
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from harness.dataset import native_size
from harness.errors import ConfigError, DataError, MissingDataError
from harness_datasets.miniimagenet import MiniImageNet
from harness_datasets.raw_files import raw_folder_at
from packing import FORMS, drawn, pack, write_tree

STEMS = {"train": "train", "valid": "val", "test": "test"}
COUNTS = {"train": 64, "valid": 16, "test": 20}
REAL = "mini_imagenet_100x100.zip"


@cache
def labels(split: str) -> tuple[str, ...]:
    start = {"train": 0, "valid": 64, "test": 80}[split]
    return tuple(f"n{10_000_000 + (start + k) * 7}" for k in range(COUNTS[split]))


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


def arrays(split: str, each: int = 2) -> dict[str, Any]:
    rng = np.random.default_rng(len(split))
    pixels = rng.integers(0, 256, (COUNTS[split] * each, 84, 84, 3), np.uint8)
    order = rng.permutation(len(pixels)).reshape(-1, each)
    classes = {label: order[at].tolist() for at, label in enumerate(reversed(labels(split)))}
    return {"image_data": pixels, "class_dict": classes}


Dump = Callable[[Mapping[str, Any]], bytes]


def python2(content: Mapping[str, Any]) -> bytes:
    """As cPickle of Python 2 writes it with protocol 2: texts and pixels are byte strings, numpy under its old name."""

    def text(value: str | bytes) -> bytes:
        raw = value.encode() if isinstance(value, str) else value
        return pickle.BINSTRING + struct.pack("<i", len(raw)) + raw

    def number(value: int) -> bytes:
        return pickle.BININT + struct.pack("<i", value)

    def listed(values: list[int]) -> bytes:
        return pickle.EMPTY_LIST + pickle.MARK + b"".join(map(number, values)) + pickle.APPENDS

    def array(values: npt.NDArray[np.uint8]) -> bytes:
        make = b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + number(0) + pickle.TUPLE1
        make += text("b") + pickle.TUPLE3 + pickle.REDUCE
        dtype = b"cnumpy\ndtype\n" + text("u1") + number(0) + number(1) + pickle.TUPLE3 + pickle.REDUCE
        state = pickle.MARK + number(3) + text("|") + pickle.NONE * 3 + number(-1) + number(-1) + number(0)
        dtype += state + pickle.TUPLE + pickle.BUILD
        shape = pickle.MARK + b"".join(map(number, values.shape)) + pickle.TUPLE
        state = pickle.MARK + number(1) + shape + dtype + pickle.NEWFALSE + text(values.tobytes())
        return make + state + pickle.TUPLE + pickle.BUILD

    classes = b"".join(text(name) + listed(rows) for name, rows in content["class_dict"].items())
    return (
        pickle.PROTO
        + b"\x02"
        + pickle.EMPTY_DICT
        + pickle.MARK
        + text("image_data")
        + array(content["image_data"])
        + text("class_dict")
        + pickle.EMPTY_DICT
        + pickle.MARK
        + classes
        + pickle.SETITEMS
        + pickle.SETITEMS
        + pickle.STOP
    )


def protocol(number: int) -> Dump:
    return lambda content: pickle.dumps(dict(content), protocol=number)


def byte_keys(content: Mapping[str, Any]) -> bytes:
    classes = OrderedDict((name.encode(), np.array(rows)) for name, rows in content["class_dict"].items())
    return pickle.dumps({b"image_data": content["image_data"], b"class_dict": classes}, protocol=2)


def pickles(dump: Dump = python2, **changed: bytes) -> dict[str, bytes]:
    """The three files, in the folder `mini-imagenet`; `changed` replaces the content of a split's file."""
    return {
        f"mini-imagenet/mini-imagenet-cache-{stem}.pkl": changed.get(split) or dump(arrays(split))
        for split, stem in STEMS.items()
    }


def read(dataset: MiniImageNet, place: Path) -> dict[str, npt.NDArray[np.uint8]]:
    found: dict[str, npt.NDArray[np.uint8]] = {}
    for split in dataset.splits:
        for name, part in dataset.read(split, list(dataset.class_sizes(split, place)), place):
            found[name] = np.concatenate([found[name], part]) if name in found else part
    return found


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


@pytest.mark.parametrize("dump", [python2, protocol(2), protocol(4), protocol(5), byte_keys])
def test_pickles_of_any_python_are_read_as_stored(dump: Dump, tmp_path: Path) -> None:
    pack(tmp_path, "mini-imagenet", pickles(dump), "tar.gz")
    found = read(MiniImageNet(), tmp_path)
    for split in STEMS:
        content = arrays(split)
        for label, rows in content["class_dict"].items():
            np.testing.assert_array_equal(found[label], content["image_data"][rows])
    assert list(found) == [label for split in STEMS for label in labels(split)]


def test_pickles_in_every_form_have_one_fingerprint(tmp_path: Path) -> None:
    prints = set()
    for form in ("folder", "zip", "tgz"):
        pack(tmp_path / form, "mini-imagenet", pickles(), form)
        prints.add(MiniImageNet().fingerprint(tmp_path / form))
    write_tree(tmp_path / "loose", {path.rpartition("/")[2]: content for path, content in pickles().items()})
    prints.add(MiniImageNet(route="pickles").fingerprint(tmp_path / "loose"))
    assert len(prints) == 1
    changed = python2({**arrays("valid"), "image_data": 255 - arrays("valid")["image_data"]})
    pack(tmp_path / "changed", "mini-imagenet", pickles(valid=changed), "zip")
    assert MiniImageNet().fingerprint(tmp_path / "changed") not in prints


class Hostile:
    """Would make a file when unpickled."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._made = call, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._made


def test_a_hostile_pickle_is_refused_and_nothing_of_it_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "run"
    for evil in (
        Hostile(os.system, f"touch {mark}"),
        Hostile(eval, f"open({str(mark)!r}, 'w')"),
        Hostile(getattr, "", "join"),
        Hostile(np.load, str(mark)),
    ):
        for content in ({**arrays("valid"), "class_dict": evil}, {"image_data": evil}, evil):
            pack(tmp_path, "mini-imagenet", pickles(valid=pickle.dumps(content, protocol=2)), "zip")
            with pytest.raises(
                DataError, match=r"cache-val\.pkl in .*zip is no readable pickle .*no place in"
            ):
                MiniImageNet().class_sizes("valid", tmp_path)
    assert not mark.exists()


def test_bytes_that_only_a_codec_makes_large_are_refused(tmp_path: Path) -> None:
    content = b"\x80\x02c_codecs\nencode\nX\x01\0\0\0aX\x04\0\0\0zlib\x86R."
    pack(tmp_path, "mini-imagenet", pickles(valid=content), "zip")
    with pytest.raises(DataError, match="asks for the codec 'zlib'"):
        MiniImageNet().class_sizes("valid", tmp_path)


def broken(**changed: Any) -> bytes:
    return pickle.dumps({**arrays("valid"), **changed})


PIXELS = arrays("valid")["image_data"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (python2(arrays("valid"))[:-5000], r"cache-val\.pkl in .* is no readable pickle"),
        (b"", r"cache-val\.pkl in .* is no readable pickle"),
        (b"<html>", r"cache-val\.pkl in .* is no readable pickle"),
        (pickle.dumps([1, 2]), r"holds a list, not a dictionary"),
        (pickle.dumps({"image_data": PIXELS}), r"has no entry 'class_dict'; it has \['image_data'\]"),
        (broken(image_data=PIXELS.astype(float)), r"image_data .* no array of uint8"),
        (broken(image_data=PIXELS[:, :80]), r"image_data .* no array of uint8"),
        (broken(class_dict=[1]), r"class_dict .* is no dictionary"),
        (broken(class_dict={"a": [0, 1]}), r"does not put each of its 32 images into one class"),
        (broken(class_dict={"a": [0, "x"]}), r"does not put each of its 32 images into one class"),
        (broken(image_data=PIXELS[:31]), r"does not put each of its 31 images into one class"),
        (python2(arrays("test")), r"'valid' .* has 20 classes; .* has 16"),
    ],
)
def test_broken_pickles_are_named(content: bytes, message: str, tmp_path: Path) -> None:
    files = pickles()
    files["mini-imagenet/mini-imagenet-cache-val.pkl"] = content
    pack(tmp_path, "mini-imagenet", files, "zip")
    with pytest.raises(DataError, match=message):
        MiniImageNet().class_sizes("valid", tmp_path)


def test_a_missing_pickle_is_named(tmp_path: Path) -> None:
    files = {path: content for path, content in pickles().items() if "train" not in path}
    pack(tmp_path, "mini-imagenet", files, "zip")
    with pytest.raises(DataError, match=r"lacks mini-imagenet-cache-train\.pkl"):
        MiniImageNet().fingerprint(tmp_path)


def test_nothing_there_and_wrong_parameters(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="twitter-research/meta-learning-lstm"):
        MiniImageNet().fingerprint(tmp_path)
    with pytest.raises(ConfigError, match=r"MiniImageNet\.any_size must be True or False"):
        MiniImageNet(any_size=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"MiniImageNet\.route must be one of 'auto', 'images', 'pickles'"):
        MiniImageNet(route="tfds")
