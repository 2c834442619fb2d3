"""Data sets in the layout of Meta-Dataset's own TFDS builder."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.dataset import SPLITS, SUPERCLASSES
from harness.errors import DataError
from harness_datasets import tfds_index
from harness_datasets.md_tfds import MdTfds, find_md_tfds
from harness_datasets.tensorflow_loading import load_tensorflow
from harness_datasets.tfrecord_file import decoded
from tfds_data import drawn

SIZES = {"Greek-character01": 6, "Greek-character02": 4, "Tagalog-character01": 5, "ULOG-character01": 3}


def spec(source: str = "omniglot") -> dict[str, Any]:
    numbers = {str(k): size for k, size in enumerate(SIZES.values())}
    common = {
        "name": source,
        "images_per_class": numbers,
        "class_names": dict(zip(numbers, SIZES, strict=True)),
    }
    if source != "omniglot":
        kind = {"__class__": "DatasetSpecification", "classes_per_split": {"TRAIN": 2, "VALID": 1, "TEST": 1}}
        return {**common, **kind, "path": None, "file_pattern": "{}.tfrecords"}
    return {
        **common,
        "superclasses_per_split": {"TRAIN": 1, "VALID": 1, "TEST": 1},
        "classes_per_superclass": {"0": 2, "1": 1, "2": 1},
        "superclass_names": {"0": "Greek", "1": "Tagalog", "2": "ULOG"},
        "path": None,
        "file_pattern": "{}.tfrecords",
        "__class__": "BiLevelDatasetSpecification",
    }


def prepare(
    folder: Path, source: str = "omniglot", *, sizes: tuple[int, ...] = tuple(SIZES.values())
) -> Path:
    """What md_tfds.py of google-research/meta-dataset declares, with drawn images; the folder of the version."""
    load_tensorflow()
    import tensorflow_datasets as tfds

    class MetaDataset(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[misc]
        """Meta-Dataset's sources."""

        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = [  # noqa: RUF012
            tfds.core.BuilderConfig(name=name, version=tfds.core.Version("1.0.0"), description=name)
            for name in ("dtd", "omniglot")
        ]

        def _info(self) -> Any:
            features = {
                "image": tfds.features.Image(encoding_format="jpeg"),
                "format": tfds.features.Text(),
                "filename": tfds.features.Text(),
                "label": tfds.features.ClassLabel(num_classes=len(SIZES)),
                "class_name": tfds.features.Text(),
            }
            metadata = tfds.core.MetadataDict(
                dataset_specs={"v1": spec(source), "v2": spec(source)}, class_names=list(SIZES)
            )
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(features),
                metadata=metadata,
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            return {"all_classes": self._generate_examples()}

        def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
            key = 0
            for label, (name, size) in enumerate(zip(SIZES, sizes, strict=True)):
                for number in range(size):
                    texts = {"format": "JPEG", "filename": f"{number}.png", "class_name": name}
                    yield key, {"image": drawn(label, number * 9), "label": label, **texts}
                    key += 1 << 60

    made = MetaDataset(data_dir=str(folder), config=source, file_format="tfrecord")
    made.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=2))
    return Path(str(made.data_path))


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
    folder = prepare(tmp_path / "tfds")
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
    assert len(encoded) == sum(SIZES.values())
    for split in SPLITS:
        for name, size in found.class_sizes(split).items():
            images = [image for _, part in found.read(split, {name: np.arange(size)}) for image in part]
            expected = [decoded(image, 1, "a test") for its, image in encoded if its == name]
            assert len(images) == size
            assert all(np.array_equal(image, other) for image, other in zip(images, expected, strict=True))


def test_flat_sources_are_found_anywhere_around_them_and_in_colour(tmp_path: Path) -> None:
    folder = prepare(tmp_path, "dtd")
    for place in (tmp_path, tmp_path / "meta_dataset", tmp_path / "meta_dataset" / "dtd", folder):
        assert find(place, "dtd").location == folder, place
    found = find(tmp_path, "dtd", channels=3)
    assert found.class_groups("train") is None
    ((_, images),) = found.read("test", {"ULOG-character01": np.array([0])})
    assert images.shape[3] == 3
    assert find_md_tfds(tmp_path, "omniglot") is None
    assert find_md_tfds(folder, "omniglot") is None


def test_the_specification_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    folder = prepare(tmp_path, "dtd")
    before = find(tmp_path, "dtd").fingerprint()
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["dataset_specs"]["v1"]["classes_per_split"] = {"TRAIN": 1, "VALID": 2, "TEST": 1}
    (folder / "metadata.json").write_text(json.dumps(metadata))
    assert find(tmp_path, "dtd").fingerprint() != before


def test_images_that_the_specification_does_not_count_are_refused(tmp_path: Path) -> None:
    prepare(tmp_path, sizes=(6, 4, 4, 3))
    with pytest.raises(DataError, match=r"has 4 images of class 'Tagalog-character01', and .* says 5"):
        find(tmp_path).class_sizes("valid")


def test_other_metadata_is_refused(tmp_path: Path) -> None:
    folder = prepare(tmp_path)
    good = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps(good | {"dataset_specs": {"v1": spec("dtd")}}))
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
