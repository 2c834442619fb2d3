"""Describable Textures Dataset (Cimpoi and others 2014): 47 words for textures."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from harness_datasets.image_tree import ImageTree
from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.official_class_names import DTD as NAMES
from harness_datasets.original_archives import folder_tree, lists_there
from harness_datasets.raw_archives import Listing
from harness_datasets.raw_files import RawFolder, look_for
from harness_datasets.source import Find
from harness_datasets.tfds_catalogue import find_tfds_dtd
from harness_datasets.tfds_preparing import FetchedByTfds


@dataclass(frozen=True, kw_only=True)
class DTD(FetchedByTfds, MetaDatasetSource):
    """Photographs of textures under 33 train, 7 valid and 7 test words, RGB.

    Routes: Meta-Dataset's records; `original`, the archive `dtd-r1.0.1` or the folder `dtd` unpacked from it;
    `tfds`, TFDS's `dtd`.
    """

    name: str = "dtd"

    tfds_builder: ClassVar[str] = "dtd"
    channels: ClassVar[int] = 3
    official_name: ClassVar[str] = "dtd"
    official_classes: ClassVar[Mapping[str, int]] = {"train": 33, "valid": 7, "test": 7}
    official_images: ClassVar[int] = 5640
    licence: ClassVar[str] = "for research; the images were collected from the web"
    how_to_get: ClassVar[str] = "Fetch dtd-r1.0.1.tar.gz (0.6 GB) from www.robots.ox.ac.uk/~vgg/data/dtd."

    def other_routes(self) -> Mapping[str, Find]:
        """The original archive, and what TFDS has prepared."""
        return {"original": partial(_find_original, self.name), "tfds": find_tfds_dtd}


def _find_original(source: str, data_dir: Path) -> ImageTree | None:
    raw = look_for("dtd", data_dir, ("dtd-r1*", "dtd"), inside=(f"images/{NAMES[0]}",), also=("labels",))
    if raw is None:
        return None
    return folder_tree(
        source,
        "dtd-1",
        raw,
        inside="images/",
        folders={name: name for name in NAMES},
        lists=_listed,
        published=DTD.official_classes,
        images=DTD.official_images,
    )


def _listed(raw: RawFolder, listing: Listing, root: str) -> list[str] | None:
    """Of lines `banded/banded_0002.jpg`; the three parts of any of the ten published splits have them all."""
    lists = lists_there(raw, listing, [f"{root}labels/{part}1.txt" for part in ("train", "val", "test")])
    return None if lists is None else [line.strip() for lines in lists.values() for line in lines]
