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
from harness.errors import WorkspaceError
from harness.seeds import SERIES, counter_rng
from harness_datasets import stand_in_pictures as pictures
from harness_datasets.records import SPEC, STAND_IN
from harness_datasets.records_writing import bi_level_spec, flat_spec, hierarchical_spec, write_records
from harness_datasets.stand_in_pictures import TRAITS, Paint, Vector

VERSION = 3
"""Raised whenever other pictures or classes are drawn."""

FEWEST, MOST = 20, 30
"""Images of a class: they vary, so that shots do."""

QUALITY = 90
"""Of the JPEGs, in which the photographs among the sources come."""


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """What is drawn for one source.

    classes: of each split. size: pixels a side; varied: whether images are of other sizes too, and not square.
    images: bounds of their number in a class. groups: split -> classes of each alphabet or lowest inner node.
    """

    paint: Paint
    classes: Mapping[str, int]
    size: int = 48
    varied: bool = False
    images: tuple[int, int] = (FEWEST, MOST)
    groups: Mapping[str, Sequence[int]] | None = None


STAND_INS: Mapping[str, StandIn] = {
    "ilsvrc_2012": StandIn(
        paint=pictures.paint_object,
        classes={"train": 71, "valid": 16, "test": 13},
        varied=True,
        groups={"train": (9, 8, 10, 8, 9, 9, 9, 9), "valid": (8, 8), "test": (7, 6)},
    ),
    "omniglot": StandIn(
        paint=pictures.paint_glyph,
        classes={"train": 88, "valid": 16, "test": 66},
        size=105,
        images=(20, 20),
        groups={"train": (12, 9, 14, 11, 16, 10, 16), "valid": (7, 9), "test": (12, 9, 14, 11, 20)},
    ),
    "aircraft": StandIn(paint=pictures.paint_aircraft, classes={"train": 10, "valid": 8, "test": 8}),
    "cu_birds": StandIn(paint=pictures.paint_bird, classes={"train": 14, "valid": 8, "test": 8}),
    "dtd": StandIn(paint=pictures.paint_texture, classes={"train": 10, "valid": 8, "test": 8}),
    "quickdraw": StandIn(paint=pictures.paint_doodle, classes={"train": 24, "valid": 8, "test": 8}, size=28),
    "fungi": StandIn(paint=pictures.paint_fungus, classes={"train": 99, "valid": 20, "test": 20}),
    "vgg_flower": StandIn(paint=pictures.paint_flower, classes={"train": 10, "valid": 8, "test": 8}),
    "traffic_sign": StandIn(paint=pictures.paint_sign, classes={"test": 10}, varied=True),
    "mscoco": StandIn(paint=pictures.paint_cluttered, classes={"valid": 8, "test": 8}, varied=True),
}


def write_stand_in(source: str, folder: Path) -> None:
    """Draw the stand-in of `source` into `folder/<source>`, unless it is there already.

    The same pictures every time. Raises WorkspaceError when the folder cannot be written, or holds real data.
    """
    place, version, sizes = folder / source, f"{VERSION}.{SERIES}", _sizes(source)
    there = _version(place)
    if there == version and all((place / f"{k}.tfrecords").is_file() for k in range(len(sizes))):
        return
    if there is None and place.exists():
        raise WorkspaceError(
            f"{place} is there already and is no stand-in: none is drawn over it. Move it away, or name another "
            "folder for stand-ins."
        )
    shutil.rmtree(place, ignore_errors=True)
    write_records(place, {**_spec(source, sizes), STAND_IN: version}, _classes(source, sizes))


def _version(place: Path) -> str | None:
    """That of the stand-in in a folder; None where there is none."""
    try:
        spec = json.loads((place / SPEC).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(spec[STAND_IN]) if isinstance(spec, dict) and STAND_IN in spec else None


def _spec(source: str, sizes: Sequence[int]) -> dict[str, Any]:
    made = STAND_INS[source]
    if made.groups is None:
        names = {s: [f"{source}-{s}-{k:02}" for k in range(n)] for s, n in made.classes.items()}
        return flat_spec(source, names, sizes)
    word = "-character" if source == "omniglot" else "-"
    grouped = {
        split: {
            f"{split.capitalize()}-{chr(ord('A') + g)}": [
                f"{split.capitalize()}-{chr(ord('A') + g)}{word}{k + 1:02}" for k in range(size)
            ]
            for g, size in enumerate(made.groups[split])
        }
        for split in SPLITS
    }
    if source == "omniglot":
        return bi_level_spec(source, grouped, sizes)
    return hierarchical_spec(source, {split: _graph(split, nodes) for split, nodes in grouped.items()}, sizes)


def _graph(split: str, nodes: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """A root above the nodes, and between them a level of pairs of nodes where there are more than two."""
    root, names = f"{split.capitalize()}-root", list(nodes)
    if len(names) <= 2:
        return {root: names, **nodes}
    pairs = {f"{one}{other[-1]}": [one, other] for one, other in zip(names[::2], names[1::2], strict=True)}
    return {root: list(pairs), **pairs, **nodes}


def _sizes(source: str) -> list[int]:
    """Images of each class, in id order."""
    made = STAND_INS[source]
    low, high = made.images
    count = sum(made.classes.values())
    return [int(n) for n in counter_rng(VERSION, f"{source}/sizes", 0).integers(low, high + 1, count)]


def _classes(source: str, sizes: Sequence[int]) -> Iterator[tuple[int, Iterator[bytes]]]:
    for class_id, (traits, count) in enumerate(zip(_traits(source), sizes, strict=True)):
        yield class_id, _images(source, class_id, traits, count)


def _traits(source: str) -> Iterator[Vector]:
    """The traits of each class, in id order; classes below one node are variations of it, as are nodes."""
    made = STAND_INS[source]
    if source != "ilsvrc_2012" or made.groups is None:
        for class_id in range(sum(made.classes.values())):
            yield counter_rng(VERSION, f"{source}/class", class_id).random(TRAITS)
        return
    class_id = 0
    for split in SPLITS:
        for group, size in enumerate(made.groups[split]):
            pair = counter_rng(VERSION, f"{source}/{split}/pair", group // 2).random(TRAITS)
            node = _varied(pair, 0.25, counter_rng(VERSION, f"{source}/{split}/node", group))
            for _ in range(size):
                yield _varied(node, 0.14, counter_rng(VERSION, f"{source}/class", class_id))
                class_id += 1


def _varied(traits: Vector, spread: float, rng: np.random.Generator) -> Vector:
    return np.clip(traits + rng.normal(0, spread, TRAITS), 0, 0.999)


def _images(source: str, class_id: int, traits: Vector, count: int) -> Iterator[bytes]:
    made = STAND_INS[source]
    for k in range(count):
        rng = counter_rng(VERSION, f"{source}/class {class_id}", k)
        drawn = made.paint(traits, rng)
        sides = rng.uniform(0.7, 1.2, 2) if made.varied else np.ones(2)
        width, height = (round(made.size * float(side)) for side in sides)
        out, shown = io.BytesIO(), drawn.resize((width, height), Image.Resampling.BICUBIC)
        if drawn.mode == "L":
            shown.save(out, "PNG")
        else:
            shown.save(out, "JPEG", quality=QUALITY)
        yield out.getvalue()
