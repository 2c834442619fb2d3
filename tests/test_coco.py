"""Objects cut out of MS COCO 2017: by the conversion's rule, and the same from files and from TFDS's records."""

import copy
import io
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from coco_data import COCO, NAMED, SmallCoco, forget_indexes, original, smaller_totals, with_first
from harness.testing import check_dataset
from harness_datasets import coco_original, coco_tfds
from harness_datasets.coco_categories import CATEGORIES
from harness_datasets.coco_objects import CocoObjects, edges_of
from harness_datasets.coco_tfds import boxes_of
from harness_datasets.meta_dataset_spec import read_spec
from harness_datasets.mscoco import MSCOCO
from harness_datasets.official_splits import official_split
from harness_datasets.tfrecord_file import decoded
from tfds_data import prepare_coco

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smaller_totals(tmp_path / "cache", monkeypatch)


def edges(box: list[float], width: int, height: int) -> tuple[int, int, int, int]:
    """The rule of Meta-Dataset's conversion, in Python's own numbers."""
    x, y, w, h = box
    x, y = x - 0.5 * w * (1.2 - 1.0), y - 0.5 * h * (1.2 - 1.0)
    w, h = w * 1.2, h * 1.2
    left, upper = max(round(x - 0.5), 0), max(round(y - 0.5), 0)
    right = min(round(x + w - 0.5) + 1, width)
    return left, upper, right, min(round(y + h - 0.5) + 1, height)


def crops(coco: SmallCoco) -> dict[str, list[Pixels]]:
    """Category -> its objects in the order of the annotations, as the conversion stores them and Pillow reads them."""
    found = defaultdict(list)
    names = {number: name for name, number in NAMED.items()}
    for annotation in coco.annotations["annotations"]:
        with Image.open(io.BytesIO(coco.files[f"{annotation['image_id']:012}.jpg"])) as opened:
            photograph = opened.convert("RGB")
        file = io.BytesIO()
        photograph.crop(edges(annotation["bbox"], *photograph.size)).save(file, "JPEG")
        found[names[annotation["category_id"]]].append(np.asarray(Image.open(file)))
    return found


def assert_same(found: CocoObjects, expected: dict[str, list[Pixels]]) -> None:
    """The same images in the same classes, in any order."""
    count = 0
    for split in ("valid", "test"):
        sizes = found.class_sizes(split)
        for name, size in sizes.items():
            assert size == len(expected[name]), name
            images = [
                image for part, images in found.read(split, {name: np.arange(size)}) for image in images
            ]
            assert sorted(map(_told, images)) == sorted(map(_told, expected[name])), name
            count += size
    assert count == sum(map(len, expected.values()))


def _told(image: Pixels) -> tuple[object, bytes]:
    return image.shape, image.tobytes()


def test_categories_splits_and_numbers_are_published(data_dir: Path) -> None:
    path = data_dir / "meta_dataset_specs" / "mscoco_dataset_spec.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    spec = read_spec(path.read_bytes(), path.name)
    found = CocoObjects(source="mscoco", photographs=None)  # type: ignore[arg-type]
    assert found.class_sizes("train") == {}
    sizes = {name: size for split in ("valid", "test") for name, size in spec.class_sizes(split).items()}
    assert MSCOCO.official_images == sum(sizes.values())
    assert len(CATEGORIES) == 80
    official = {split: spec.class_names(split) for split in ("train", "valid", "test")}
    assert official_split(CATEGORIES, 0, 40) == official


