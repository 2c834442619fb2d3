"""Images in class folders: every form alike, images as PIL has them, and never a silently smaller data set."""

import io
import json
import tarfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from harness.errors import ConfigError, DataError, MissingDataError
from harness_datasets import image_tree
from harness_datasets.image_folder import ImageFolder
from packing import FORMS, drawn, pack, write_tree

SEVEN = ["dog", "elephant", "giraffe", "guitar", "horse", "house", "person"]


def files(top: str = "animals", each: int = 3) -> dict[str, bytes]:
    """Three classes of images in sizes that differ, and files that are no images."""
    made = {
        f"{top}/{name}/{name}{k}.png": drawn(at * 7 + k, (8 + (at + k) % 3, 9))
        for at, name in enumerate(("cat", "dog", "owl"))
        for k in range(each)
    }
    litter = ("Thumbs.db", "cat/Thumbs.db", "cat/.DS_Store", "dog/notes.txt", "owl/._owl1.png")
    return made | {f"{top}/{name}": b"litter" for name in litter}


def read(dataset: ImageFolder, place: Path | None) -> dict[str, list[npt.NDArray[np.uint8]]]:
    found: dict[str, list[npt.NDArray[np.uint8]]] = {}
    for split in dataset.splits:
        for name, images in dataset.read(split, list(dataset.class_sizes(split, place)), place):
            found.setdefault(name, []).extend(images)
    return found


def sizes(dataset: ImageFolder, place: Path) -> dict[str, int]:
    return {
        name: size for split in dataset.splits for name, size in dataset.class_sizes(split, place).items()
    }


def decoded(content: bytes) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_the_same_images_under_the_same_fingerprint(form: str, tmp_path: Path) -> None:
    zipped = pack(tmp_path / "zip", "animals", files(), "zip")
    path = pack(tmp_path / form, "animals", files(), form)
    dataset = ImageFolder(path=path.name)
    assert dataset.fingerprint(tmp_path / form) == ImageFolder().fingerprint(zipped)
    assert sizes(dataset, tmp_path / form) == {"cat": 3, "dog": 3, "owl": 3}
    found = read(dataset, tmp_path / form)
    assert list(found) == ["cat", "dog", "owl"]
    for name, images in found.items():
        for k, image in enumerate(images):
            np.testing.assert_array_equal(image, decoded(files()[f"animals/{name}/{name}{k}.png"]))


