"""What MS COCO 2017 is as published: its categories, and how much there is of it."""

from collections.abc import Sequence
from pathlib import Path

from harness.errors import DataError

PHOTOGRAPHS = 118_287
"""Photographs in `train2017`; some have no annotated object."""

OBJECTS = 860_001
"""Annotated objects in them, crowds included."""

VALID = 40
"""Of the 80 categories; the other 40 are Meta-Dataset's test classes."""

CATEGORIES = tuple(
    """
    person | bicycle | car | motorcycle | airplane | bus | train | truck | boat | traffic light | fire hydrant |
    stop sign | parking meter | bench | bird | cat | dog | horse | sheep | cow | elephant | bear | zebra | giraffe |
    backpack | umbrella | handbag | tie | suitcase | frisbee | skis | snowboard | sports ball | kite |
    baseball bat | baseball glove | skateboard | surfboard | tennis racket | bottle | wine glass | cup | fork |
    knife | spoon | bowl | banana | apple | sandwich | orange | broccoli | carrot | hot dog | pizza | donut | cake |
    chair | couch | potted plant | bed | dining table | toilet | tv | laptop | mouse | remote | keyboard |
    cell phone | microwave | oven | toaster | sink | refrigerator | book | clock | vase | scissors | teddy bear |
    hair drier | toothbrush
    """.replace("\n", " ")
    .replace("    ", "")
    .strip()
    .split(" | ")
)
"""In the order of their ids, as in the annotation files: the official split is drawn from it."""


def check_categories(names: Sequence[str], where: Path, again: str) -> None:
    """Raise DataError unless these are the categories of COCO, in order. again: the next step."""
    if list(names) != list(CATEGORIES):
        odd = sorted(set(names) ^ set(CATEGORIES))
        said = f"{odd[0]!r} is in one of the two lists only" if odd else "they are in another order"
        raise DataError(
            f"The {len(names)} categories in {where} are not the {len(CATEGORIES)} of COCO: {said}. {again}"
        )


def check_published(photographs: int, objects: int, where: Path, again: str) -> None:
    """Raise DataError unless there are as many photographs and objects as published. again: the next step."""
    if (photographs, objects) != (PHOTOGRAPHS, OBJECTS):
        raise DataError(
            f"{where} is not COCO's train2017 as published: it has {photographs} photographs with {objects} objects, "
            f"not {PHOTOGRAPHS} with {OBJECTS}. {again}"
        )