@pytest.mark.parametrize("form", ["unpacked", "packed"])
def test_every_object_is_cut_out_by_the_rule(form: str, data_dir: Path, tmp_path: Path) -> None:
    getattr(COCO, form)(tmp_path / "mscoco")
    assert_same(original(tmp_path), crops(COCO))
    path = data_dir / "meta_dataset_specs" / "mscoco_dataset_spec.json"
    if path.is_file():
        spec = read_spec(path.read_bytes(), path.name)
        for split in ("valid", "test"):
            assert list(MSCOCO(route="original").class_sizes(split, tmp_path)) == spec.class_names(split)


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_the_records_of_tfds_have_the_same_objects(file_format: str, tmp_path: Path) -> None:
    place = COCO.unpacked(tmp_path / "coco")
    prepare_coco(tmp_path / "data" / "tfds", place, file_format=file_format)
    found = MSCOCO().find(tmp_path / "data")
    assert isinstance(found, CocoObjects)
    assert found.fingerprint().startswith("mscoco-tfds-1-")
    assert_same(found, crops(COCO))
    sizes = found.class_sizes("test")
    wanted = {name: np.array([0, size - 1]) for name, size in sizes.items()}
    few = [(name, image.tobytes()) for name, images in found.read("test", wanted) for image in images]
    every = {name: np.arange(size) for name, size in sizes.items()}
    all_of = defaultdict(list)
    for name, images in found.read("test", every):
        all_of[name] += [image.tobytes() for image in images]
    assert few == [(name, all_of[name][place]) for name in sizes for place in (0, -1)]


def test_the_rule_holds_for_halves_and_edges() -> None:
    rng = np.random.default_rng(3)
    sizes = rng.integers(20, 641, (60_000, 2))
    spans = rng.integers(0, 100 * sizes + 1)
    starts = np.minimum(rng.integers(0, 100 * sizes + 1), 100 * sizes - spans)
    boxes = np.concatenate([starts, spans], axis=1) / 100
    # A thousand edges lie halfway between two pixels, where the last bit decides.
    scaled = 10 * starts - spans
    assert (scaled % 1000 == 0).sum() + (scaled % 1000 == 500).sum() > 200
    found = edges_of(boxes, sizes.astype(np.int32))
    expected = [edges(box, *size) for box, size in zip(boxes.tolist(), sizes.tolist(), strict=True)]
    assert found.tolist() == [list(each) for each in expected]


def test_boxes_come_back_exactly_from_32_bit_shares() -> None:
    """The bound in `coco_tfds`: a share is off by 2^-25 at most, so that two decimals are never in doubt."""
    rng = np.random.default_rng(4)
    sizes = rng.integers(20, 641, (200_000, 2))
    spans = rng.integers(0, 100 * sizes + 1)
    starts = np.minimum(rng.integers(0, 100 * sizes + 1), 100 * sizes - spans)
    boxes = np.concatenate([starts, spans], axis=1) / 100
    low, high = boxes[:, :2] / sizes, (boxes[:, :2] + boxes[:, 2:]) / sizes
    exact = np.concatenate([low, high], axis=1)[:, [1, 0, 3, 2]]
    shares = np.minimum(exact, 1.0).astype(np.float32)
    assert np.abs(shares.astype(np.float64) - exact).max() <= 2.0**-25 + 2.0**-50
    assert 640 * 2.0**-25 < 0.00002
    np.testing.assert_array_equal(boxes_of(shares, sizes.astype(np.int32)), boxes)


def test_boxes_with_more_decimals_are_taken_as_they_are() -> None:
    box, size = np.array([12.3456, 7.125, 100.0031, 50.5]), np.array([[640, 480]], np.int32)
    edges = np.array([box[1] / 480, box[0] / 640, (box[1] + box[3]) / 480, (box[0] + box[2]) / 640])
    found = boxes_of(edges.astype(np.float32)[np.newaxis], size)[0]
    assert np.abs(found - box).max() < 1e-4


def test_objects_are_nearer_to_records_than_pixels_that_were_never_jpeg(tmp_path: Path) -> None:
    """What the JPEG step is for. Records of the same objects differ by no more than the decoders do."""
    found = original(COCO.packed(tmp_path))
    annotation = max(
        (a for a in COCO.annotations["annotations"] if a["category_id"] == NAMED["person"]),
        key=lambda a: a["bbox"][2] * a["bbox"][3],
    )
    with Image.open(io.BytesIO(COCO.files[f"{annotation['image_id']:012}.jpg"])) as opened:
        crop = opened.convert("RGB").crop(edges(annotation["bbox"], *opened.size))
    file = io.BytesIO()
    crop.save(file, "JPEG")
    record = decoded(file.getvalue(), 3, "a record").astype(float)
    images = [image for _, part in found.read("valid", {"person": np.arange(3)}) for image in part]
    ours = min((i for i in images if i.shape == record.shape), key=lambda i: float(np.abs(i - record).sum()))
    near, far = np.abs(ours - record).max(), np.abs(np.asarray(crop) - record).max()
    assert near <= 7
    assert far > 20