def test_the_path_may_be_absolute_relative_or_the_data_folder_itself(tmp_path: Path) -> None:
    path = pack(tmp_path, "animals", files(), "folder")
    prints = {
        ImageFolder(path=str(path)).fingerprint(None),
        ImageFolder(path=str(path)).fingerprint(tmp_path / "elsewhere"),
        ImageFolder(path="animals").fingerprint(tmp_path),
        ImageFolder().fingerprint(path),
    }
    assert len(prints) == 1


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["a/1.png", "b/1.png"], ["a", "b"]),
        (["x/a/1.png", "x/b/1.png"], ["a", "b"]),
        (["x/y/a/1.png", "x/y/b/1.png", "x/read.txt"], ["a", "b"]),
        (["x/a/p/1.png", "x/a/q/1.png", "x/b/p/1.png"], ["a/p", "a/q", "b/p"]),
        (["a/images/1.png", "b/images/1.png", "b/b_boxes.txt"], ["a", "b"]),
        (["x/a/1.png", "y/b/1.png"], ["x/a", "y/b"]),
        (["a/1.png", "a/b/1.png", "c/1.png"], ["a", "a/b", "c"]),
        (["b b/1.png", "ä/1.png", "B/1.png"], ["B", "b b", "ä"]),
    ],
)
@pytest.mark.parametrize("form", ["zip", "folder"])
def test_which_folder_is_which_class(names: list[str], classes: list[str], form: str, tmp_path: Path) -> None:
    made = {f"top/{name}": drawn(k) for k, name in enumerate(names) if name.endswith(".png")}
    made |= {f"top/{name}": b"text" for name in names if not name.endswith(".png")}
    if form == "zip":
        with zipfile.ZipFile(tmp_path / "top.zip", "w") as archive:
            for name, content in made.items():
                archive.writestr(name.removeprefix("top/"), content)
        path = tmp_path / "top.zip"
    else:
        path = pack(tmp_path, "top", made, form)
    assert list(ImageFolder().class_sizes("test", path)) == classes


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_inside_names_the_folder_of_the_class_folders(form: str, tmp_path: Path) -> None:
    made = {"top/train/a/1.png": drawn(1), "top/train/b/1.png": drawn(2), "top/test/c/1.png": drawn(3)}
    path = pack(tmp_path, "top", made, form)
    inside = "top/train" if form == "zip" else "train"
    assert list(ImageFolder(inside=inside).class_sizes("test", path)) == ["a", "b"]
    assert list(ImageFolder(inside=f"{inside}/").class_sizes("test", path)) == ["a", "b"]
    assert list(ImageFolder().class_sizes("test", path)) == ["test/c", "train/a", "train/b"]
    with pytest.raises(DataError, match=r"no files inside 'tarin'\. At its top are .*name the folder"):
        ImageFolder(inside="tarin").class_sizes("test", path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("hollow", ["empty", "only text"])
def test_a_class_folder_without_images_is_named(form: str, hollow: str, tmp_path: Path) -> None:
    made = files()
    if hollow == "only text":
        made["animals/emu/emu.txt"] = b"no image"
    path = pack(tmp_path, "animals", made, form)
    if hollow == "empty" and form == "folder":
        (path / "emu").mkdir()
    elif hollow == "empty" and form == "zip":
        with zipfile.ZipFile(path, "a") as archive:
            archive.mkdir("animals/emu")
    elif hollow == "empty":
        with tarfile.open(path, "w" if form == "tar" else "w:gz") as tar:
            for name, content in made.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            info = tarfile.TarInfo("animals/emu")
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
    with pytest.raises(DataError, match=r"class folder 'emu' in .*animals.* has no image"):
        ImageFolder().class_sizes("test", path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["top/1.png", "top/2.png"], r"no folder with images"),
        (["top/a/1.txt"], r"no folder with images.*Images are files that end in '\.bmp'"),
        (["top/a/1.png", "top/2.png"], r"images beside class folders, among them top/2\.png"),
    ],
)
def test_folders_that_are_no_class_folders_are_explained(
    names: list[str], message: str, tmp_path: Path
) -> None:
    path = pack(tmp_path, "top", {name: drawn(1) for name in names}, "folder")
    with pytest.raises(DataError, match=message):
        ImageFolder().fingerprint(path)


@pytest.mark.parametrize(
    "content", [b"", b"not an image", drawn(3)[:60], drawn(3, (40, 40), kind="JPEG")[:500]]
)
def test_an_undecodable_image_is_named_with_its_class(content: bytes, tmp_path: Path) -> None:
    for form in ("zip", "folder"):
        path = pack(tmp_path, "animals", {**files(), "animals/dog/dog1.png": content}, form)
        dataset = ImageFolder(name="mine")
        assert dataset.class_sizes("test", path)["dog"] == 3
        assert len(list(dataset.read("test", ["cat"], path)))
        with pytest.raises(DataError, match=r"dog/dog1\.png in .*, of class 'dog' of source 'mine'"):
            list(dataset.read("test", ["dog"], path))


def test_bad_images_are_left_out_only_on_demand_and_never_in_silence(tmp_path: Path) -> None:
    spoilt = {"animals/dog/dog1.png": b"not an image", "animals/owl/owl0.png": drawn(3)[:60]}
    path = pack(tmp_path, "animals", {**files(), **spoilt}, "zip")
    dataset = ImageFolder(on_bad_image="skip")
    with pytest.warns(
        UserWarning, match=r"2 of 9 images in .*animals\.zip cannot be decoded and are left out.*dog1\.png"
    ):
        assert sizes(dataset, path) == {"cat": 3, "dog": 2, "owl": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once and not at every question
        found = read(dataset, path)
        assert dataset.fingerprint(path).endswith("-without-2")
    assert {name: len(images) for name, images in found.items()} == {"cat": 3, "dog": 2, "owl": 2}
    for image, k in zip(found["dog"], (0, 2), strict=True):
        np.testing.assert_array_equal(image, decoded(files()[f"animals/dog/dog{k}.png"]))
    assert ImageFolder().fingerprint(path) != dataset.fingerprint(path)
    whole = pack(tmp_path / "whole", "animals", files(), "zip")
    assert dataset.fingerprint(whole) == ImageFolder().fingerprint(whole)


def test_a_class_without_a_readable_image_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path, "animals", {**files(each=1), "animals/dog/dog0.png": b"x"}, "folder")
    with (
        pytest.warns(UserWarning, match="1 of 3 images"),
        pytest.raises(
            DataError, match=r"Class 'dog' of source 'image_folder' .* no image that can be decoded"
        ),
    ):
        ImageFolder(on_bad_image="skip").class_sizes("test", path)


