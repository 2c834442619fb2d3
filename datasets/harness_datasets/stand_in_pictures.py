"""Pictures of the stand-ins: a class is a vector of traits in [0, 1], an image of it a drawing with variations.

They resemble the sources they stand for as a child's drawing does: enough that the sources differ from one
another, and the classes of one source among themselves.
"""

import colorsys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from harness_datasets.glyphs import Glyphs
from harness_datasets.textures import Textures

CANVAS = 96
TRAITS = 24

Vector = npt.NDArray[np.float64]
Paint = Callable[[Vector, np.random.Generator], Image.Image]
"""Draws one image of the class with these traits [TRAITS]."""

Colour = tuple[int, int, int]


def paint_aircraft(t: Vector, rng: np.random.Generator) -> Image.Image:
    """A fuselage with wings and a tail against the sky, seen from above."""
    image = _ground(
        _hsv(0.55 + 0.06 * rng.random(), 0.15 + 0.4 * rng.random(), 0.75 + 0.2 * rng.random()), rng, 6
    )
    pen = ImageDraw.Draw(image)
    body, trim = _hsv(t[0], 0.25 * t[1], 0.65 + 0.35 * t[2]), _hsv(t[3], 0.9, 0.8)
    half, width = 26 + 16 * t[4], 3 + 6 * t[5]
    span, sweep, root = 16 + 26 * t[6], 26 * t[7] - 6, 6 + 10 * t[8]
    place = 18 * t[9] - 9
    for side in (-1, 1):
        wing = [
            (place - root, 0),
            (place + root, 0),
            (place - sweep + 3, side * span),
            (place - sweep - 4, side * span),
        ]
        pen.polygon(_at(wing), fill=trim if t[10] > 0.5 else body)
        tail = [(-half, 0), (-half + 8, 0), (-half - 6 * t[11], side * (6 + 10 * t[12]))]
        pen.polygon(_at(tail), fill=trim)
    pen.ellipse(_box(0, 0, half, width), fill=body)
    if t[13] > 0.4:
        pen.line(_at([(-half + 4, 0), (half - 4, 0)]), fill=trim, width=2)
    return _turned(image, rng.normal(0, 25), rng)


def paint_bird(t: Vector, rng: np.random.Generator) -> Image.Image:
    """A bird from the side before leaves."""
    image = _ground(_hsv(0.2 + 0.18 * rng.random(), 0.5, 0.3 + 0.4 * rng.random()), rng, 40)
    pen = ImageDraw.Draw(image)
    body, belly, wing = (
        _hsv(t[0], 0.8 * t[1], 0.3 + 0.7 * t[2]),
        _hsv(t[3], 0.7 * t[4], 0.9),
        _hsv(t[5], 0.7, 0.2 + 0.6 * t[6]),
    )
    length, height, head = 18 + 10 * t[7], 10 + 8 * t[8], 7 + 5 * t[9]
    pen.polygon(
        _at([(-length + 4, -2), (-length - 10 - 14 * t[10], 4 + 12 * t[11]), (-length + 4, 6)]), fill=wing
    )
    pen.ellipse(_box(0, 0, length, height), fill=body)
    pen.ellipse(_box(2, height * 0.4, length * 0.75, height * 0.55), fill=belly)
    pen.ellipse(_box(-3, -1, length * (0.4 + 0.3 * t[12]), height * 0.55), fill=wing)
    x, y = length * 0.9, -height * 0.7
    pen.ellipse(_box(x, y, head, head), fill=_hsv(t[13], 0.8 * t[14], 0.3 + 0.7 * t[15]))
    beak = 5 + 12 * t[16]
    pen.polygon(
        _at([(x + head - 2, y - 2), (x + head + beak, y + 1), (x + head - 2, y + 3)]),
        fill=_hsv(0.1, t[17], 0.9),
    )
    pen.ellipse(_box(x + 2, y - 1, 1.6, 1.6), fill=(10, 10, 10))
    return _turned(image, rng.normal(0, 12), rng, mirror=True)


