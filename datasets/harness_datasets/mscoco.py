"""Objects cut out of MS COCO 2017, as Meta-Dataset does (Lin and others 2014; Triantafillou and others 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.source import Find


@dataclass(frozen=True, kw_only=True)
class MSCOCO(MetaDatasetSource):
    """80 kinds of objects; none is for training."""

    name: str = "mscoco"

    channels: ClassVar[int] = 3
    splits: ClassVar[tuple[str, ...]] = ("valid", "test")
    licence: ClassVar[str] = "CC BY 4.0 for the annotations; the photographs under their owners' Flickr terms"
    how_to_get: ClassVar[str] = (
        "Fetch train2017 and its instance annotations from cocodataset.org and convert them with the scripts of "
        "google-research/meta-dataset."
    )
    official_name: ClassVar[str] = "mscoco"
    official_classes: ClassVar[Mapping[str, int]] = {"valid": 40, "test": 40}
    official_images: ClassVar[int] = 860_001

    def other_routes(self) -> Mapping[str, Find]:
        """None: cutting out the objects is the conversion."""
        return {}