def test_a_changed_renamed_or_moved_image_changes_the_fingerprint(tmp_path: Path) -> None:
    first = files()
    moved = {path.replace("dog/dog2", "cat/dog2"): content for path, content in first.items()}
    renamed = {path.replace("dog2", "dog9"): content for path, content in first.items()}
    changed = {**first, "animals/dog/dog2.png": drawn(99)}
    littered = {**first, "animals/more litter.txt": b"x"}
    prints = [
        ImageFolder().fingerprint(pack(tmp_path / str(k), "animals", made, "zip"))
        for k, made in enumerate((first, moved, renamed, changed, littered))
    ]
    assert len(set(prints)) == 4
    assert prints[0] == prints[4]
    zipped = tmp_path / "0" / "animals.zip"
    assert ImageFolder(channels=1).fingerprint(zipped) != prints[0]
    assert ImageFolder(fractions=(0.4, 0.3, 0.3)).fingerprint(zipped) != prints[0]


def test_beyond_a_number_of_images_only_sizes_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_tree, "CHECKSUM_LIMIT", 8)
    prints = {ImageFolder().fingerprint(pack(tmp_path / form, "animals", files(), form)) for form in FORMS}
    assert len(prints) == 1
    longer = {**files(), "animals/dog/dog2.png": files()["animals/dog/dog2.png"] + b"x"}
    assert ImageFolder().fingerprint(pack(tmp_path / "other", "animals", longer, "zip")) not in prints


def test_classes_are_dealt_by_lists_files_and_fractions(tmp_path: Path) -> None:
    made = {f"top/c{k}/1.png": drawn(k) for k in range(10)}
    pack(tmp_path, "top", made, "zip")
    (tmp_path / "train.txt").write_text("c0\nc1\nc2\nc3\nc4\n")
    (tmp_path / "valid.json").write_text(json.dumps(["c5", "c6"]))
    listed = ImageFolder(
        path="top.zip", train_classes="train.txt", valid_classes="valid.json", test_classes=["c7", "c8", "c9"]
    )
    expected = {"train": [0, 1, 2, 3, 4], "valid": [5, 6], "test": [7, 8, 9]}
    for split, numbers in expected.items():
        assert list(listed.class_sizes(split, tmp_path)) == [f"c{k}" for k in numbers]
    dealt = ImageFolder(path="top.zip", fractions=(0.5, 0.2, 0.3))
    assert [len(dealt.class_sizes(split, tmp_path)) for split in dealt.splits] == [5, 2, 3]
    assert len(sizes(dealt, tmp_path)) == 10
    before = listed.fingerprint(tmp_path)
    (tmp_path / "train.txt").write_text("c0\nc1\nc2\nc3\n")
    (tmp_path / "valid.json").write_text(json.dumps(["c4", "c5", "c6"]))
    assert listed.fingerprint(tmp_path) != before
    (tmp_path / "valid.json").write_text(json.dumps(["c5", "c6"]))
    with pytest.raises(DataError, match=r"top\.zip has 1 classes that are in no list, among them 'c4'"):
        listed.fingerprint(tmp_path)