@pytest.mark.parametrize("folder", ["", "mscoco", "coco", "coco2017"])
def test_it_is_found_where_people_have_it(folder: str, tmp_path: Path) -> None:
    place = COCO.unpacked(tmp_path / "data" / folder)
    fingerprint = original(tmp_path / "data").fingerprint()
    COCO.packed(tmp_path / "packed" / folder)
    assert original(tmp_path / "packed").fingerprint() == fingerprint
    (place / "images").mkdir()
    (place / "train2017").rename(place / "images" / "train2017")
    assert original(tmp_path / "data").fingerprint() == fingerprint
    (place / "annotations_trainval2017").mkdir()
    (place / "annotations").rename(place / "annotations_trainval2017" / "annotations")
    assert original(tmp_path / "data").fingerprint() == fingerprint


def test_forms_are_the_same_and_changes_are_seen(tmp_path: Path) -> None:
    unpacked, packed = COCO.unpacked(tmp_path / "1"), COCO.packed(tmp_path / "2")
    fingerprint = original(unpacked).fingerprint()
    assert original(packed).fingerprint() == fingerprint
    assert original(packed / "train2017.zip").fingerprint() == fingerprint
    annotations = copy.deepcopy(COCO.annotations["annotations"])
    annotations[0]["bbox"][0] += 0.01
    other = COCO.changed(annotations=annotations).unpacked(tmp_path / "3")
    assert original(other).fingerprint() != fingerprint
    (unpacked / "train2017" / next(iter(COCO.files))).write_bytes(b"x")
    assert original(unpacked).fingerprint() != fingerprint


def test_the_index_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = COCO.unpacked(tmp_path / "coco")
    prepare_coco(tmp_path / "tfds", place, file_format="tfrecord")
    sources = [MSCOCO(route=route) for route in ("original", "tfds")]
    sizes = [source.class_sizes("test", tmp_path) for source in sources]

    def refuse(*_: object) -> None:
        raise AssertionError("a second pass")

    monkeypatch.setattr(coco_original, "read_annotations", refuse)
    monkeypatch.setattr(coco_tfds, "pass_through", refuse)
    forget_indexes()
    assert [source.class_sizes("test", tmp_path) for source in sources] == sizes
    forget_indexes()
    for path in (tmp_path / "cache").rglob("edges.npy"):
        path.write_bytes(path.read_bytes()[:-8])
    for source in sources:
        with pytest.raises(AssertionError, match="second pass"):
            source.class_sizes("test", tmp_path)


def test_empty_crops_are_skipped(tmp_path: Path) -> None:
    annotations = with_first("annotations", bbox=[70.0, 10.0, 3.0, 3.0])
    assert annotations[0]["category_id"] == NAMED["person"]  # type: ignore[index]
    found = original(COCO.changed(annotations=annotations).unpacked(tmp_path))
    assert found.class_sizes("valid")["person"] == 2


def test_it_is_a_source_that_tfds_can_fetch(tmp_path: Path) -> None:
    import tensorflow_datasets as tfds

    name, _, config = MSCOCO.tfds_builder.partition("/")
    assert config in tfds.builder_cls(name).builder_configs
    COCO.packed(tmp_path)
    assert [check for check in check_dataset(MSCOCO(), tmp_path) if not check.passed] == []


def test_annotations_may_come_in_any_order_of_parts(tmp_path: Path) -> None:
    turned = SmallCoco(COCO.files, dict(reversed(COCO.annotations.items())))
    assert json.loads(turned.text()) == COCO.annotations
    assert_same(original(turned.packed(tmp_path)), crops(COCO))
