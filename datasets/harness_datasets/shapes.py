"""Shapes: small coloured scenes; the class is what stands in them, not where, how large or on what."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from harness_datasets.drawing import DrawnSource

CANVAS = 112
KINDS = ("circle", "square", "triangle", "pentagon", "star", "cross", "crescent", "arrow", "heart", "bar")
FILLS = ("solid", "outline")
HUES = (0.0, 0.09, 0.16, 0.36, 0.55, 0.8)
LAYOUTS = ("one", "beside", "above", "three")
PLACES = {
    "one": ((0.0, 0.0),),
    "beside": ((-0.5, 0.0), (0.5, 0.0)),
    "above": ((0.0, -0.5), (0.0, 0.5)),
    "three": ((-0.5, 0.4), (0.5, 0.4), (0.0, -0.5)),
}
SIZES = {"one": 0.75, "beside": 0.46, "above": 0.46, "three": 0.42}
SCENES = tuple(product(KINDS, FILLS, HUES, LAYOUTS))

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Shapes(DrawnSource):
    """Each class is a kind of shape, filled or outlined, in a hue, standing alone, in twos or in threes.

    No two classes are the same in all four, but most share some. Place, size, turn, shade, background and
    clutter change from image to image.
    """

    name: str = "shapes"
    n_classes: int = 300

    version: ClassVar[str] = "shapes-1"
    channels: ClassVar[int] = 3
    native_size: ClassVar[int] = CANVAS
    most_classes: ClassVar[int] = len(SCENES)

    def traits(self, index: int) -> tuple[str, str, float, str]:
        """(kind, fill, hue, layout): the scenes in an order that `seed` shuffles."""
        return SCENES[self.class_rng(0).permutation(len(SCENES))[index]]

    def draw(self, traits: tuple[str, str, float, str], rng: np.random.Generator) -> Image.Image:
        """One scene."""
        kind, fill, hue, layout = traits
        image = _background(rng)
        pen = ImageDraw.Draw(image)
        for _ in range(rng.integers(0, 4)):
            _clutter(pen, rng)
        colour = _colour((hue + rng.normal(0, 0.012)) % 1, rng.uniform(0.75, 1.0), rng.uniform(0.65, 1.0))
        size = rng.uniform(0.6, 0.95)
        room = 1.05 - size
        middle = rng.uniform(-room, room, 2)
        turn = rng.normal(0, 0.18)
        for place in PLACES[layout]:
            centre = middle + size * (np.array(place) @ _turned(turn))
            outline = OUTLINES[kind]() * SIZES[layout] * size * rng.uniform(0.85, 1.1)
            corners = centre + outline @ _turned(turn + rng.normal(0, 0.12))
            _draw_outline(pen, (corners + 1) * CANVAS / 2, colour, fill)
        return image


def _turned(angle: float) -> Points:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    """A colour of the HSV cone as 8-bit RGB."""
    ramp = [abs((hue * 6 + shift) % 6 - 3) - 1 for shift in (0, 4, 2)]
    red, green, blue = (round(255 * value * (1 - saturation * (1 - min(max(x, 0), 1)))) for x in ramp)
    return red, green, blue


def _background(rng: np.random.Generator) -> Image.Image:
    """Dull colours that run into each other."""
    base = rng.uniform(20, 190)
    corners = np.clip(base + rng.normal(0, 22, (3, 3, 1)) + rng.normal(0, 14, (3, 3, 3)), 0, 255)
    return Image.fromarray(corners.astype(np.uint8)).resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)


def _clutter(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """A thin dull line somewhere."""
    ends = rng.uniform(0, CANVAS, 4).tolist()
    pen.line(ends, fill=_colour(rng.random(), rng.uniform(0, 0.35), rng.uniform(0.2, 0.9)), width=3)


def _draw_outline(pen: ImageDraw.ImageDraw, pixels: Points, colour: tuple[int, int, int], fill: str) -> None:
    corners = [(float(x), float(y)) for x, y in pixels]
    if fill == "solid":
        pen.polygon(corners, fill=colour)
    else:
        pen.line([*corners, corners[0], corners[1]], fill=colour, width=8, joint="curve")


def _regular(n_corners: int) -> Points:
    """A regular polygon in the unit circle, a corner up: [n_corners, 2]."""
    angles = np.arange(n_corners) * (2 * np.pi / n_corners) - np.pi / 2
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _star() -> Points:
    return _regular(10) * np.where(np.arange(10) % 2, 0.42, 1.05)[:, None]


def _cross() -> Points:
    arm = 0.3
    quarter = np.array([[arm, -arm], [arm, -1.0], [-arm, -1.0]])
    return np.concatenate([quarter @ _turned(-turn * np.pi / 2) for turn in range(4)])


def _crescent() -> Points:
    outer = np.linspace(0.25 * np.pi, 1.75 * np.pi, 24)
    inner = np.linspace(1.6 * np.pi, 0.4 * np.pi, 18)
    outside = np.stack([np.cos(outer), np.sin(outer)], axis=1)
    inside = 0.8 * np.stack([np.cos(inner), np.sin(inner)], axis=1) + [0.45, 0.0]
    return np.concatenate([outside, inside])


def _arrow() -> Points:
    return np.array(
        [[0, -1], [0.8, 0], [0.3, 0], [0.3, 1], [-0.3, 1], [-0.3, 0], [-0.8, 0]], dtype=np.float64
    )


def _heart() -> Points:
    t = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    height = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -height], axis=1) / 16


def _bar() -> Points:
    return np.array([[-1.0, -0.28], [1.0, -0.28], [1.0, 0.28], [-1.0, 0.28]])


OUTLINES: Mapping[str, Callable[[], Points]] = {
    "circle": partial(_regular, 32),
    "square": lambda: _regular(4) @ _turned(np.pi / 4),
    "triangle": partial(_regular, 3),
    "pentagon": partial(_regular, 5),
    "star": _star,
    "cross": _cross,
    "crescent": _crescent,
    "arrow": _arrow,
    "heart": _heart,
    "bar": _bar,
}
