"""Meta-Dataset's sources in TFDS's catalogue: the names, splits and polarity of the published ones."""

import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.dataset import SPLITS
from harness.errors import DataError
from harness_datasets import tfds_catalogue, tfds_index
from harness_datasets.ilsvrc_2012_classes import left_out
from harness_datasets.meta_dataset_spec import MetaDatasetSpec, read_spec
from harness_datasets.omniglot import SplitDrawings
from harness_datasets.omniglot_characters import ALPHABETS, characters, published
from harness_datasets.omniglot_original import find_drawings
from harness_datasets.tfds_catalogue import (
    find_tfds_cu_birds,
    find_tfds_dtd,
    find_tfds_ilsvrc_2012,
    find_tfds_omniglot,
    find_tfds_quickdraw,
    find_tfds_vgg_flower,
)
from harness_datasets.tfds_route import TfdsData
from tfds_data import png, write_as

EVERY = np.arange(20)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    tfds_index.label_index.cache_clear()


def spec_of(data_dir: Path, source: str) -> MetaDatasetSpec:
    path = data_dir / "meta_dataset_specs" / f"{source}_dataset_spec.json"
    if not path.is_file():
        pytest.skip(f"no {path.name} in {path.parent}")
    return read_spec(path.read_bytes(), path.name)


