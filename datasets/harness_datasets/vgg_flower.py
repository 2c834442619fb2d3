"""Oxford Flowers-102 (Nilsback and Zisserman 2008): flowers of 102 categories."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness_datasets.class_folders import images_by_folder, root_of
from harness_datasets.image_tree import ImageTree
from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.official_class_names import VGG_FLOWER
from harness_datasets.original_archives import check_complete, published_tree, rows_by_name, sorted_rows
from harness_datasets.raw_archives import Listing
from harness_datasets.raw_files import RawFolder, look_for
from harness_datasets.source import Find
from harness_datasets.tfds_catalogue import find_tfds_vgg_flower
from harness_datasets.tfds_preparing import FetchedByTfds

ARCHIVES = ("102flowers", "flowers-102")
LABELS = "imagelabels.mat"


@dataclass(frozen=True, kw_only=True)
class VGGFlower(FetchedByTfds, MetaDatasetSource):
    """Photographs of flowers of 71 train, 15 valid and 16 test categories, RGB.

    Routes: Meta-Dataset's records; `original`, the archive `102flowers` or its folder `jpg`, with `imagelabels.mat`;
    `tfds`, TFDS's `oxford_flowers102`.
    """

    name: str = "vgg_flower"

    tfds_builder: ClassVar[str] = "oxford_flowers102"
    channels: ClassVar[int] = 3
    official_name: ClassVar[str] = "vgg_flower"
    official_classes: ClassVar[Mapping[str, int]] = {"train": 71, "valid": 15, "test": 16}
    official_images: ClassVar[int] = 8189
    licence: ClassVar[str] = "not stated by its authors; the images were collected from the web"
    how_to_get: ClassVar[str] = (
        "Fetch 102flowers.tgz (0.3 GB) and imagelabels.mat from www.robots.ox.ac.uk/~vgg/data/flowers/102 into "
        "one folder."
    )

    def other_routes(self) -> Mapping[str, Find]:
        """The original archive, and what TFDS has prepared."""
        return {
            "original": partial(_find_original, self.name, self.official_classes),
            "tfds": find_tfds_vgg_flower,
        }


def _find_original(source: str, published: Mapping[str, int], data_dir: Path) -> ImageTree | None:
    """The images `jpg/image_NNNNN.jpg` of `102flowers`, with `imagelabels.mat` in it or beside it."""
    raw = look_for("vgg_flower", data_dir, ARCHIVES, inside=("jpg", LABELS))
    if raw is None:
        return None
    listing = raw.listing()
    folder = f"{root_of(raw, listing, ['jpg/image_'], source)}jpg/"
    rows = rows_by_name(listing, folder, images_by_folder(listing, folder).get("", sorted_rows([])))
    labels = read_labels(_labels_file(raw, listing, source), raw.location)
    listed = [f"image_{number:05}.jpg" for number in range(1, len(labels) + 1)]
    check_complete(raw, source, rows.keys(), listed, LABELS, len(labels))
    classes = {
        name: sorted_rows([rows[listed[at]] for at in np.flatnonzero(labels == number)])
        for number, name in enumerate(VGG_FLOWER, start=1)
    }
    return published_tree(
        source,
        "vgg_flower-1",
        raw,
        listing,
        root=folder,
        classes=classes,
        published=published,
        names=VGG_FLOWER,
    )


def _labels_file(raw: RawFolder, listing: Listing, source: str) -> bytes:
    """The content of the labels, in the archive or folder or beside it."""
    inside = [path for path in map(bytes.decode, listing.paths.tolist()) if path.rpartition("/")[2] == LABELS]
    if inside:
        return raw.read_few(inside[:1])[inside[0]]
    try:
        return (raw.location.parent / LABELS).read_bytes()
    except OSError as error:
        raise DataError(
            f"Source {source!r} needs {LABELS}, which is neither in {raw.location} nor readable beside it "
            f"({error.strerror or error}). Fetch it from www.robots.ox.ac.uk/~vgg/data/flowers/102 and put it there."
        ) from error


def read_labels(content: bytes, location: Path) -> npt.NDArray[np.int64]:
    """The class of each image, int64 [n] from 1 to 102. Raises DataError for a file that does not hold that."""
    from scipy.io import loadmat

    try:
        labels = np.asarray(loadmat(cast(Any, io.BytesIO(content)))["labels"])
    # scipy raises whatever its parser stumbles over; the file is small and from one place.
    except Exception as error:
        raise DataError(
            f"{LABELS} of {location} cannot be read as a MATLAB file with 'labels' ({error}). Fetch it again."
        ) from error
    numbers = labels.ravel()
    if labels.dtype.kind not in "iuf" or not np.isin(numbers, np.arange(1, len(VGG_FLOWER) + 1)).all():
        raise DataError(
            f"{LABELS} of {location} has labels other than the whole numbers from 1 to {len(VGG_FLOWER)}. "
            "Fetch it again."
        )
    return numbers.astype(np.int64)
