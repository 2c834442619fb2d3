"""FGVCx Fungi, as Meta-Dataset splits it (Schroeder and Cui 2018; Triantafillou and others 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.source import Find


@dataclass(frozen=True, kw_only=True)
class Fungi(MetaDatasetSource):
    """Photographs of 1394 species of fungi, from 6 images a species upwards."""

    name: str = "fungi"

    channels: ClassVar[int] = 3
    licence: ClassVar[str] = "see the source"
    how_to_get: ClassVar[str] = (
        "Fetch the training images of the FGVCx Fungi Classification Challenge 2018 and convert them with the "
        "scripts of google-research/meta-dataset."
    )
    official_name: ClassVar[str] = "fungi"
    official_classes: ClassVar[Mapping[str, int]] = {"train": 994, "valid": 200, "test": 200}
    official_images: ClassVar[int] = 89_760

    def other_routes(self) -> Mapping[str, Find]:
        """None: no other form keeps the challenge's numbering of classes."""
        return {}