@pytest.mark.parametrize(
    ("file", "inside", "classes", "images"),
    [
        ("pacs_photo_84", "", SEVEN, 280),
        ("pacs_sketch_84", "", SEVEN, 280),
        ("grocery_84", "", 81, 2025),
        ("gtsrb_84", "", 43, 1720),
        ("tiny_imagenet_200", "tiny-imagenet-200/train", 200, 5000),
    ],
)
def test_real_archives_are_read_whole(
    file: str, inside: str, classes: Any, images: int, data_dir: Path
) -> None:
    path = data_dir / f"{file}.zip"
    if not path.is_file():
        pytest.skip(f"no {path}")
    dataset = ImageFolder(path=path.name, inside=inside, name=file, fractions=(0.6, 0.2, 0.2))
    found = sizes(dataset, data_dir)
    assert (sorted(found) if isinstance(classes, list) else len(found)) == classes
    assert sum(found.values()) == images
    whole = read(dataset, data_dir)
    assert {name: len(some) for name, some in whole.items()} == found
    name = list(found)[2]
    with zipfile.ZipFile(path) as archive:
        members = sorted(m for m in archive.namelist() if f"{name}/" in m and not m.endswith((".txt", "/")))
        for at in (0, len(members) - 1):
            np.testing.assert_array_equal(whole[name][at], decoded(archive.read(members[at])))


def test_a_real_archive_and_its_unpacked_folder_are_one(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "pacs_cartoon_84.zip"
    if not path.is_file():
        pytest.skip(f"no {path}")
    with zipfile.ZipFile(path) as archive:
        content = {f"pacs/{name}": archive.read(name) for name in archive.namelist()}
    prints = {
        ImageFolder().fingerprint(pack(tmp_path, "pacs", content, form)) for form in ("folder", "tar", "tgz")
    }
    assert prints == {ImageFolder().fingerprint(path)}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"channels": 4}, r"ImageFolder\.channels must be 1 \(grey\) or 3 \(RGB\); got 4"),
        ({"on_bad_image": "ignore"}, r"ImageFolder\.on_bad_image must be one of 'refuse', 'skip'"),
        ({"inside": "../other"}, r"ImageFolder\.inside .* got '\.\./other'"),
        ({"inside": "/etc"}, r"ImageFolder\.inside"),
        ({"path": 3}, r"ImageFolder\.path must be text"),
        ({"fractions": (1, 1, 1)}, r"ImageFolder\.fractions"),
        ({"name": "a/b"}, r"ImageFolder\.name"),
    ],
)
def test_wrong_parameters_are_config_errors(parameters: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ImageFolder(**parameters)


def test_nothing_there_says_where_it_looked(tmp_path: Path) -> None:
    write_tree(tmp_path, {"x.txt": b"x"})
    for path in ("none.zip", "x.txt"):
        with pytest.raises(MissingDataError, match=rf"{tmp_path / path} is no folder and no archive"):
            ImageFolder(path=path).fingerprint(tmp_path)
    with pytest.raises(MissingDataError, match=r"are in 'none\.zip', but no data folder was named"):
        ImageFolder(path="none.zip").fingerprint(None)


def test_one_class_and_the_same_class_in_two_parts_are_refused(tmp_path: Path) -> None:
    path = pack(tmp_path, "one", {"one/x/a/1.png": drawn(0), "one/x/a/2.png": drawn(1)}, "folder")
    with pytest.raises(DataError, match=r"has one folder of images, 'a', so source .* would have one class"):
        ImageFolder().class_sizes("test", path)
    parts = {f"parts/{part}/{name}/1.png": drawn(0) for part in ("train", "test") for name in ("cat", "dog")}
    path = pack(tmp_path, "parts", parts, "folder")
    with pytest.raises(
        DataError, match=r"has the class 'cat' in each of .*\(2 such classes\).*inside = 'test'"
    ):
        ImageFolder().class_sizes("test", path)
    assert list(ImageFolder(inside="train").class_sizes("test", path)) == ["cat", "dog"]


def test_files_that_are_no_images_by_their_names_are_counted(tmp_path: Path) -> None:
    made = {f"odd/{name}/1.png": drawn(0) for name in ("cat", "dog")}
    others = {"odd/cat/2": drawn(1), "odd/cat/3.svg": b"x", "odd/dog/a.txt": b"x"}
    path = pack(tmp_path, "odd", {**made, **others}, "folder")
    with pytest.warns(
        UserWarning, match=r"2 files in class folders of .* are left out, the first: odd/cat/2"
    ):
        assert ImageFolder().class_sizes("test", path) == {"cat": 1, "dog": 1}