def paint_flower(t: Vector, rng: np.random.Generator) -> Image.Image:
    """Petals around a centre."""
    image = _ground(_hsv(0.27 + 0.1 * rng.random(), 0.6, 0.2 + 0.3 * rng.random()), rng, 50)
    pen = ImageDraw.Draw(image)
    petals, rings = 4 + int(t[0] * 9), 1 + int(t[1] * 2.4)
    length, width = 18 + 18 * t[2], 5 + 9 * t[3]
    for ring in range(rings):
        reach = length * (1 - 0.3 * ring)
        colour = _hsv(t[4] + 0.08 * ring * t[5], 0.3 + 0.7 * t[6], 0.6 + 0.4 * t[7])
        for k in range(petals):
            angle = 2 * np.pi * (k + 0.5 * ring) / petals + 0.1 * rng.normal()
            pen.polygon(_petal(angle, reach, width, pointed=t[8] > 0.5), fill=colour, outline=_darker(colour))
    heart = 4 + 10 * t[9]
    pen.ellipse(_box(0, 0, heart, heart), fill=_hsv(0.08 + 0.1 * t[10], 0.9, 0.4 + 0.6 * t[11]))
    return _turned(image, rng.uniform(0, 360), rng)


def paint_fungus(t: Vector, rng: np.random.Generator) -> Image.Image:
    """A cap on a stem in the undergrowth."""
    image = _ground(_hsv(0.08 + 0.06 * rng.random(), 0.5, 0.2 + 0.25 * rng.random()), rng, 60)
    pen = ImageDraw.Draw(image)
    cap, stem = (
        _hsv(0.12 * t[0] + (0.9 if t[1] > 0.8 else 0), 0.2 + 0.7 * t[2], 0.4 + 0.6 * t[3]),
        _hsv(0.1, 0.3 * t[4], 0.6 + 0.4 * t[5]),
    )
    width, height, foot = 18 + 18 * t[6], 8 + 18 * t[7], 3 + 8 * t[8]
    tall = 16 + 18 * t[9]
    for shift in (0.0,) if t[10] < 0.7 else (-0.6, 0.6):
        x = shift * width
        pen.polygon(
            _at([(x - foot * 0.8, 0), (x + foot * 0.8, 0), (x + foot, tall), (x - foot, tall)]), fill=stem
        )
        if t[11] > 0.6:
            pen.ellipse(_box(x, tall * 0.3, foot * 1.8, 2.5), fill=_darker(stem))
        pen.pieslice(
            _box(x, 0, width * (0.6 if t[10] >= 0.7 else 1), height), 180, 360, fill=cap, outline=_darker(cap)
        )
        if t[12] > 0.5:
            for _ in range(4 + int(8 * t[13])):
                u, v = rng.uniform(-0.8, 0.8), rng.uniform(-0.85, -0.15)
                if u * u + v * v < 0.8:
                    pen.ellipse(_box(x + u * width, v * height, 1.8, 1.6), fill=(245, 240, 225))
    return _turned(image, rng.normal(0, 8), rng, mirror=True)


