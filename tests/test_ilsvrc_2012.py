"""ILSVRC 2012 from unpacked images: found where people have them, whole, and without those left out."""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.dataset import SPLITS
from harness.errors import DataError, MissingDataError
from harness_datasets import ilsvrc_2012_original
from harness_datasets.ilsvrc_2012 import ILSVRC2012
from harness_datasets.ilsvrc_2012_classes import left_out
from harness_datasets.ilsvrc_2012_graph import classes_of, groups_of
from harness_datasets.raw_files import RawFolder
from packing import drawn, write_tree

WNIDS = [wnid for split in SPLITS for wnid in classes_of(split)]
FISH = "ilsvrc2012_fish_birds_84.zip"
GOLDFISH = "n01443537"
"""Three of its images are left out, among them number 1194."""
PICTURE = drawn(3, kind="JPEG")


@pytest.fixture
def one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class is whole with a single image."""
    monkeypatch.setattr(ilsvrc_2012_original, "sizes_of_ilsvrc_2012", lambda: dict.fromkeys(WNIDS, 1))


def folders(changed: Mapping[str, bytes | None] = {}) -> dict[str, bytes]:
    """A folder for each class with an image, and one that is left out; None takes one away."""
    files: dict[str, bytes | None] = {f"{wnid}/{wnid}_2.JPEG": PICTURE for wnid in WNIDS}
    files |= {f"{GOLDFISH}/{GOLDFISH}_1194.JPEG": drawn(1, kind="JPEG"), **changed}
    return {path: content for path, content in files.items() if content is not None}


def unpacked(place: Path, changed: Mapping[str, bytes | None] = {}) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    write_tree(place, folders(changed))
    return place


@pytest.mark.usefixtures("one_each")
def test_unpacked_images_have_the_official_classes_and_groups(tmp_path: Path) -> None:
    place, source = unpacked(tmp_path / "train"), ILSVRC2012()
    for split in SPLITS:
        assert dict(source.class_sizes(split, tmp_path)) == dict.fromkeys(classes_of(split), 1)
        assert list(source.class_sizes(split, tmp_path)) == classes_of(split)
        assert source.class_groups(split, tmp_path) == groups_of(split)
    ((name, images),) = source.read("train", [GOLDFISH], tmp_path)
    with Image.open(io.BytesIO(PICTURE)) as image:
        assert np.array_equal(images, np.asarray(image)[np.newaxis])
    assert name == GOLDFISH
    before = source.fingerprint(tmp_path)
    (place / GOLDFISH / f"{GOLDFISH}_1194.JPEG").unlink()  # it was left out anyway
    assert source.fingerprint(tmp_path) == before
    (place / GOLDFISH / f"{GOLDFISH}_2.JPEG").unlink()
    write_tree(place, {f"{GOLDFISH}/{GOLDFISH}_2.JPEG": PICTURE + b" "})
    assert source.fingerprint(tmp_path) != before


@pytest.mark.usefixtures("one_each")
def test_the_files_are_listed_once_while_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, listings = unpacked(tmp_path), []
    list_files = RawFolder.listing
    monkeypatch.setattr(RawFolder, "listing", lambda raw: listings.append(raw) or list_files(raw))
    for _ in range(3):
        ILSVRC2012().find(place)
    assert len(listings) == 1
    (place / GOLDFISH / f"{GOLDFISH}_2.JPEG").unlink()
    with pytest.raises(DataError, match=f"1 missing: '{GOLDFISH}'"):
        ILSVRC2012().find(place)


@pytest.mark.usefixtures("one_each")
def test_the_groups_are_part_of_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ILSVRC2012().fingerprint(unpacked(tmp_path))
    monkeypatch.setattr(ilsvrc_2012_original, "groups_of", lambda _: groups_of("test"))
    ilsvrc_2012_original._tree.cache_clear()
    assert ILSVRC2012().fingerprint(tmp_path) != before


@pytest.mark.usefixtures("one_each")
@pytest.mark.parametrize(
    "below",
    [
        "ilsvrc_2012",
        "ilsvrc_2012/train",
        "ILSVRC2012_img_train",
        "ILSVRC/Data/CLS-LOC/train",
        "imagenet/train",
        "ImageNet/ILSVRC/Data/CLS-LOC/train",
        "imagenet-object-localization-challenge/ILSVRC/Data/CLS-LOC/train",
    ],
)
def test_the_folder_is_found_where_people_have_it(
    below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    unpacked(here / below)
    (here / below).joinpath("LOC_train.csv").write_text("")
    write_tree(here / below, {"n09999999/n09999999_1.JPEG": b"", "val/ILSVRC2012_val_00000001.JPEG": b""})
    raw = ILSVRC2012().find(here)
    assert raw.location == here / below
    prints = {raw.fingerprint(), ILSVRC2012(route="original").fingerprint(here / below)}
    monkeypatch.chdir(here / below)
    assert prints == {ILSVRC2012().fingerprint(Path())}


@pytest.mark.parametrize("folder", ["train", "imagenet/train", ""])
def test_fewer_than_half_of_its_folders_are_no_imagenet(folder: str, tmp_path: Path) -> None:
    write_tree(tmp_path / folder, {f"{wnid}/images/{wnid}_1.JPEG": b"" for wnid in WNIDS[::5]})
    with pytest.raises(
        MissingDataError, match=r"the forms 'md_tfds', 'original', 'records', 'tfds'\. .*tars are not read"
    ):
        ILSVRC2012().find(tmp_path)


@pytest.mark.usefixtures("one_each")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({f"{WNIDS[5]}/{WNIDS[5]}_2.JPEG": None}, rf"of its 1000 classes 1 missing: '{WNIDS[5]}'\. "),
        (
            {f"{WNIDS[5]}/{WNIDS[5]}_2.JPEG": None, f"{WNIDS[5]}/{WNIDS[5]}.tar": b""},
            rf"of its 1000 classes 1 missing: '{WNIDS[5]}'\. ",
        ),
        (
            {f"{WNIDS[5]}/{WNIDS[5]}_3.JPEG": PICTURE},
            rf"class '{WNIDS[5]}' has 2 images, not 1\. It has 1001 of 1000 images in all",
        ),
        (
            {f"{wnid}/{wnid}_3.JPEG": PICTURE for wnid in WNIDS[5:8]},
            rf"class '{WNIDS[5]}' has 2 images, not 1, nor are 2 other classes whole\. ",
        ),
        (
            {f"{WNIDS[5]}/3.JPEG": PICTURE},
            rf"{WNIDS[5]}/3\.JPEG in .* is not called as .*'{WNIDS[5]}_10026\.JPEG'",
        ),
        (
            {f"{WNIDS[5]}/{WNIDS[6]}_2.JPEG": PICTURE},
            rf"{WNIDS[5]}/{WNIDS[6]}_2\.JPEG in .* is not called as",
        ),
    ],
)
def test_what_is_missing_or_too_much_is_named(
    changed: dict[str, bytes | None], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        ILSVRC2012().find(unpacked(tmp_path, changed))


def test_the_images_of_each_class_are_counted(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"class 'n01440764' has 1 images, not 1300, nor are 999 .*1000 of 1280764 images"
    ):
        ILSVRC2012().find(unpacked(tmp_path))


@pytest.mark.usefixtures("one_each")
def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    unpacked(tmp_path, {f"{GOLDFISH}/{GOLDFISH}_2.JPEG": PICTURE[:300]})
    with pytest.raises(
        DataError, match=rf"{GOLDFISH}_2\.JPEG in .*, of class '{GOLDFISH}' of .*'ilsvrc_2012'"
    ):
        list(ILSVRC2012().read("train", [GOLDFISH], tmp_path))


@pytest.fixture
def real(data_dir: Path) -> Callable[[str], dict[str, bytes]]:
    """The real JPEGs of a class under their names, as in `n01443537/n01443537_1194.JPEG`."""
    if not (data_dir / FISH).is_file():
        pytest.skip(f"no {FISH} in {data_dir}")

    def read(wnid: str) -> dict[str, bytes]:
        with zipfile.ZipFile(data_dir / FISH) as archive:
            names = [name for name in archive.namelist() if name.startswith(f"{wnid}/{wnid}_")]
            return {f"{Path(name).with_suffix('.JPEG')}": archive.read(name) for name in names}

    return read


def test_real_images_are_read_in_order_without_those_left_out(
    real: Callable[[str], dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = real(GOLDFISH)
    kept = sorted(path for path in images if path.partition("/")[2] not in left_out())
    sizes = dict.fromkeys(WNIDS, 1) | {GOLDFISH: len(kept)}
    monkeypatch.setattr(ilsvrc_2012_original, "sizes_of_ilsvrc_2012", lambda: sizes)
    unpacked(tmp_path / "train", {f"{GOLDFISH}/{GOLDFISH}_2.JPEG": None, **images})
    read = [image for _, part in ILSVRC2012().read("train", [GOLDFISH], tmp_path) for image in part]
    assert len(read) == len(kept) >= 25
    for path, found in zip(kept, read, strict=True):
        with Image.open(io.BytesIO(images[path])) as image:
            assert np.array_equal(found, np.asarray(image.convert("RGB"))), path
