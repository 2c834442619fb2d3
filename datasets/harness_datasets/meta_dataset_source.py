"""What the ten sources of Meta-Dataset share (Triantafillou and others 2020, arXiv 1903.03096)."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from harness_datasets.md_tfds import find_md_tfds
from harness_datasets.records import find_records
from harness_datasets.source import Find, RoutedSource


@dataclass(frozen=True, kw_only=True)
class MetaDatasetSource(RoutedSource):
    """A source of Meta-Dataset, in the records of its own converter or in another form.

    Every form gives the official class split, in the official order. A subclass says its `official_name`, the
    classes of each split and the images in all by the official specification, and its other routes.
    """

    official_name: ClassVar[str]
    official_classes: ClassVar[Mapping[str, int]]
    official_images: ClassVar[int]

    def routes(self) -> Mapping[str, Find]:
        """Meta-Dataset's records first, then its own TFDS data sets, then what the source has besides."""
        return {
            "records": partial(find_records, source=self.official_name, channels=self.channels),
            "md_tfds": partial(find_md_tfds, source=self.official_name, channels=self.channels),
            **self.other_routes(),
        }

    @abstractmethod
    def other_routes(self) -> Mapping[str, Find]:
        """Name of each other form -> how it is found."""

    def write_stand_in(self, folder: Path) -> None:
        """Draw a stand-in and leave it in `folder` as records of this source, unless it is there already."""
        from harness_datasets.stand_ins import write_stand_in

        write_stand_in(self.official_name, folder)
