"""FGVCx Fungi from the challenge's own files: the published species, images and split."""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.errors import DataError
from harness_datasets import fungi_original
from harness_datasets.fungi import Fungi
from harness_datasets.image_tree import ImageTree
from harness_datasets.meta_dataset_spec import read_spec
from packing import drawn, pack, write_tree

SPLITS = ("train", "valid", "test")
SPECIES = [f"Amanita {k % 1390}" for k in range(1394)]  # four names come twice
IMAGES = 1500
Lists = dict[str, dict[str, Any]]


def lists(species: Sequence[str] = SPECIES) -> Lists:
    """The two lists: of every twelfth image the species is in val.json; images of a species are not neighbours."""
    categories = [
        {"id": number, "name": name, "supercategory": "fungi"} for number, name in enumerate(species)
    ]
    made: Lists = {
        name: {"info": {"year": 2018}, "images": [], "annotations": [], "categories": categories[::step]}
        for name, step in (("train.json", 1), ("val.json", -1))
    }
    for k in range(IMAGES):
        number = k * 5 % len(species)
        part = made["val.json" if k % 12 == 11 else "train.json"]
        path = f"images/{number}_{species[number].replace(' ', '_')}/svampe_{(k * 7919) % 10_000:05}_{k}.JPG"
        part["images"].append({"id": 10_000 - k, "file_name": path, "width": 9, "height": 8})
        part["annotations"].append({"id": k, "image_id": 10_000 - k, "category_id": number})
    return made


def expected(made: Lists) -> dict[str, list[str]]:
    """Class -> paths of its images, train.json's first, in the order of the lists."""
    found: dict[str, list[str]] = {}
    for name in ("train.json", "val.json"):
        kinds = {each["image_id"]: each["category_id"] for each in made[name]["annotations"]}
        names = {each["id"]: each["name"] for each in made[name]["categories"]}
        for image in made[name]["images"]:
            kind = kinds[image["id"]]
            found.setdefault(f"{kind:04d}.{names[kind]}", []).append(image["file_name"])
    return found


MADE = lists()


def files(made: Lists = MADE, top: str = "") -> dict[str, bytes]:
    images = [image["file_name"] for part in MADE.values() for image in part["images"]]
    pictures = [drawn(number, (9, 8), kind="JPEG") for number in range(50)]
    return {
        **{f"{top}{path}": pictures[number % 50] for number, path in enumerate(images)},
        **{f"{top}{name}": json.dumps(part).encode() for name, part in made.items()},
        f"{top}images/of_the_test/unknown.JPG": pictures[0],
    }


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fungi, "official_images", IMAGES)
    labels = "".join(f"{number:04}.{name}\n" for number, name in enumerate(SPECIES))
    monkeypatch.setattr(fungi_original, "_DIGEST", hashlib.sha256(labels.encode()).hexdigest())


def found_in(place: Path) -> ImageTree:
    found = Fungi().find(place)
    assert isinstance(found, ImageTree)
    return found


