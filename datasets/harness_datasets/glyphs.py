"""Glyphs: made-up characters of random strokes, in a shaky hand; an Omniglot without a download."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from harness_datasets.drawing import DrawnSource

CANVAS = 112
STEPS = 10

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Glyphs(DrawnSource):
    """Each class is one to four strokes through random points; grey, ink bright.

    An image of it jitters the points, bends the sheet, and changes slant, size, place and pen width.
    """

    name: str = "glyphs"
    n_classes: int = 400

    version: ClassVar[str] = "glyphs-1"
    channels: ClassVar[int] = 1
    native_size: ClassVar[int] = CANVAS

    def traits(self, index: int) -> list[Points]:
        """The strokes: each [n_points, 2] in [-1, 1]²."""
        rng = self.class_rng(index)
        strokes: list[Points] = []
        for _ in range(rng.choice([1, 2, 3, 4], p=[0.15, 0.35, 0.35, 0.15])):
            strokes.append(_stroke(rng, strokes))
        points = np.concatenate(strokes)
        middle = (points.max(0) + points.min(0)) / 2
        extent = max(float(np.ptp(points, axis=0).max()) / 2, 0.3)
        return [(stroke - middle) / extent for stroke in strokes]

    def draw(self, traits: list[Points], rng: np.random.Generator) -> Image.Image:
        """The strokes, written once."""
        image = Image.new("L", (CANVAS, CANVAS))
        pen = ImageDraw.Draw(image)
        width = rng.uniform(0.035, 0.065) * CANVAS
        place = partial(
            _bend, matrix=_slant(rng), shift=rng.normal(0, 0.13, 2), wave=rng.normal(0, 0.05, (2, 4))
        )
        for stroke in traits:
            path = place(_smooth(stroke + rng.normal(0, 0.065, stroke.shape)))
            _write(pen, (path * 0.36 + 0.5) * CANVAS, width)
        return image


def _stroke(rng: np.random.Generator, earlier: list[Points]) -> Points:
    """A walk of two to five points; it often begins on an earlier stroke, as in real writing."""
    if earlier and rng.random() < 0.55:
        other = earlier[rng.integers(len(earlier))]
        start = other[rng.integers(len(other))]
    else:
        start = rng.uniform(-1, 1, 2)
    points, heading = [start], rng.uniform(0, 2 * np.pi)
    curl = rng.normal(0, 0.9)
    for _ in range(rng.integers(1, 5)):
        length = rng.uniform(0.5, 1.3)
        step = points[-1] + length * np.array([np.cos(heading), np.sin(heading)])
        points.append(np.clip(step, -1.1, 1.1))
        heading += curl + rng.normal(0, 0.7)
    return np.stack(points)


def _smooth(points: Points) -> Points:
    """A Catmull-Rom curve through `points`, `STEPS` steps a piece; two points stay a straight line."""
    if len(points) == 2:
        return np.linspace(points[0], points[1], STEPS + 1)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, STEPS, endpoint=False)[:, None, None]
    pieces = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    return np.concatenate([pieces.transpose(1, 0, 2).reshape(-1, 2), points[-1:]])


def _slant(rng: np.random.Generator) -> Points:
    """A random turn, slant and size: [2, 2]."""
    angle, slant = rng.normal(0, 0.17), rng.normal(0, 0.17)
    width, height = rng.uniform(0.7, 1.1, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(turn @ np.array([[width, slant], [0.0, height]]))


def _bend(points: Points, matrix: Points, shift: Points, wave: Points) -> Points:
    """The affine map, then a smooth displacement (a slight elastic bend of the sheet)."""
    x, y = points[:, 0], points[:, 1]
    basis = np.stack([np.sin(2.2 * x), np.cos(2.2 * y), np.sin(2.2 * y), np.cos(2.2 * x)])
    return np.asarray(points @ matrix.T + shift + (wave @ basis).T)


def _write(pen: ImageDraw.ImageDraw, path: Points, width: float) -> None:
    """Draw `path` (pixels) with a round pen."""
    corners = [(float(x), float(y)) for x, y in path]
    pen.line(corners, fill=255, width=round(width), joint="curve")
    for x, y in (corners[0], corners[-1]):
        pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
