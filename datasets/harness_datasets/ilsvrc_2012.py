"""ILSVRC 2012, split by Meta-Dataset along WordNet (Russakovsky and others 2015; Triantafillou and others 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from harness_datasets.ilsvrc_2012_original import find_ilsvrc_2012_original
from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.source import Find
from harness_datasets.tfds_catalogue import find_tfds_ilsvrc_2012
from harness_datasets.tfds_preparing import FetchedByTfds


@dataclass(frozen=True, kw_only=True)
class ILSVRC2012(FetchedByTfds, MetaDatasetSource):
    """ImageNet's 1000 classes, and the nodes of WordNet above them that episodes are drawn from.

    Routes: Meta-Dataset's records; `md_tfds`, its own TFDS data sets; `original`, the folders of ImageNet's images for
    training; `tfds`, TFDS's `imagenet2012`. The last two are without the 403 images that are also in Caltech-101,
    Caltech-256 or CUB-200, and with Meta-Dataset's class graph, as the others are.
    """

    name: str = "ilsvrc_2012"

    tfds_builder: ClassVar[str] = "imagenet2012"
    by_hand: ClassVar[str] = "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar"
    channels: ClassVar[int] = 3
    licence: ClassVar[str] = "ImageNet's terms of access: research and education only"
    how_to_get: ClassVar[str] = (
        "Ask for ILSVRC2012_img_train.tar (138 GB) at image-net.org or the images of Kaggle's "
        "imagenet-object-localization-challenge, and unpack them, the 1000 tars inside the first as well, to folders "
        "`ilsvrc_2012/train/<wnid>/<wnid>_<number>.JPEG`; tars are not read. Or have that tar prepared by "
        "tensorflow-datasets as imagenet2012, or converted by the scripts of google-research/meta-dataset."
    )
    official_name: ClassVar[str] = "ilsvrc_2012"
    official_classes: ClassVar[Mapping[str, int]] = {"train": 712, "valid": 158, "test": 130}
    official_images: ClassVar[int] = 1_280_764

    def other_routes(self) -> Mapping[str, Find]:
        """The unpacked images, then TFDS's `imagenet2012`."""
        return {"original": partial(find_ilsvrc_2012_original, self.name), "tfds": find_tfds_ilsvrc_2012}
