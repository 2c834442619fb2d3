"""miniImageNet from pickles: of any Python, as stored, and no stranger's code is run."""

import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from harness.errors import DataError
from harness_datasets.miniimagenet import MiniImageNet
from mini import COUNTS, STEMS, labels, read
from packing import pack, write_tree


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


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_the_other_name_of_the_validation_pickle_is_understood(form: str, tmp_path: Path) -> None:
    pack(tmp_path / "1", "mini-imagenet", pickles(), form)
    other = {path.replace("cache-val.", "cache-validation."): content for path, content in pickles().items()}
    pack(tmp_path / "2", "mini-imagenet", other, form)
    loose = {path.rpartition("/")[2]: content for path, content in other.items()}
    write_tree(tmp_path / "3", loose)
    assert len({MiniImageNet().fingerprint(tmp_path / place) for place in "123"}) == 1
    assert list(MiniImageNet().class_sizes("valid", tmp_path / "3")) == list(labels("valid"))
