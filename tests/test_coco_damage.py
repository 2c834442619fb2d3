"""COCO that is damaged, incomplete or not as published is refused by name, with the next step."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coco_data import COCO, original, smaller_totals, with_first, without
from harness.errors import DataError, MissingDataError
from harness_datasets import coco_categories
from harness_datasets.mscoco import MSCOCO
from tfds_data import prepare_coco


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smaller_totals(tmp_path / "cache", monkeypatch)


def test_without_annotations_it_says_what_to_fetch(tmp_path: Path) -> None:
    place = COCO.unpacked(tmp_path / "coco")
    shutil.rmtree(place / "annotations")
    with pytest.raises(DataError, match=r"not their annotations.*fetch annotations_trainval2017\.zip"):
        original(tmp_path)
    with pytest.raises(MissingDataError, match=r"Fetch train2017\.zip"):
        MSCOCO().find(tmp_path / "cache")


def test_missing_and_unknown_photographs_are_named(tmp_path: Path) -> None:
    place, first = COCO.unpacked(tmp_path), min(COCO.files)
    (place / "train2017" / first).rename(place / "train2017" / "000000999999.jpg")
    with pytest.raises(DataError, match=rf"lacks 1 of the 12 photographs .* among them {first}\. Fetch"):
        original(tmp_path).class_sizes("test")
    (place / "train2017" / first).write_bytes(COCO.files[first])
    with pytest.raises(DataError, match=r"has 1 photographs .* does not name, among them 000000999999\.jpg"):
        original(tmp_path).class_sizes("test")
    (place / "train2017" / "more").mkdir()
    (place / "train2017" / "more" / first).write_bytes(COCO.files[first])
    with pytest.raises(DataError, match=rf"has {first} twice"):
        original(tmp_path).fingerprint()
    shutil.rmtree(place / "train2017")
    (place / "train2017").mkdir()
    with pytest.raises(DataError, match=r"has no photograph such as 000000000009\.jpg"):
        original(tmp_path).fingerprint()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"annotations": without("annotations")}, "has 12 photographs with 239 objects, not 12 with 240"),
        ({"images": without("images")}, "has 11 photographs with 240 objects, not 12 with 240"),
        (
            {"categories": without("categories", 3)},
            "The 79 categories .*'motorcycle' is in one of the two lists",
        ),
        ({"categories": with_first("categories", name="human")}, "'human' is in one of the two lists only"),
        ({"categories": with_first("categories", id=1000)}, "they are in another order"),
        ({"annotations": with_first("annotations", category_id=9)}, "an object has no category"),
        ({"annotations": with_first("annotations", category_id=1000)}, "an object has no category"),
        ({"annotations": with_first("annotations", image_id=5)}, "an object is in no photograph"),
        (
            {"annotations": with_first("annotations", bbox=[1, 2, float("nan"), 3])},
            "is not a number of pixels",
        ),
        (
            {"annotations": with_first("annotations", bbox=[1, 2, 3])},
            "is none of its annotations",
        ),
        ({"annotations": with_first("annotations", bbox="1234")}, "is none of its annotations"),
        ({"images": with_first("images", width=0)}, "is not a number of pixels"),
        ({"images": with_first("images", width=None)}, "is none of its images"),
        ({"images": [COCO.annotations["images"][1], *COCO.annotations["images"][1:]]}, "is named twice"),
    ],
)
def test_annotations_that_are_not_as_published_are_refused(
    changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    COCO.changed(**changes).unpacked(tmp_path)
    with pytest.raises(DataError, match=said) as caught:
        original(tmp_path).class_sizes("test")
    assert "Fetch annotations_trainval2017.zip from cocodataset.org again" in str(caught.value)


def test_damaged_annotations_are_named(tmp_path: Path) -> None:
    place = COCO.unpacked(tmp_path / "1")
    path = place / "annotations" / "instances_train2017.json"
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(
        DataError, match=r"The annotations in .* are damaged or none of COCO: .* at character"
    ):
        original(place).class_sizes("test")
    packed = COCO.packed(tmp_path / "2")
    content = bytearray((packed / "annotations_trainval2017.zip").read_bytes())
    content[len(content) // 2] ^= 255
    (packed / "annotations_trainval2017.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"annotations_trainval2017\.zip (is|are) damaged"):
        original(packed).class_sizes("test")


def test_a_photograph_that_is_none_or_another_is_named(tmp_path: Path) -> None:
    place = COCO.unpacked(tmp_path)
    annotation = COCO.annotations["annotations"][0]
    name = f"{annotation['image_id']:012}.jpg"
    path = place / "train2017" / name
    every = {"person": np.arange(3)}
    path.write_bytes(COCO.files[name][:300])
    with pytest.raises(
        DataError, match=rf"train2017/{name} in .*train2017, a photograph of .* no readable image"
    ):
        list(original(tmp_path).read("valid", every))
    with Image.open(io.BytesIO(COCO.files[name])) as image:
        image.resize((200, 100)).save(path)
    with pytest.raises(DataError, match=rf"{name} .* is 200x100 pixels, and its annotations are for \d+x\d+"):
        list(original(tmp_path).read("valid", every))


def test_tfds_data_that_is_not_as_published_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = COCO.unpacked(tmp_path / "coco")
    prepare_coco(tmp_path / "1", place, file_format="tfrecord", part="validation")
    with pytest.raises(DataError, match="has no split 'train'"):
        MSCOCO(route="tfds").find(tmp_path / "1")
    where = prepare_coco(tmp_path / "2", place, file_format="tfrecord")
    monkeypatch.setattr(coco_categories, "OBJECTS", 860_001)
    with pytest.raises(
        DataError, match=r"has 12 photographs with 240 objects, not 12 with 860001\. Prepare coco"
    ):
        MSCOCO(route="tfds").class_sizes("test", tmp_path / "2")
    labels = where / "objects-label.labels.txt"
    labels.write_text(labels.read_text().replace("toaster", "roaster"))
    with pytest.raises(DataError, match=r"'roaster' is in one of the two lists only\. Prepare"):
        MSCOCO(route="tfds").find(tmp_path / "2")
    labels.unlink()
    with pytest.raises(DataError, match="the names of the labels, cannot be read"):
        MSCOCO(route="tfds").find(tmp_path / "2")
