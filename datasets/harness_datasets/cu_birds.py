"""CUB-200-2011 (Wah and others 2011): 200 species of birds."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from harness_datasets.image_tree import ImageTree
from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.official_class_names import CU_BIRDS
from harness_datasets.original_archives import folder_tree, lists_there
from harness_datasets.raw_archives import Listing
from harness_datasets.raw_files import RawFolder, look_for
from harness_datasets.source import Find
from harness_datasets.tfds_catalogue import find_tfds_cu_birds
from harness_datasets.tfds_preparing import FetchedByTfds


@dataclass(frozen=True, kw_only=True)
class CUBirds(FetchedByTfds, MetaDatasetSource):
    """Photographs of 140 train, 30 valid and 30 test species of birds, RGB, whole and not cropped to the bird.

    Routes: Meta-Dataset's records; `original`, the archive `CUB_200_2011` or the folder unpacked from it;
    `tfds`, TFDS's `caltech_birds2011`.
    """

    name: str = "cu_birds"

    tfds_builder: ClassVar[str] = "caltech_birds2011"
    channels: ClassVar[int] = 3
    official_name: ClassVar[str] = "cu_birds"
    official_classes: ClassVar[Mapping[str, int]] = {"train": 140, "valid": 30, "test": 30}
    official_images: ClassVar[int] = 11_788
    licence: ClassVar[str] = "for non-commercial research and education; the photographers keep their rights"
    how_to_get: ClassVar[str] = "Fetch CUB_200_2011.tgz (1.1 GB) from data.caltech.edu/records/65de6-vp158."

    def other_routes(self) -> Mapping[str, Find]:
        """The original archive, and what TFDS has prepared."""
        return {"original": partial(_find_original, self.name), "tfds": find_tfds_cu_birds}


def _find_original(source: str, data_dir: Path) -> ImageTree | None:
    raw = look_for(
        "cu_birds", data_dir, ("cub_200_2011",), inside=(f"images/{CU_BIRDS[0]}",), also=("images.txt",)
    )
    if raw is None:
        return None
    return folder_tree(
        source,
        "cu_birds-1",
        raw,
        inside="images/",
        folders={name: name for name in CU_BIRDS},
        lists=_listed,
        published=CUBirds.official_classes,
        images=CUBirds.official_images,
    )


def _listed(raw: RawFolder, listing: Listing, root: str) -> list[str] | None:
    """Of lines `1 001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg`."""
    lists = lists_there(raw, listing, [f"{root}images.txt"])
    if lists is None:
        return None
    return [line.strip().partition(" ")[2] for lines in lists.values() for line in lines]