def coloured(label: int) -> bytes:
    """A tiny image that tells its label."""
    return png(np.full((2, 2, 3), (label // 256, label % 256, 7), np.uint8))


def records(labels: Sequence[int]) -> Iterator[tuple[bytes, int, str]]:
    images = {label: coloured(label) for label in set(labels)}
    for number, label in enumerate(labels):
        yield images[label], label, f"{label}_{number}.JPEG"


def label_in(found: TfdsData, split: str, name: str) -> int:
    """The label that the first image of a class was written with."""
    ((_, images),) = found.read(split, {name: np.array([0])})
    return int(images[0, 0, 0, 0]) * 256 + int(images[0, 0, 0, 1])


def _numbered(name: str, names: Sequence[str]) -> int:
    return int(name[:3]) - 1


def _sorted(name: str, names: Sequence[str]) -> int:
    return sorted(names).index(name)


# What a published class's label is: from the code that prepares the data sets, not from ours.
SOURCES: dict[
    str, tuple[str, int, int, Callable[[Path], TfdsData | None], Callable[[str, list[str]], int]]
] = {
    "cu_birds": ("caltech_birds2011", 200, 11_788, find_tfds_cu_birds, _numbered),
    "dtd": ("dtd", 47, 5640, find_tfds_dtd, _sorted),
    "vgg_flower": (
        "oxford_flowers102",
        102,
        8189,
        find_tfds_vgg_flower,
        _numbered,
    ),
}


@pytest.mark.parametrize("source", SOURCES)
def test_the_official_classes_have_their_images(data_dir: Path, tmp_path: Path, source: str) -> None:
    builder, classes, images, find, label_of = SOURCES[source]
    spec = spec_of(data_dir, source)
    labels = [k % classes for k in range(images)]
    third = images // 3
    parts = {"train": labels[:third], "test": labels[third : 2 * third], "validation": labels[2 * third :]}
    if builder == "caltech_birds2011":
        parts = {"train": labels[:third], "test": labels[third:]}
    write_as(tmp_path / "tfds", builder, {part: records(content) for part, content in parts.items()})
    found = find(tmp_path)
    assert found is not None
    names = [name for split in SPLITS for name in spec.class_names(split)]
    assert {split: list(found.class_sizes(split)) for split in SPLITS} == {
        split: spec.class_names(split) for split in SPLITS
    }
    assert sum(sum(found.class_sizes(split).values()) for split in SPLITS) == images
    for split in SPLITS:
        for name in spec.class_names(split)[:7]:
            assert label_in(found, split, name) == label_of(name, names), name


def test_incomplete_data_is_refused(tmp_path: Path) -> None:
    parts = {part: records([k % 47 for k in range(94)]) for part in ("train", "test")}
    write_as(tmp_path, "dtd", parts)
    with pytest.raises(DataError, match="has no split 'validation'"):
        find_tfds_dtd(tmp_path)
    shutil.rmtree(tmp_path / "dtd")
    parts = {part: records([k % 46 for k in range(94)]) for part in ("train", "test", "validation")}
    write_as(tmp_path, "dtd", parts)
    found = find_tfds_dtd(tmp_path)
    assert found is not None
    with pytest.raises(
        DataError, match=r"'dtd' in .* it has 282 images, and none of class 'zigzagged', not 5640"
    ):
        found.class_sizes("train")


def test_labels_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    for builder, find in (("dtd", find_tfds_dtd), ("oxford_flowers102", find_tfds_vgg_flower)):
        where = write_as(tmp_path, builder, {part: [] for part in ("train", "test", "validation")})
        names = (where / "label.labels.txt").read_text().split("\n")
        (where / "label.labels.txt").write_text("\n".join(["odd", *names[1:]]))
        with pytest.raises(DataError, match=r"are not the \d+ published"):
            find(tmp_path)
    swapped = [names[1], names[0], *names[2:]]
    (where / "label.labels.txt").write_text("\n".join(swapped))
    with pytest.raises(DataError, match="are not in the published order"):
        find_tfds_vgg_flower(tmp_path)
    where = write_as(tmp_path, "caltech_birds2011", {"train": [], "test": []})
    (where / "label.labels.txt").write_text("\n".join(f"bird {k}" for k in range(200)))
    with pytest.raises(DataError, match="200 labels, the first called 'bird 0', not the numbers 0 to 199"):
        find_tfds_cu_birds(tmp_path)


def test_quickdraw_has_the_official_words_whatever_their_order(data_dir: Path, tmp_path: Path) -> None:
    spec = spec_of(data_dir, "quickdraw")
    write_as(tmp_path, "quickdraw_bitmap", {"train": records([3, 3])})
    found = find_tfds_quickdraw(tmp_path)
    assert found is not None
    assert found.splits == {split: spec.class_names(split) for split in SPLITS}
    assert found.channels == 1
    labels = (found.location / "label.labels.txt").read_text().split("\n")
    assert labels != sorted(labels)
    assert all(found.classes[name] == labels.index(name) for name in spec.class_names("test"))
    with pytest.raises(DataError, match="it has 2 images"):
        found.class_sizes("train")


def test_imagenet_is_split_officially_without_the_images_left_out(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(data_dir, "ilsvrc_2012")
    duplicate = sorted(left_out())[0]
    wnids = sorted(name for split in SPLITS for name in spec.class_names(split))
    label = wnids.index(duplicate.partition("_")[0])
    content = [*records(range(1000)), (coloured(0), label, duplicate)]
    write_as(tmp_path, "imagenet2012", {"train": content, "validation": records([1, 2])})
    monkeypatch.setattr(tfds_catalogue, "IMAGES", 1000)
    found = find_tfds_ilsvrc_2012(tmp_path)
    assert found is not None
    assert {split: list(found.class_sizes(split)) for split in SPLITS} == {
        split: spec.class_names(split) for split in SPLITS
    }
    assert set(itertools.chain(*(found.class_sizes(split).values() for split in SPLITS))) == {1}
    assert label_in(found, "train", duplicate.partition("_")[0]) == label
    assert {split: found.class_groups(split) for split in SPLITS} == {
        split: spec.class_groups(split) for split in SPLITS
    }
    assert found.fingerprint() != replace(found, groups=None).fingerprint()


@pytest.fixture
def omniglot(data_dir: Path) -> Path:
    if not (data_dir / "tfds" / "omniglot").is_dir():
        pytest.skip(f"no TFDS Omniglot in {data_dir}")
    return data_dir


def test_omniglot_holds_the_drawings_of_the_original_archives(omniglot: Path) -> None:
    ours, original = find_tfds_omniglot(omniglot), find_drawings(omniglot)
    assert ours is not None
    if original is None:
        pytest.skip("no original archives to compare with")
    # A character of every alphabet, and in some the last one too: names that are shifted by one are found.
    names = [name for part in ALPHABETS for name in published(part)]
    firsts = {name.partition("/")[0]: name for name in reversed(names)}
    lasts = {name.partition("/")[0]: name for name in names}
    chosen = [*firsts.values(), *list(lasts.values())[::5]]
    wanted = [(name, EVERY) for name in chosen]
    for (place, found), (_, expected) in zip(ours.read(wanted), original.read(wanted), strict=True):
        assert found.shape == (20, 105, 105, 1)
        assert sorted(map(bytes, found)) == sorted(map(bytes, expected)), chosen[place]
    for splitter in ("shuffled", "lake"):
        assert [ours.characters(splitter, split) for split in SPLITS] == [
            characters(splitter, split) for split in SPLITS
        ]


def test_omniglot_serves_as_the_sources_drawings(omniglot: Path) -> None:
    ours = find_tfds_omniglot(omniglot)
    assert ours is not None
    raw = SplitDrawings(drawings=ours, splitter="lake", rotations=True)
    name = "Tagalog/character03/rot090"
    assert raw.class_sizes("valid")[name] == 20
    upright, turned = "Tagalog/character03/rot000", name
    images = dict(raw.read("valid", {upright: np.array([2, 5]), turned: np.array([5])}))
    assert np.array_equal(images[turned][0], np.rot90(images[upright][1]))
    assert images[upright].mean() < 64  # bright ink on black


def test_a_shortened_omniglot_is_refused(omniglot: Path, tmp_path: Path) -> None:
    shutil.copytree(omniglot / "tfds" / "omniglot", tmp_path / "omniglot")
    next(tmp_path.rglob("omniglot-test.array_record*")).unlink()
    ours = find_tfds_omniglot(tmp_path)
    assert ours is not None
    with pytest.raises(
        DataError, match=r"omniglot-test\.array_record-00000-of-00001 of a TFDS data set cannot be read"
    ):
        ours.characters("lake", "train")


def test_folders_without_them_have_none(tmp_path: Path) -> None:
    finders = [
        find_tfds_cu_birds,
        find_tfds_dtd,
        find_tfds_vgg_flower,
        find_tfds_quickdraw,
        find_tfds_ilsvrc_2012,
    ]
    assert [find(tmp_path) for find in (*finders, find_tfds_omniglot)] == [None] * 6
