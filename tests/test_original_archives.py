"""Meta-Dataset's sources from the archives that their authors published: complete, in the official split, as stored."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.dataset import SPLITS, Dataset
from harness.errors import DataError, MissingDataError
from harness_datasets import official_class_names
from harness_datasets.aircraft import Aircraft
from harness_datasets.vgg_flower import VGGFlower, read_labels
from packing import pack
from published import CASES, Case, aircraft, flowers, matlab, picture


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def packed(place: Path, case: Case, files: Mapping[str, bytes], form: str = "zip") -> Path:
    pack(place, case.top, files, form)
    return place


def sizes(dataset: Dataset, place: Path) -> dict[str, dict[str, int]]:
    return {split: dict(dataset.class_sizes(split, place)) for split in dataset.splits}


@pytest.mark.parametrize("name", CASES)
def test_the_official_names_and_splits_are_those_of_the_specifications(
    name: str, data_dir: Path, tmp_path: Path
) -> None:
    path = data_dir / "meta_dataset_specs" / f"{name}_dataset_spec.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    spec, case = json.loads(path.read_text()), CASES[name]
    names = [spec["class_names"][str(k)] for k in range(len(spec["class_names"]))]
    assert list(getattr(official_class_names, name.upper())) == sorted(names)
    counts = {split: spec["classes_per_split"][split.upper()] for split in SPLITS}
    assert dict(case.source.official_classes) == counts
    assert case.source.official_images == sum(spec["images_per_class"].values())
    dataset = case.source()
    found = sizes(dataset, packed(tmp_path, case, case.files()))
    assert [name for split in dataset.splits for name in found[split]] == names
    assert {split: len(found.get(split, ())) for split in SPLITS} == counts


@pytest.mark.parametrize("form", ["folder", "tar", "tgz"])
def test_every_form_reads_the_same(case: Case, form: str, tmp_path: Path) -> None:
    dataset = case.source(name="mine", route="original")
    zipped = packed(tmp_path / "zip", case, case.files())
    other = packed(tmp_path / form, case, case.files(), form)
    assert dataset.fingerprint(other) == dataset.fingerprint(zipped)
    assert sizes(dataset, other) == sizes(dataset, zipped)
    classes = list(dataset.class_sizes("test", other))[:7]
    for (name, images), (same, others) in zip(
        dataset.read("test", classes, zipped), dataset.read("test", classes, other), strict=True
    ):
        assert name == same
        np.testing.assert_array_equal(images, others)
    if form == "folder":
        renamed = (other / case.top).rename(other / "under another name")
        assert dataset.fingerprint(renamed) == dataset.fingerprint(zipped)


def test_an_archive_is_found_by_its_path_and_beside_others(case: Case, tmp_path: Path) -> None:
    files = {**case.files(), f"{case.top}x/other.txt": b"x"}
    place = packed(tmp_path, case, files)
    dataset = case.source()
    assert dataset.find(place / f"{case.top}.zip").fingerprint() == dataset.fingerprint(place)
    below = packed(tmp_path / "b" / dataset.official_name, case, case.files())
    assert dataset.find(below.parent).location.parent == below


def test_images_are_as_stored(case: Case, tmp_path: Path) -> None:
    place, dataset = packed(tmp_path, case, case.files()), case.source()
    split = next(split for split in dataset.splits if case.of_class in dataset.class_sizes(split, place))
    parts = list(dataset.read(split, [case.of_class], place))
    assert {name for name, _ in parts} == {case.of_class}
    images = np.concatenate([images for _, images in parts])
    assert len(images) == dataset.class_sizes(split, place)[case.of_class]
    with Image.open(io.BytesIO(case.files()[f"{case.top}/{case.image}"])) as image:
        # Of the first aircraft the box is 1 2 12 14.
        whole = np.asarray(image.convert("RGB"))
        expected = np.asarray(image.crop((1, 2, 12, 14))) if dataset.official_name == "aircraft" else whole
    assert any(np.array_equal(expected, image) for image in images)


def test_a_changed_image_changes_the_fingerprint(case: Case, tmp_path: Path) -> None:
    changed = {**case.files(), f"{case.top}/{case.image}": picture(99)}
    one, two = packed(tmp_path / "1", case, case.files()), packed(tmp_path / "2", case, changed)
    assert case.source().fingerprint(one) != case.source().fingerprint(two)


def test_an_image_that_is_listed_but_missing_is_named(case: Case, tmp_path: Path) -> None:
    files = {path: content for path, content in case.files().items() if not path.endswith(case.image)}
    with pytest.raises(DataError) as caught:
        case.source().fingerprint(packed(tmp_path, case, files))
    assert "lacks 1 of the" in str(caught.value)
    assert Path(case.image).name in str(caught.value)
    assert f"{case.top}.zip" in str(caught.value)


def test_an_image_that_is_not_listed_is_named(case: Case, tmp_path: Path) -> None:
    more = str(Path(case.image).with_name("another.jpg"))
    files = {**case.files(), f"{case.top}/{more}": picture(5)}
    with pytest.raises(DataError, match=r"has 1 images .* does not name, among them .*another\.jpg"):
        case.source().fingerprint(packed(tmp_path, case, files))


def test_an_undecodable_image_is_named_with_its_class(case: Case, tmp_path: Path) -> None:
    path = f"{case.top}/{case.image}"
    files = {**case.files(), path: case.files()[path][:200]}
    place, dataset = packed(tmp_path, case, files), case.source()
    split = next(split for split in dataset.splits if case.of_class in dataset.class_sizes(split, place))
    with pytest.raises(DataError) as caught:
        list(dataset.read(split, [case.of_class], place))
    assert Path(case.image).name in str(caught.value)
    assert repr(case.of_class) in str(caught.value)


def test_a_truncated_archive_is_named(case: Case, tmp_path: Path) -> None:
    place = packed(tmp_path, case, case.files(), "tgz")
    path = place / f"{case.top}.tgz"
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(DataError, match=rf"{case.top}\.tgz .*truncated"):
        case.source().fingerprint(place)


def test_another_archive_under_the_name_is_refused(case: Case, tmp_path: Path) -> None:
    place = packed(tmp_path, case, {f"{case.top}/else.txt": b"x", f"{case.top}/a/b.jpg": picture(1)})
    with pytest.raises(DataError, match=rf"{case.top}\.zip has no .*so it is not the original"):
        case.source().fingerprint(place)


def test_missing_data_says_how_to_get_it(case: Case, tmp_path: Path) -> None:
    for place, looked in ((tmp_path, "'original', 'records'"), (None, "no folder of raw data was named")):
        with pytest.raises(MissingDataError) as caught:
            case.source().fingerprint(place)
        assert case.source.how_to_get in str(caught.value)
        assert looked in str(caught.value)


@pytest.mark.parametrize(
    ("name", "gone"), [("cu_birds", "003.Sooty_Albatross"), ("dtd", "banded"), ("traffic_sign", "00042")]
)
def test_a_missing_class_is_named(name: str, gone: str, tmp_path: Path) -> None:
    case = CASES[name]
    files = {path: content for path, content in case.files().items() if f"/{gone}/" not in path}
    message = r"1 missing: '(003\.Sooty|banded|42\.End of no passing by)"
    with pytest.raises(DataError, match=message):
        case.source().fingerprint(packed(tmp_path, case, files))


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("cu_birds", "images/201.Dodo/Dodo_0001_1.jpg"),
        ("dtd", "images/hairy/hairy_0001.jpg"),
        ("traffic_sign", "Final_Training/Images/00043/00000_00000.ppm"),
    ],
)
def test_an_unknown_class_is_named(name: str, image: str, tmp_path: Path) -> None:
    case = CASES[name]
    files = {**case.files(), f"{case.top}/{image}": picture(1)}
    with pytest.raises(DataError, match=rf"1 unknown: '{Path(image).parent.name}'"):
        case.source().fingerprint(packed(tmp_path, case, files))


@pytest.mark.parametrize("name", ["cu_birds", "dtd", "traffic_sign"])
def test_without_its_lists_an_archive_must_have_the_published_number_of_images(
    name: str, tmp_path: Path
) -> None:
    case = CASES[name]
    files = {path: content for path, content in case.files().items() if not path.endswith(case.listing)}
    with pytest.raises(DataError, match=rf"not the {case.source.official_images} published"):
        case.source().fingerprint(packed(tmp_path, case, files))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "images_variant_test.txt",
            b" A380",
            b" A390",
            r"1 missing: 'A380'; 1 unknown: 'A390'|1 unknown: 'A390'",
        ),
        (
            "images_box.txt",
            b"0000000 1 2 12 14\n",
            b"",
            r"no bounding box for 1 images, among them 0000000\.jpg",
        ),
        ("images_box.txt", b"0000000 1 2 12 14", b"0000000 12 2 1 14", r"the line '0000000 12 2 1 14'"),
        ("images_box.txt", b"0000000 1 2 12 14", b"0000000 1 2 12", r"the line '0000000 1 2 12'"),
        ("images_variant_val.txt", b" ", b"\xff", r"images_variant_val\.txt in .* is no text"),
    ],
)
def test_broken_lists_of_aircraft_are_named(
    tmp_path: Path, file: str, old: bytes, new: bytes, message: str
) -> None:
    path = f"fgvc-aircraft-2013b/data/{file}"
    assert old in aircraft()[path]
    files = {**aircraft(), path: aircraft()[path].replace(old, new)}
    with pytest.raises(DataError, match=message):
        Aircraft().fingerprint(packed(tmp_path, CASES["aircraft"], files))


def test_a_changed_box_changes_the_fingerprint_of_aircraft(tmp_path: Path) -> None:
    path, case = "fgvc-aircraft-2013b/data/images_box.txt", CASES["aircraft"]
    files = {**aircraft(), path: aircraft()[path].replace(b"0000000 1 2 12 14", b"0000000 1 3 12 14")}
    one, two = packed(tmp_path / "1", case, aircraft()), packed(tmp_path / "2", case, files)
    assert Aircraft().fingerprint(one) != Aircraft().fingerprint(two)


def test_labels_of_flowers_may_lie_beside_the_archive(tmp_path: Path) -> None:
    case, labels = CASES["vgg_flower"], "102flowers/imagelabels.mat"
    inside = packed(tmp_path / "inside", case, flowers())
    loose = {path.replace("102flowers/", ""): c for path, c in flowers().items() if path != labels}
    pack(tmp_path / "beside", "102flowers", loose, "tgz")
    with pytest.raises(
        DataError, match=r"needs imagelabels\.mat, which is neither in .*102flowers\.tgz nor readable"
    ):
        VGGFlower().fingerprint(tmp_path / "beside")
    (tmp_path / "beside" / "imagelabels.mat").write_bytes(flowers()[labels])
    assert VGGFlower().fingerprint(tmp_path / "beside") == VGGFlower().fingerprint(inside)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"MATLAB 5.0 MAT-file" + b"\0" * 200,
        matlab(np.array([[0, 5]])),
        matlab(np.array([[1.5, 5]])),
        matlab("x"),
    ],
)
def test_labels_of_flowers_that_are_none_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match=r"imagelabels\.mat of .*102flowers"):
        read_labels(content, Path("102flowers"))


def test_the_numbers_of_flowers_are_those_of_the_labels(tmp_path: Path) -> None:
    found = sizes(VGGFlower(), packed(tmp_path, CASES["vgg_flower"], flowers()))
    merged = {name: size for split in found.values() for name, size in split.items()}
    # 250 images in 102 classes: the first 46 classes have three, the others two.
    assert {int(name[:3]): size for name, size in merged.items()} == {
        k: 3 if k <= 46 else 2 for k in range(1, 103)
    }
