"""Objects cut out of MS COCO 2017, as Meta-Dataset does (Lin and others 2014; Triantafillou and others 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from harness_datasets.coco_categories import OBJECTS
from harness_datasets.coco_original import find_original_coco
from harness_datasets.coco_tfds import BUILDER, find_tfds_coco
from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.source import Find
from harness_datasets.tfds_preparing import FetchedByTfds


@dataclass(frozen=True, kw_only=True)
class MSCOCO(FetchedByTfds, MetaDatasetSource):
    """Objects of 40 valid and 40 test categories, RGB, cut out of photographs; none is for training.

    Routes: Meta-Dataset's records; `original`, `train2017` with `instances_train2017.json` as published (see
    `coco_original`); `tfds`, TFDS's `coco/2017` (see `coco_tfds`). The last two have equal pixels.
    """

    name: str = "mscoco"

    tfds_builder: ClassVar[str] = BUILDER
    channels: ClassVar[int] = 3
    splits: ClassVar[tuple[str, ...]] = ("valid", "test")
    licence: ClassVar[str] = "CC BY 4.0 for the annotations; the photographs under their owners' Flickr terms"
    how_to_get: ClassVar[str] = (
        "Fetch train2017.zip (18 GB) and annotations_trainval2017.zip (0.24 GB) from cocodataset.org; they need not "
        "be unpacked."
    )
    official_name: ClassVar[str] = "mscoco"
    official_classes: ClassVar[Mapping[str, int]] = {"valid": 40, "test": 40}
    official_images: ClassVar[int] = OBJECTS

    def other_routes(self) -> Mapping[str, Find]:
        """COCO as published, and as TFDS prepares it."""
        return {
            "original": partial(find_original_coco, self.name),
            "tfds": partial(find_tfds_coco, self.name),
        }