def paint_sign(t: Vector, rng: np.random.Generator) -> Image.Image:
    """A plate with a rim and a symbol, in all weathers."""
    image = _ground(_hsv(rng.random(), 0.2, 0.2 + 0.6 * rng.random()), rng, 30)
    pen = ImageDraw.Draw(image)
    corners, turn = ((60, 0.0), (3, -np.pi / 2), (4, 0.0), (8, np.pi / 8), (4, np.pi / 4))[int(t[0] * 4.99)]
    plate, rim = ((250, 250, 250), (200, 30, 30)) if t[1] < 0.5 else (_hsv(t[2], 0.85, 0.75), (240, 240, 240))
    for radius, colour in ((40, rim), (31 + 4 * t[3], plate)):
        angles = turn + 2 * np.pi * np.arange(corners) / corners
        pen.polygon(_at([(radius * np.cos(a), radius * np.sin(a)) for a in angles]), fill=colour)
    mark = np.random.default_rng(int(t[4] * 2**31))
    ink = (20, 20, 20) if t[1] < 0.5 else (250, 250, 250)
    for _ in range(1 + int(3 * t[5])):
        path = mark.uniform(-18, 18, (2 + mark.integers(2), 2))
        pen.line(_at([(float(x), float(y)) for x, y in path]), fill=ink, width=5, joint="curve")
    dimmed = image.point([int(v * factor) for factor in [rng.uniform(0.35, 1.0)] for v in range(256)] * 3)
    return _turned(dimmed.filter(ImageFilter.GaussianBlur(1.5 * rng.random())), rng.normal(0, 5), rng)


def paint_object(t: Vector, rng: np.random.Generator, *, clutter: int = 0) -> Image.Image:
    """A thing put together of simple parts; `clutter` other things may stand in the way."""
    image = _ground(_hsv(rng.random(), 0.3 * rng.random(), 0.3 + 0.6 * rng.random()), rng, 40)
    pen = ImageDraw.Draw(image)
    for _ in range(clutter):
        x, y, w, h = rng.uniform(-46, 46, 2).tolist() + rng.uniform(4, 20, 2).tolist()
        _part(pen, rng.random(), x, y, w, h, _hsv(rng.random(), 0.6 * rng.random(), rng.random()))
    parts = 2 + int(2.99 * t[0])
    for k in range(parts):
        u = t[1 + 5 * k : 6 + 5 * k]
        _part(
            pen,
            u[0],
            44 * u[1] - 22,
            44 * u[2] - 22,
            7 + 20 * u[3],
            7 + 20 * u[4],
            _hsv(u[0] * 3 + u[3], 0.75, 0.45 + 0.5 * u[4]),
        )
    return _turned(image, rng.normal(0, 15), rng, mirror=True)


def paint_cluttered(t: Vector, rng: np.random.Generator) -> Image.Image:
    """An object among others, as cut out of a photograph."""
    return paint_object(t, rng, clutter=7)


def paint_texture(t: Vector, rng: np.random.Generator) -> Image.Image:
    """A texture whose family, scale and colours are the class."""
    source = Textures(seed=int(t[0] * 2**30))
    return source.draw(source.traits(0), rng)


def paint_glyph(t: Vector, rng: np.random.Generator) -> Image.Image:
    """A handwritten character, ink bright."""
    source = Glyphs(seed=int(t[0] * 2**30))
    return source.draw(source.traits(0), rng)


def paint_doodle(t: Vector, rng: np.random.Generator) -> Image.Image:
    """A few strokes, drawn in seconds: rings, polygons, zigzags, spirals and lines, from large to small."""
    image = Image.new("L", (CANVAS, CANVAS))
    pen = ImageDraw.Draw(image)
    tilt = rng.normal(0, 0.25)
    tilted = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    scale, shift = rng.uniform(0.65, 1.05), rng.normal(0, 6, 2)
    for k in range(2 + int(2.99 * t[0])):
        u = t[1 + 5 * k : 6 + 5 * k]
        reach = (34 if k == 0 else 16) * (0.6 + 0.5 * u[4]) * rng.uniform(0.7, 1.2, 2)
        path = reach * _stroke(u) * (1.0, 0.5 + 0.6 * u[3])
        away = 0.0 if k == 0 else 26.0 * rng.uniform(0.7, 1.2)
        angle = 2 * np.pi * u[1] + rng.normal(0, 0.2)
        path = path + away * np.array([np.cos(angle), np.sin(angle)]) + rng.normal(0, 1.5, path.shape)
        path = scale * path @ tilted + shift
        pen.line(_at([(float(x), float(y)) for x, y in path]), fill=255, width=4, joint="curve")
    return image


