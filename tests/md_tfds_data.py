"""Small data sets in the layout of Meta-Dataset's own TFDS builder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness_datasets.tensorflow_loading import load_tensorflow
from tfds_data import drawn

MD_SIZES = {"Greek-character01": 6, "Greek-character02": 4, "Tagalog-character01": 5, "ULOG-character01": 3}


def md_spec(source: str = "omniglot") -> dict[str, Any]:
    numbers = {str(k): size for k, size in enumerate(MD_SIZES.values())}
    common = {
        "name": source,
        "images_per_class": numbers,
        "class_names": dict(zip(numbers, MD_SIZES, strict=True)),
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


def prepare_md_tfds(
    folder: Path, source: str = "omniglot", *, sizes: tuple[int, ...] = tuple(MD_SIZES.values())
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
                "label": tfds.features.ClassLabel(num_classes=len(MD_SIZES)),
                "class_name": tfds.features.Text(),
            }
            metadata = tfds.core.MetadataDict(
                dataset_specs={"v1": md_spec(source), "v2": md_spec(source)}, class_names=list(MD_SIZES)
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
            for label, (name, size) in enumerate(zip(MD_SIZES, sizes, strict=True)):
                for number in range(size):
                    texts = {"format": "JPEG", "filename": f"{number}.png", "class_name": name}
                    yield key, {"image": drawn(label, number * 9), "label": label, **texts}
                    key += 1 << 60

    made = MetaDataset(data_dir=str(folder), config=source, file_format="tfrecord")
    made.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=2))
    return Path(str(made.data_path))
