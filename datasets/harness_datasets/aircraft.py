"""FGVC-Aircraft (Maji and others 2013): 100 variants of aircraft, cropped to their bounding boxes."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from harness.errors import DataError
from harness_datasets.class_folders import images_by_folder, root_of
from harness_datasets.image_files import Box
from harness_datasets.image_tree import ImageTree
from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.official_class_names import AIRCRAFT
from harness_datasets.original_archives import (
    check_complete,
    lines_of,
    published_tree,
    rows_by_name,
    sorted_rows,
)
from harness_datasets.raw_files import Rows, look_for
from harness_datasets.source import Find

ARCHIVES = ("fgvc-aircraft-2013b",)
LISTS = tuple(f"data/images_variant_{part}.txt" for part in ("train", "val", "test"))
BOXES = "data/images_box.txt"
IMAGES = "data/images"


@dataclass(frozen=True, kw_only=True)
class Aircraft(MetaDatasetSource):
    """Photographs of 70 train, 15 valid and 15 test variants of aircraft, RGB, each cropped to its bounding box.

    Routes: Meta-Dataset's records; `original`, the archive `fgvc-aircraft-2013b` or the folder unpacked from it.
    """

    name: str = "aircraft"

    channels: ClassVar[int] = 3
    official_name: ClassVar[str] = "aircraft"
    official_classes: ClassVar[Mapping[str, int]] = {"train": 70, "valid": 15, "test": 15}
    official_images: ClassVar[int] = 10_000
    licence: ClassVar[str] = "for non-commercial research only; the photographers keep their rights"
    how_to_get: ClassVar[str] = (
        "Fetch fgvc-aircraft-2013b.tar.gz (2.75 GB) from www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft."
    )

    def other_routes(self) -> Mapping[str, Find]:
        """The original archive."""
        return {"original": partial(_find_original, self.name, self.official_classes)}


def _find_original(source: str, published: Mapping[str, int], data_dir: Path) -> ImageTree | None:
    """The images of `fgvc-aircraft-2013b`, each cropped to its bounding box as Meta-Dataset does.

    The box shows which of several aircraft is meant, and cuts off the banner with the photographer's name.
    Its edges go to PIL's crop as the list has them. Published train, val and test parts are taken together.
    """
    raw = look_for("aircraft", data_dir, ARCHIVES, inside=(IMAGES, *LISTS, BOXES))
    if raw is None:
        return None
    listing = raw.listing()
    root = root_of(raw, listing, [LISTS[-1]], source)
    folder = f"{root}{IMAGES}/"
    rows = rows_by_name(listing, folder, images_by_folder(listing, folder).get("", sorted_rows([])))
    texts = raw.read_few([root + path for path in (*LISTS, BOXES)])
    variants = {}
    for path in LISTS:
        for line in lines_of(texts[root + path], path, raw.location):
            image, _, variant = line.strip().partition(" ")
            variants[f"{image}.jpg"] = variant
    boxes = _boxes(texts[root + BOXES], raw.location)
    check_complete(raw, source, rows.keys(), variants.keys(), " and ".join(LISTS), len(variants))
    unboxed = sorted(set(variants) - set(boxes))
    if unboxed:
        raise DataError(
            f"{BOXES} in {raw.location} has no bounding box for {len(unboxed)} images, among them "
            f"{', '.join(unboxed[:3])}. Fetch the archive again."
        )
    return published_tree(
        source,
        "aircraft-1",
        raw,
        listing,
        root=folder,
        classes=_classes(variants, rows),
        published=published,
        names=AIRCRAFT,
        boxes=boxes,
    )


def _classes(variants: Mapping[str, str], rows: Mapping[str, int]) -> dict[str, Rows]:
    found: dict[str, list[int]] = defaultdict(list)
    for image, variant in variants.items():
        found[variant].append(rows[image])
    return {variant: sorted_rows(found[variant]) for variant in sorted(found)}


def _boxes(content: bytes, location: Path) -> dict[str, Box]:
    """Image -> its box. Raises DataError for a line that is none."""
    boxes = {}
    for line in lines_of(content, BOXES, location):
        image, *edges = line.split()
        try:
            left, upper, right, lower = (int(edge) for edge in edges)
        except ValueError:
            left = upper = right = lower = 0
        if not (0 <= left < right and 0 <= upper < lower):
            raise DataError(
                f"{BOXES} in {location} has the line {line!r}, which is not a name and the left, upper, right "
                "and lower edge of a box. Fetch the archive again."
            )
        boxes[f"{image}.jpg"] = (left, upper, right, lower)
    return boxes