def _stroke(u: Vector) -> Vector:
    """The points of one stroke [n, 2], within the unit circle: its kind and form are the traits `u`."""
    kind, form = int(u[0] * 5), u[2]
    if kind == 0:  # a ring, or a part of one
        angles = np.linspace(0, 2 * np.pi * (1.0 if form > 0.4 else 0.55), 16) + 2 * np.pi * form
        return np.stack([np.cos(angles), np.sin(angles)], 1)
    if kind == 1:  # a polygon
        corners = 3 + int(3.99 * form)
        angles = 2 * np.pi * np.arange(corners + 1) / corners + 2 * np.pi * u[1]
        return np.stack([np.cos(angles), np.sin(angles)], 1)
    if kind == 2:  # a zigzag
        steps = 4 + int(5 * form)
        return np.stack([np.linspace(-1, 1, steps), np.where(np.arange(steps) % 2, 0.5, -0.5)], 1)
    if kind == 3:  # a spiral
        angles = np.linspace(0, 2 * np.pi * (1.3 + form), 24)
        spiral: Vector = np.stack([np.cos(angles), np.sin(angles)], 1) * (angles / angles[-1])[:, None]
        return spiral
    angle = np.pi * form  # a line
    return np.array([[-np.cos(angle), -np.sin(angle)], [np.cos(angle), np.sin(angle)]])


def _part(
    pen: ImageDraw.ImageDraw, kind: float, x: float, y: float, w: float, h: float, colour: Colour
) -> None:
    if kind < 0.33:
        pen.ellipse(_box(x, y, w, h), fill=colour, outline=_darker(colour))
    elif kind < 0.66:
        pen.rectangle(_box(x, y, w, h), fill=colour, outline=_darker(colour))
    else:
        pen.polygon(_at([(x - w, y + h), (x + w, y + h), (x, y - h)]), fill=colour, outline=_darker(colour))


def _ground(colour: Colour, rng: np.random.Generator, roughness: float) -> Image.Image:
    """A blotchy background around a colour."""
    coarse = rng.normal(0, roughness, (6, 6, 1)) + rng.normal(0, roughness / 4, (6, 6, 3))
    pixels = np.clip(np.array(colour) + coarse, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)


def _turned(
    image: Image.Image, degrees: float, rng: np.random.Generator, *, mirror: bool = False
) -> Image.Image:
    """Turned, shifted and scaled a little; what comes in at the edges is the picture's own corner."""
    if mirror and rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    corner: Any = image.getpixel((1, 1))
    shift = (round(rng.normal(0, 4)), round(rng.normal(0, 4)))
    turned = image.rotate(degrees, Image.Resampling.BICUBIC, translate=shift, fillcolor=corner)
    margin = int(rng.integers(0, 9))
    return turned.crop((margin, margin, CANVAS - margin, CANVAS - margin))


def _petal(angle: float, length: float, width: float, *, pointed: bool) -> list[tuple[float, float]]:
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    profile = [(0.1, 0.25), (0.5, 1.0), (0.85, 0.6 if pointed else 0.95), (1.0, 0.0 if pointed else 0.5)]
    left = [along * length * a + across * width * b for a, b in profile]
    right = [along * length * a - across * width * b for a, b in reversed(profile)]
    return _at([(float(p[0]), float(p[1])) for p in left + right])


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(float(hue) % 1.0, float(saturation), min(float(value), 1.0))
    return int(255 * red), int(255 * green), int(255 * blue)


def _darker(colour: Colour) -> Colour:
    red, green, blue = (int(0.6 * part) for part in colour)
    return red, green, blue


def _at(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points around the middle of the canvas."""
    return [(x + CANVAS / 2, y + CANVAS / 2) for x, y in points]


def _box(x: float, y: float, half_width: float, half_height: float) -> tuple[float, float, float, float]:
    middle = CANVAS / 2
    return (
        middle + x - half_width,
        middle + y - half_height,
        middle + x + half_width,
        middle + y + half_height,
    )
