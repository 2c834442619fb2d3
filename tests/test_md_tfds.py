"""Data sets in the layout of Meta-Dataset's own TFDS builder."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness.dataset import SPLITS, SUPERCLASSES
from harness.errors import DataError
from harness_datasets import tfds_index
from harness_datasets.md_tfds import MdTfds, find_md_tfds
from harness_datasets.tensorflow_loading import load_tensorflow
from harness_datasets.tfrecord_file import decoded
from md_tfds_data import MD_SIZES, md_spec, prepare_md_tfds


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    tfds_index.label_index.cache_clear()


def find(data_dir: Path, source: str = "omniglot", channels: int = 1) -> MdTfds:
    found = find_md_tfds(data_dir, source, channels=channels)
    assert found is not None
    return found


def stored(folder: Path) -> list[tuple[str, bytes]]:
    """Class name and encoded image of every record, as the shards have them."""
    tf = load_tensorflow()
    found = []
    for shard in sorted(folder.glob("meta_dataset-all_classes.tfrecord-*")):
        for record in tf.compat.v1.io.tf_record_iterator(str(shard)):
            features = tf.train.Example.FromString(record).features.feature
            found.append(
                (features["class_name"].bytes_list.value[0].decode(), features["image"].bytes_list.value[0])
            )
    return found


def test_classes_groups_and_images_are_those_of_the_specification(tmp_path: Path) -> None:
    folder = prepare_md_tfds(tmp_path / "tfds")
    assert folder == tmp_path / "tfds" / "meta_dataset" / "omniglot" / "1.0.0"
    found = find(tmp_path)
    assert {split: dict(found.class_sizes(split)) for split in SPLITS} == {
        "train": {"Greek-character01": 6, "Greek-character02": 4},
        "valid": {"Tagalog-character01": 5},
        "test": {"ULOG-character01": 3},
    }
    groups = found.class_groups("train")
    assert groups is not None
    assert (groups.kind, groups.members["Greek"]) == (
        SUPERCLASSES,
        ["Greek-character01", "Greek-character02"],
    )
    encoded = stored(folder)
    assert len(encoded) == sum(MD_SIZES.values())
    for split in SPLITS:
        for name, size in found.class_sizes(split).items():
            images = [image for _, part in found.read(split, {name: np.arange(size)}) for image in part]
            expected = [decoded(image, 1, "a test") for its, image in encoded if its == name]
            assert len(images) == size
            assert all(np.array_equal(image, other) for image, other in zip(images, expected, strict=True))


def test_flat_sources_are_found_anywhere_around_them_and_in_colour(tmp_path: Path) -> None:
    folder = prepare_md_tfds(tmp_path, "dtd")
    for place in (tmp_path, tmp_path / "meta_dataset", tmp_path / "meta_dataset" / "dtd", folder):
        assert find(place, "dtd").location == folder, place
    found = find(tmp_path, "dtd", channels=3)
    assert found.class_groups("train") is None
    ((_, images),) = found.read("test", {"ULOG-character01": np.array([0])})
    assert images.shape[3] == 3
    assert find_md_tfds(tmp_path, "omniglot") is None
    assert find_md_tfds(folder, "omniglot") is None


def test_the_specification_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    folder = prepare_md_tfds(tmp_path, "dtd")
    before = find(tmp_path, "dtd").fingerprint()
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["dataset_specs"]["v1"]["classes_per_split"] = {"TRAIN": 1, "VALID": 2, "TEST": 1}
    (folder / "metadata.json").write_text(json.dumps(metadata))
    assert find(tmp_path, "dtd").fingerprint() != before


def test_images_that_the_specification_does_not_count_are_refused(tmp_path: Path) -> None:
    prepare_md_tfds(tmp_path, sizes=(6, 4, 4, 3))
    with pytest.raises(DataError, match=r"has 4 images of class 'Tagalog-character01', and .* says 5"):
        find(tmp_path).class_sizes("valid")


def test_other_metadata_is_refused(tmp_path: Path) -> None:
    folder = prepare_md_tfds(tmp_path)
    good = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps(good | {"dataset_specs": {"v1": md_spec("dtd")}}))
    with pytest.raises(
        DataError, match="is of 'dtd' with 4 classes, but the data set is of 'omniglot' with 4"
    ):
        find(tmp_path)
    (folder / "metadata.json").write_text(json.dumps({"dataset_specs": {"v2": {}}}))
    with pytest.raises(
        DataError, match=r"lacks the specification 'v1' .*not prepared by Meta-Dataset's builder"
    ):
        find(tmp_path)
    (folder / "metadata.json").unlink()
    with pytest.raises(DataError, match=r"metadata\.json cannot be read"):
        find(tmp_path)
