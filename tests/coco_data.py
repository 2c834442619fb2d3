"""Small data in the format of MS COCO 2017: drawn photographs, and annotations of all 80 categories."""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness_datasets import coco_categories, coco_original, coco_tfds
from harness_datasets.coco_categories import CATEGORIES
from harness_datasets.coco_objects import CocoObjects
from harness_datasets.coco_original import find_original_coco

NAMED = {category: number + 1 + number // 8 for number, category in enumerate(CATEGORIES)}
"""Category -> an id; like COCO's they have gaps."""

SIZES = ((64, 48), (48, 64), (61, 47), (40, 43))


@dataclass(frozen=True)
class SmallCoco:
    """files: name -> photograph. annotations: what `instances_train2017.json` says."""

    files: dict[str, bytes]
    annotations: dict[str, Any]

    def changed(self, **changes: object) -> "SmallCoco":
        """With other parts of the annotations."""
        return SmallCoco(self.files, {**self.annotations, **changes})

    def text(self) -> bytes:
        return json.dumps(self.annotations).encode()

    def unpacked(self, place: Path) -> Path:
        """As folders in `place`."""
        for folder in ("train2017", "annotations"):
            (place / folder).mkdir(parents=True)
        for name, content in self.files.items():
            (place / "train2017" / name).write_bytes(content)
        (place / "annotations" / "instances_train2017.json").write_bytes(self.text())
        return place

    def packed(self, place: Path) -> Path:
        """As the two archives in `place`."""
        place.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(place / "train2017.zip", "w") as archive:
            for name in reversed(self.files):
                archive.writestr(f"train2017/{name}", self.files[name])
        with zipfile.ZipFile(place / "annotations_trainval2017.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("annotations/captions_train2017.json", "{}")
            archive.writestr("annotations/instances_train2017.json", self.text())
        return place


def small_coco(photographs: int = 12, objects: int = 240, seed: int = 0) -> SmallCoco:
    """Photographs with three objects or more of each category, at random places, crowds among them.

    Boxes have two decimals; many touch the edges of the photograph, and some are very small.
    """
    rng = np.random.default_rng(seed)
    ids = rng.choice(581_929, photographs, replace=False).tolist()
    sizes = {number: SIZES[k % len(SIZES)] for k, number in enumerate(ids)}
    files = {f"{number:012}.jpg": _photograph(rng, *sizes[number], k) for k, number in enumerate(ids)}
    images = [
        {
            "file_name": f"{number:012}.jpg",
            "width": sizes[number][0],
            "height": sizes[number][1],
            "id": number,
        }
        for number in ids
    ]
    categories = [{"supercategory": "thing", "id": number, "name": name} for name, number in NAMED.items()]
    numbers = list(NAMED.values())
    annotations = []
    for k in range(objects):
        image = images[int(rng.integers(photographs - 1))]  # the last photograph has no objects, as some have
        annotations.append(
            {
                "segmentation": [[1.5, 2.25, 3.0, 4.0]],
                "area": 702.105,
                "iscrowd": int(k % 7 == 0),
                "image_id": image["id"],
                "bbox": _box(rng, image["width"], image["height"]),
                "category_id": numbers[k % len(numbers)],
                "id": 900_000 - 3 * k,
            }
        )
    content = {"info": {"year": 2017}, "licenses": [], "images": images, "annotations": annotations}
    return SmallCoco(files, {**content, "categories": categories})


def _box(rng: np.random.Generator, width: int, height: int) -> list[float]:
    """x, y, width and height with two decimals, inside a photograph."""
    spans = [int(rng.integers(0 if rng.random() < 0.1 else 100, 100 * side)) for side in (width, height)]
    room = [100 * side - span for side, span in zip((width, height), spans, strict=True)]
    starts = [int(rng.choice([0, left, rng.integers(left + 1)], p=[0.1, 0.1, 0.8])) for left in room]
    return [number / 100 for number in (*starts, *spans)]


def _photograph(rng: np.random.Generator, width: int, height: int, number: int) -> bytes:
    """A smooth picture with sharp squares, every fifth of them grey."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 4 % 256, y * 5 % 256, (x + y) * 2 % 256], axis=-1).astype(np.uint8)
    for _ in range(6):
        top, left = rng.integers(height - 8), rng.integers(width - 8)
        pixels[top : top + 8, left : left + 8] = rng.integers(256, size=3)
    file = io.BytesIO()
    Image.fromarray(pixels).convert("L" if number % 5 == 4 else "RGB").save(file, "JPEG", quality=92)
    return file.getvalue()


COCO = small_coco(seed=2)
"""No two objects that fill a photograph are of different categories there: their images would be equal."""


def without(key: str, at: int = 0) -> list[object]:
    """A part of the annotations without one of its elements."""
    return [element for k, element in enumerate(COCO.annotations[key]) if k != at]


def with_first(key: str, **changes: object) -> list[object]:
    """A part of the annotations whose first element is changed."""
    return [{**COCO.annotations[key][0], **changes}, *COCO.annotations[key][1:]]


def smaller_totals(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the small data for all that was published, and keep indexes in `cache`."""
    monkeypatch.setenv("HARNESS_CACHE", str(cache))
    monkeypatch.setattr(coco_categories, "PHOTOGRAPHS", len(COCO.files))
    monkeypatch.setattr(coco_categories, "OBJECTS", len(COCO.annotations["annotations"]))
    forget_indexes()


def forget_indexes() -> None:
    """As in a new process."""
    coco_original._index.cache_clear()
    coco_tfds._index.cache_clear()


def original(place: Path) -> CocoObjects:
    found = find_original_coco("mscoco", place)
    assert found is not None
    return found
