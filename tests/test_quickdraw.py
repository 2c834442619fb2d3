"""Quick, Draw! from the bucket's bitmaps: some words or all, from a folder or an archive, in the official split."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from harness.errors import DataError, MissingDataError
from harness_datasets import quickdraw
from harness_datasets.official_class_names import QUICKDRAW
from harness_datasets.quickdraw import QuickDraw, official_words
from packing import FORMS, pack, write_tree

WORDS = ("apple", "hedgehog", "The Eiffel Tower", "zigzag", "cat")
ARRAYS = QuickDraw(route="npy")


def drawings(number: int, count: int = 6) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (count, 784), np.uint8)


def npy(array: npt.NDArray[np.generic]) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def files(words: tuple[str, ...] = WORDS) -> dict[str, bytes]:
    return {f"quickdraw/{word}.npy": npy(drawings(k, 5 + k)) for k, word in enumerate(words)}


def sizes(place: Path) -> dict[str, Mapping[str, int]]:
    return {split: ARRAYS.class_sizes(split, place) for split in ARRAYS.splits}


def read(place: Path) -> dict[str, npt.NDArray[np.uint8]]:
    parts = [part for split in ARRAYS.splits for part in ARRAYS.read(split, list(sizes(place)[split]), place)]
    return {name: np.concatenate([images for other, images in parts if other == name]) for name, _ in parts}


def test_the_words_and_their_split_are_official(data_dir: Path) -> None:
    path = data_dir / "meta_dataset_specs" / "quickdraw_dataset_spec.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    spec = json.loads(path.read_text())
    names = [spec["class_names"][str(k)] for k in range(345)]
    assert sorted(names) == list(QUICKDRAW)
    assert [word for words in official_words().values() for word in words] == names
    assert QuickDraw.official_images == sum(spec["images_per_class"].values())


@pytest.mark.parametrize("form", FORMS)
def test_drawings_are_as_stored_in_every_form(form: str, tmp_path: Path) -> None:
    pack(tmp_path, "quickdraw", files(), form)
    found = read(tmp_path)
    assert set(found) == set(WORDS)
    for k, word in enumerate(WORDS):
        np.testing.assert_array_equal(found[word], drawings(k, 5 + k).reshape(-1, 28, 28, 1))
    pack(tmp_path / "zip", "quickdraw", files(), "zip")
    assert ARRAYS.fingerprint(tmp_path) == ARRAYS.fingerprint(tmp_path / "zip")
    assert sizes(tmp_path) == sizes(tmp_path / "zip")


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
def test_a_large_class_comes_in_parts_and_a_choice_of_it_is_the_same(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quickdraw, "PART_BYTES", 10 * 784)
    monkeypatch.setattr("harness_datasets.image_files.PART_BYTES", 10 * 784)
    whole = drawings(1, 95)
    pack(tmp_path, "quickdraw", {"quickdraw/cat.npy": npy(whole)}, form)
    parts = [images for _, images in ARRAYS.read("train", ["cat"], tmp_path)]
    assert max(map(len, parts)) == 10
    np.testing.assert_array_equal(np.concatenate(parts).reshape(-1, 784), whole)
    some = QuickDraw(route="npy", max_images_per_class=7)
    chosen = np.concatenate([images for _, images in some.read("train", ["cat"], tmp_path)])
    rows = [int(np.flatnonzero((whole == image.ravel()).all(1))[0]) for image in chosen]
    assert rows == sorted(set(rows))
    assert len(rows) == 7
    assert rows == list(some._chosen("cat", 95))
    assert some.fingerprint(tmp_path) != ARRAYS.fingerprint(tmp_path)


def test_some_words_keep_their_official_split_and_order(tmp_path: Path) -> None:
    pack(tmp_path, "quickdraw", files(), "zip")
    for split, words in official_words().items():
        assert list(sizes(tmp_path)[split]) == [word for word in words if word in WORDS]
    pack(tmp_path / "less", "quickdraw", files(WORDS[:-1]), "zip")
    assert ARRAYS.fingerprint(tmp_path) != ARRAYS.fingerprint(tmp_path / "less")


def test_all_345_words_make_the_official_split(tmp_path: Path) -> None:
    pack(tmp_path, "quickdraw", {f"quickdraw/{word}.npy": npy(drawings(1, 2)) for word in QUICKDRAW}, "zip")
    found = sizes(tmp_path)
    assert {split: len(words) for split, words in found.items()} == dict(QuickDraw.official_classes)
    assert {split: list(words) for split, words in found.items()} == official_words()


def test_a_word_nobody_published_is_refused(tmp_path: Path) -> None:
    pack(tmp_path, "quickdraw", {**files(), "quickdraw/dodo.npy": npy(drawings(1))}, "zip")
    with pytest.raises(DataError, match=r"1 files that are none of the 345 words .*'dodo'"):
        ARRAYS.fingerprint(tmp_path)


def test_names_as_browsers_save_them_are_understood(tmp_path: Path) -> None:
    odd = {"full_numpy_bitmap_apple.npy": drawings(0), "The%20Eiffel%20Tower.npy": drawings(1)}
    write_tree(tmp_path, {name: npy(array) for name, array in odd.items()} | {"cat.txt": b"x"})
    assert set(read(tmp_path)) == {"apple", "The Eiffel Tower"}
    write_tree(tmp_path, {"apple.npy": npy(drawings(3))})
    with pytest.raises(DataError, match=r"has apple\.npy twice"):
        ARRAYS.fingerprint(tmp_path)


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy(drawings(2))[:-1], r"has 4831 bytes, not the 4832 of its 6 drawings: it is truncated"),
        (npy(drawings(2)) + b"x", r"has 4833 bytes, not the 4832"),
        (npy(drawings(2).reshape(-1, 28, 28)), r"holds uint8 \(6, 28, 28\), not the uint8 \(n, 784\)"),
        (npy(drawings(2).astype(np.float32)), r"holds float32 \(6, 784\)"),
        (npy(np.asfortranarray(drawings(2))), r"holds uint8 \(6, 784\)"),
        (npy(drawings(2, 0)), r"holds uint8 \(0, 784\)"),
        (b"PK\x03\x04 not numpy", r"is damaged"),
        (b"", r"is damaged"),
    ],
)
def test_files_of_another_kind_are_named(form: str, content: bytes, message: str, tmp_path: Path) -> None:
    pack(tmp_path, "quickdraw", {**files(), "quickdraw/cat.npy": content}, form)
    for split in ARRAYS.splits:
        if "cat" in official_words()[split]:
            with pytest.raises(DataError, match=rf"quickdraw/cat\.npy in .* {message}"):
                ARRAYS.class_sizes(split, tmp_path)


@pytest.mark.parametrize("limit", [1 << 30, 1000])
def test_a_changed_drawing_changes_the_fingerprint(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quickdraw, "CHECKSUM_BYTES", limit)
    prints = set()
    for form in ("zip", "folder", "tar"):
        pack(tmp_path / form, "quickdraw", files(), form)
        prints.add(ARRAYS.fingerprint(tmp_path / form))
    changed = {**files(), "quickdraw/cat.npy": npy(drawings(8, 9))}
    pack(tmp_path / "other", "quickdraw", changed, "zip")
    assert len(prints) == 1
    assert ARRAYS.fingerprint(tmp_path / "other") not in prints


def test_nothing_there_and_two_there(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="numpy_bitmap"):
        ARRAYS.fingerprint(tmp_path)
    for name in ("quickdraw16", "quickdraw256"):
        pack(tmp_path, name, {f"{name}/cat.npy": npy(drawings(1))}, "zip")
    with pytest.raises(DataError, match=r"has quickdraw16\.zip and quickdraw256\.zip"):
        ARRAYS.fingerprint(tmp_path)
    assert ARRAYS.fingerprint(tmp_path / "quickdraw16.zip") == ARRAYS.fingerprint(
        tmp_path / "quickdraw256.zip"
    )


@pytest.mark.parametrize(
    ("file", "words", "each"), [("quickdraw256_npy", 256, 20), ("quickdraw16_bitmap_npy", 16, 200)]
)
def test_the_real_bitmaps_are_read_whole(file: str, words: int, each: int, data_dir: Path) -> None:
    path = data_dir / f"{file}.zip"
    if not path.is_file():
        pytest.skip(f"no {path}")
    found = sizes(path)
    names = [word for split in found.values() for word in split]
    assert len(names) == len(set(names)) == words
    assert {size for split in found.values() for size in split.values()} == {each}
    pixels = read(path)
    assert {images.shape for images in pixels.values()} == {(each, 28, 28, 1)}
    ink = np.concatenate(list(pixels.values()))
    assert ink.max() == 255
    assert 0.03 < ink.mean() / 255 < 0.4
