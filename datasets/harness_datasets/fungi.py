"""FGVCx Fungi, as Meta-Dataset splits it (Schroeder and Cui 2018; Triantafillou and others 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from harness_datasets.fungi_original import find_original_fungi
from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.source import Find


@dataclass(frozen=True, kw_only=True)
class Fungi(MetaDatasetSource):
    """Photographs of 994 train, 200 valid and 200 test species of fungi, RGB, from 6 images a species upwards.

    Routes: Meta-Dataset's records; `original`, the images and lists of the challenge (see `fungi_original`).
    """

    name: str = "fungi"

    channels: ClassVar[int] = 3
    licence: ClassVar[str] = "see the source"
    how_to_get: ClassVar[str] = (
        "Fetch fungi_train_val.tgz (13 GB) and train_val_annotations.tgz of the FGVCx Fungi Classification Challenge "
        "2018 by way of github.com/visipedia/fgvcx_fungi_comp, and unpack both into a folder `fungi`."
    )
    official_name: ClassVar[str] = "fungi"
    official_classes: ClassVar[Mapping[str, int]] = {"train": 994, "valid": 200, "test": 200}
    official_images: ClassVar[int] = 89_760

    def other_routes(self) -> Mapping[str, Find]:
        """The challenge's own files."""
        return {
            "original": partial(find_original_fungi, self.name, self.official_classes, self.official_images)
        }
