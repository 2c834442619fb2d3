"""Drawn stand-ins for Meta-Dataset's ten sources, stored as its records: for `harness run ... --demo`.

A stand-in has about a tenth of its source's classes, the same splits, alphabets where the source has alphabets and
a class graph where it has one. Its specification says that it is one.
"""

import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from harness.dataset import SPLITS
from harness.seeds import PROTOCOL_VERSION, counter_rng
from harness_datasets import stand_in_pictures as pictures
from harness_datasets.records import SPEC, STAND_IN
from harness_datasets.records_writing import bi_level_spec, flat_spec, hierarchical_spec, write_records
from harness_datasets.stand_in_pictures import TRAITS, Paint, Vector

VERSION = 1
"""Raised whenever other pictures or classes are drawn."""

FEWEST, MOST = 12, 30
"""Images of a class: they vary, so that shots do."""


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """What is drawn for one source. classes: of each split. size: pixels. sizes: bounds of images of a class."""

    paint: Paint
    classes: Mapping[str, int]
    size: int = 48
    sizes: tuple[int, int] = (FEWEST, MOST)
    groups: Mapping[str, Sequence[int]] | None = None
    """Split -> classes of each alphabet or inner node."""


STAND_INS: Mapping[str, StandIn] = {
    "ilsvrc_2012": StandIn(
        paint=pictures.paint_object,
        classes={"train": 71, "valid": 16, "test": 13},
        groups={"train": (9, 8, 10, 8, 9, 9, 9, 9), "valid": (8, 8), "test": (7, 6)},
    ),
    "omniglot": StandIn(
        paint=pictures.paint_glyph,
        classes={"train": 88, "valid": 16, "test": 66},
        size=105,
        sizes=(20, 20),
        groups={"train": (12, 9, 14, 11, 16, 10, 16), "valid": (7, 9), "test": (12, 9, 14, 11, 20)},
    ),
    "aircraft": StandIn(paint=pictures.paint_aircraft, classes={"train": 10, "valid": 8, "test": 8}),
    "cu_birds": StandIn(paint=pictures.paint_bird, classes={"train": 14, "valid": 8, "test": 8}),
    "dtd": StandIn(paint=pictures.paint_texture, classes={"train": 10, "valid": 8, "test": 8}),
    "quickdraw": StandIn(paint=pictures.paint_doodle, classes={"train": 24, "valid": 8, "test": 8}, size=28),
    "fungi": StandIn(paint=pictures.paint_fungus, classes={"train": 99, "valid": 20, "test": 20}),
    "vgg_flower": StandIn(paint=pictures.paint_flower, classes={"train": 10, "valid": 8, "test": 8}),
    "traffic_sign": StandIn(paint=pictures.paint_sign, classes={"test": 10}),
    "mscoco": StandIn(paint=pictures.paint_cluttered, classes={"valid": 8, "test": 8}),
}


def write_stand_in(source: str, folder: Path) -> None:
    """Draw the stand-in of `source` into `folder/<source>`, unless it is there already.

    The same pictures every time. Raises WorkspaceError when the folder cannot be written.
    """
    place, version = folder / source, f"{VERSION}.{PROTOCOL_VERSION}"
    if _version(place) == version:
        return
    shutil.rmtree(place, ignore_errors=True)
    write_records(place, {**_spec(source), STAND_IN: version}, _classes(source, _sizes(source)))


def _version(place: Path) -> str | None:
    try:
        version: str | None = json.loads((place / SPEC).read_text(encoding="utf-8")).get(STAND_IN)
    except (OSError, ValueError):
        return None
    return version


def _spec(source: str) -> dict[str, Any]:
    made, sizes = STAND_INS[source], _sizes(source)
    if made.groups is None:
        names = {s: [f"{source}-{s}-{k:02}" for k in range(n)] for s, n in made.classes.items()}
        return flat_spec(source, names, sizes)
    grouped: dict[str, dict[str, list[str]]] = {}
    for split in SPLITS:
        grouped[split] = {}
        for g, size in enumerate(made.groups[split]):
            group = f"{split.capitalize()}-{chr(ord('A') + g)}"
            word = f"{group}-character" if source == "omniglot" else f"{group}-"
            grouped[split][group] = [f"{word}{k + 1:02}" for k in range(size)]
    make = bi_level_spec if source == "omniglot" else hierarchical_spec
    return make(source, grouped, sizes)


def _sizes(source: str) -> list[int]:
    """Images of each class, in id order."""
    made = STAND_INS[source]
    low, high = made.sizes
    count = sum(made.classes.values())
    return [int(n) for n in counter_rng(VERSION, f"{source}/sizes", 0).integers(low, high + 1, count)]


def _classes(source: str, sizes: Sequence[int]) -> Iterator[tuple[int, Iterator[bytes]]]:
    for class_id, (traits, count) in enumerate(zip(_traits(source), sizes, strict=True)):
        yield class_id, _images(source, class_id, traits, count)


def _traits(source: str) -> Iterator[Vector]:
    """The traits of each class, in id order; classes below one node are variations of it."""
    made = STAND_INS[source]
    related = source == "ilsvrc_2012"
    class_id = group_id = 0
    for split in SPLITS:
        for size in (made.groups or {}).get(split, ()) if related else (1,) * made.classes.get(split, 0):
            parent = counter_rng(VERSION, f"{source}/group", group_id).random(TRAITS)
            group_id += 1
            for _ in range(size):
                own = counter_rng(VERSION, f"{source}/class", class_id)
                class_id += 1
                yield (
                    np.clip(parent + own.normal(0, 0.22, TRAITS), 0, 0.999) if related else own.random(TRAITS)
                )


def _images(source: str, class_id: int, traits: Vector, count: int) -> Iterator[bytes]:
    made = STAND_INS[source]
    for k in range(count):
        drawn = made.paint(traits, counter_rng(VERSION, f"{source}/class {class_id}", k))
        out = io.BytesIO()
        drawn.resize((made.size, made.size), Image.Resampling.BICUBIC).save(out, "PNG")
        yield out.getvalue()
