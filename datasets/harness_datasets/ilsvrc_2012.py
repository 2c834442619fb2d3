"""ILSVRC 2012, split by Meta-Dataset along WordNet (Russakovsky and others 2015; Triantafillou and others 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.source import Find
from harness_datasets.tfds_catalogue import find_tfds_ilsvrc_2012
from harness_datasets.tfds_preparing import FetchedByTfds


@dataclass(frozen=True, kw_only=True)
class ILSVRC2012(FetchedByTfds, MetaDatasetSource):
    """ImageNet's 1000 classes, and the nodes of WordNet above them that episodes are drawn from."""

    name: str = "ilsvrc_2012"

    tfds_builder: ClassVar[str] = "imagenet2012"
    channels: ClassVar[int] = 3
    licence: ClassVar[str] = "ImageNet's terms of access: research and education only"
    how_to_get: ClassVar[str] = (
        "Ask for ILSVRC 2012 at image-net.org, and convert it with the scripts of google-research/meta-dataset or "
        "prepare it with tensorflow-datasets as imagenet2012."
    )
    official_name: ClassVar[str] = "ilsvrc_2012"
    official_classes: ClassVar[Mapping[str, int]] = {"train": 712, "valid": 158, "test": 130}
    official_images: ClassVar[int] = 1_280_764

    def other_routes(self) -> Mapping[str, Find]:
        """TFDS's `imagenet2012`, with the class graph where Meta-Dataset's specification is there too."""
        return {"tfds": find_tfds_ilsvrc_2012}