def test_species_and_split_are_official(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data_dir / "meta_dataset_specs" / "fungi_dataset_spec.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    monkeypatch.undo()
    monkeypatch.setattr(Fungi, "official_images", IMAGES)
    spec = read_spec(path.read_bytes(), path.name)
    labels = sorted(name for split in SPLITS for name in spec.class_names(split))
    made = lists([label.partition(".")[2] for label in labels])
    content = {
        path: b"x" for part in made.values() for path in (image["file_name"] for image in part["images"])
    }
    content |= {name: json.dumps(part).encode() for name, part in made.items()}
    write_tree(tmp_path / "fungi", content)
    raw = found_in(tmp_path)
    assert {split: list(raw.class_sizes(split)) for split in SPLITS} == {
        split: spec.class_names(split) for split in SPLITS
    }


def test_images_are_those_of_the_lists_in_their_order(tmp_path: Path) -> None:
    write_tree(tmp_path / "fungi", files())
    raw, wanted = found_in(tmp_path), expected(MADE)
    assert [len(raw.class_sizes(split)) for split in SPLITS] == [994, 200, 200]
    assert {name: size for s in SPLITS for name, size in raw.class_sizes(s).items()} == {
        name: len(paths) for name, paths in wanted.items()
    }
    content = files()
    for split in SPLITS:
        chosen = [name for name in raw.class_sizes(split) if len(wanted[name]) > 1][:5]
        read = {
            name: np.concatenate([images for part, images in raw.read(split, {name: np.arange(2)})])
            for name in chosen
        }
        for name in chosen:
            for image, path in zip(read[name], wanted[name], strict=True):
                with Image.open(io.BytesIO(content[path])) as opened:
                    np.testing.assert_array_equal(image, np.asarray(opened.convert("RGB")))


@pytest.mark.parametrize("form", ["zip", "tgz", "folder"])
def test_it_is_found_as_people_have_it(form: str, tmp_path: Path) -> None:
    write_tree(tmp_path / "unpacked" / "fungi", files())
    fingerprint = found_in(tmp_path / "unpacked").fingerprint()
    images = {path: content for path, content in files().items() if not path.endswith(".json")}
    both = {f"train_val_annotations/{name}": json.dumps(part).encode() for name, part in MADE.items()}
    if form == "folder":
        write_tree(tmp_path / "a" / "fungi", {**images, **both})
    else:
        pack(tmp_path / "a", "fungi_train_val", images, form)
        pack(tmp_path / "a", "train_val_annotations", both, form)
    assert found_in(tmp_path / "a").fingerprint() == fingerprint
    write_tree(tmp_path / "b", files(top="fungi_train_val/"))
    assert found_in(tmp_path / "b").fingerprint() == fingerprint
    assert found_in(tmp_path / "unpacked" / "fungi").fingerprint() == fingerprint


def test_missing_lists_and_images_are_named(tmp_path: Path) -> None:
    write_tree(tmp_path / "fungi", files())
    gone = MADE["val.json"]["images"][0]["file_name"]
    (tmp_path / "fungi" / gone).unlink()
    with pytest.raises(
        DataError, match=rf"lacks 1 of the 1500 images that train\.json and val\.json .*{gone}"
    ):
        found_in(tmp_path)
    (tmp_path / "fungi" / "val.json").unlink()
    with pytest.raises(DataError, match=r"not the lists of what they show.*fetch train_val_annotations\.tgz"):
        found_in(tmp_path)


def _changed(part: str, key: str, **changes: object) -> Lists:
    made: Lists = json.loads(json.dumps(MADE))
    made[part][key][0].update(changes)
    return made


def _shorter(key: str) -> Lists:
    made: Lists = json.loads(json.dumps(MADE))
    for part in made.values():
        part[key] = [element for element in part[key] if element["id"] not in (0, 10_000)]
    return made


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (_shorter("categories"), "do not say which species"),
        (_shorter("annotations"), "do not say which species"),
        (_shorter("images"), "name 1499 images with a species, not 1500"),
        (
            _changed("train.json", "categories", name="Boletus"),
            r"is none of its categories \(ValueError: 0 has two names\)",
        ),
        (_changed("val.json", "images", id=10_000), "is none of its images"),
        (_changed("val.json", "annotations", image_id=10_000), "is none of its annotations"),
        (_changed("val.json", "annotations", category_id="x"), "is none of its annotations"),
        (lists([*SPECIES[:-1], "Boletus"]), "The 1394 categories of the lists .* are not the 1394 species"),
        (lists(SPECIES[:-1]), "The 1393 categories"),
    ],
)
def test_lists_that_are_not_as_published_are_refused(made: Lists, said: str, tmp_path: Path) -> None:
    content = {name: json.dumps(part).encode() for name, part in made.items()}
    write_tree(tmp_path / "fungi", {**content, "images/0_Amanita_0/one.JPG": b"x"})
    with pytest.raises(DataError, match=said) as caught:
        found_in(tmp_path)
    assert "Fetch train_val_annotations.tgz again" in str(caught.value)
