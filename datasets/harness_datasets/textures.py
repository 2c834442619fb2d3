"""Textures: coloured patterns without edges or objects; only statistics tell the classes apart."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from harness_datasets.drawing import DrawnSource

CANVAS = 72

Field = npt.NDArray[np.float32]
"""[CANVAS, CANVAS]: a coordinate, or how much of the second colour, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Weave:
    """What a class of textures looks like.

    `family` names the pattern; `cycles` a canvas, `angle` in radians; `detail` and `contrast` in [0, 1] mean
    what the pattern makes of them; `colours` [2, 3] in [0, 1].
    """

    family: str
    cycles: float
    angle: float
    detail: float
    contrast: float
    colours: npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One patch: the pattern's own coordinates (`u` along, `v` across, in cycles) and what chance it has."""

    u: Field
    v: Field
    weave: Weave
    rng: np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Textures(DrawnSource):
    """Each class is a pattern (stripes, checks, dots, waves, bricks, noise, blobs, cells) in two colours.

    An image of it is another place of the pattern, slightly turned and scaled, in other light.
    """

    name: str = "textures"
    n_classes: int = 200

    version: ClassVar[str] = "textures-1"
    channels: ClassVar[int] = 3
    native_size: ClassVar[int] = CANVAS

    def traits(self, index: int) -> Weave:
        """The pattern, its geometry and its colours."""
        rng = self.class_rng(index)
        families = list(FAMILIES)
        return Weave(
            family=families[int(rng.integers(len(families)))],
            cycles=float(rng.uniform(2.5, 7.0)),
            angle=float(rng.uniform(0, np.pi)),
            detail=float(rng.random()),
            contrast=float(rng.random()),
            colours=_two_colours(rng),
        )

    def draw(self, traits: Weave, rng: np.random.Generator) -> Image.Image:
        """One patch of the pattern."""
        angle = traits.angle + rng.normal(0, 0.12)
        cycles = traits.cycles * float(np.exp(rng.normal(0, 0.1)))
        phase = rng.uniform(0, 1, 2)
        u = cycles * (np.cos(angle) * ACROSS + np.sin(angle) * DOWN) + phase[0]
        v = cycles * (np.cos(angle) * DOWN - np.sin(angle) * ACROSS) + phase[1]
        sheet = Sheet(u=u.astype(np.float32), v=v.astype(np.float32), weave=traits, rng=rng)
        return _coloured(FAMILIES[traits.family](sheet), traits.colours, rng)


_ALONG = np.linspace(-0.5, 0.5, CANVAS, dtype=np.float32)
ACROSS, DOWN = np.meshgrid(_ALONG, _ALONG)


def _two_colours(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Two colours that differ: [2, 3] in [0, 1]."""
    first, second = rng.uniform(0, 1, 3), rng.uniform(0, 1, 3)
    gap = second - first
    distance = float(np.linalg.norm(gap))
    if distance < 0.6:
        second = first + gap * (0.6 / max(distance, 1e-3))
    return np.clip(np.stack([first, second]), 0.0, 1.0)


def _coloured(amount: Field, colours: npt.NDArray[np.float64], rng: np.random.Generator) -> Image.Image:
    """Mix the two colours, in the light of this image: its tint, its brightness, and where it comes from."""
    first, second = (colours + rng.normal(0, 0.13, 3) + rng.normal(0, 0.05, (2, 3))).astype(np.float32)
    slope = rng.normal(0, 0.35, 2)
    light = np.float32(np.exp(rng.normal(0, 0.3))) * (1 + slope[0] * ACROSS + slope[1] * DOWN)
    pixels = (first + amount[..., None] * (second - first)) * light[..., None].astype(np.float32)
    pixels += rng.standard_normal(amount.shape, dtype=np.float32)[..., None] * np.float32(0.03)
    return Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def _sharpened(wave: Field, contrast: float) -> Field:
    """A wave in [-1, 1] as an amount in [0, 1]: the more contrast, the steeper."""
    return np.asarray(0.5 + 0.5 * np.clip(wave * np.float32(1 + 5 * contrast), -1, 1), dtype=np.float32)


def _sine(x: npt.NDArray[np.floating[Any]]) -> Field:
    return np.asarray(np.sin(np.float32(2 * np.pi) * x), dtype=np.float32)


def _stripes(sheet: Sheet) -> Field:
    return _sharpened(_sine(sheet.u) + np.float32(1.2 * sheet.weave.detail - 0.6), sheet.weave.contrast)


def _checks(sheet: Sheet) -> Field:
    return _sharpened(
        _sine(sheet.u / 1.5) * _sine(sheet.v / (1.5 + 2 * sheet.weave.detail)), sheet.weave.contrast
    )


def _dots(sheet: Sheet) -> Field:
    row = np.floor(sheet.v)
    from_centre = np.hypot(sheet.u + row / 2 - np.floor(sheet.u + row / 2) - 0.5, sheet.v - row - 0.5)
    radius = np.float32(0.2 + 0.22 * sheet.weave.detail)
    return _sharpened(np.clip((radius - from_centre) * 5, -1, 1), sheet.weave.contrast)


def _waves(sheet: Sheet) -> Field:
    bend = np.asarray((0.15 + 0.4 * sheet.weave.detail) * _sine(sheet.v / 2), dtype=np.float32)
    return _sharpened(_sine(sheet.u + bend), sheet.weave.contrast)


def _bricks(sheet: Sheet) -> Field:
    row = np.floor(sheet.v)
    along = sheet.u / 2 + row / 2
    to_joint = np.minimum((along - np.floor(along)) * 2, sheet.v - row)
    return _sharpened(
        np.clip((to_joint - np.float32(0.12 + 0.2 * sheet.weave.detail)) * 8, -1, 1), sheet.weave.contrast
    )


def _noise(sheet: Sheet) -> Field:
    return _sharpened(
        0.8 * _filtered(sheet.rng, sheet.weave, narrow=0.25 + 0.5 * sheet.weave.detail),
        0.3 * sheet.weave.contrast,
    )


def _blobs(sheet: Sheet) -> Field:
    level = np.float32(1.4 * sheet.weave.detail - 0.7)
    return _sharpened(3 * (_filtered(sheet.rng, sheet.weave, narrow=0.3) + level), sheet.weave.contrast)


def _cells(sheet: Sheet) -> Field:
    """Voronoi cells: the second colour grows from the borders."""
    n_points = round(3 * sheet.weave.cycles + 4)
    x, y = sheet.rng.uniform(-0.6, 0.6, (2, n_points, 1, 1)).astype(np.float32)
    distances = np.sqrt((ACROSS - x) ** 2 + (DOWN - y) ** 2)
    nearest = np.partition(distances, 1, axis=0)
    border = (nearest[1] - nearest[0]) * np.float32(np.sqrt(n_points))
    return _sharpened(1.5 * border - np.float32(0.2 + 0.5 * sheet.weave.detail), sheet.weave.contrast)


def _filtered(rng: np.random.Generator, traits: Weave, narrow: float) -> Field:
    """Noise of one scale and direction, deviation 1: a ring of frequencies, squeezed along `angle`."""
    spectrum = np.fft.rfft2(rng.standard_normal((CANVAS, CANVAS), dtype=np.float32))
    fx, fy = np.fft.rfftfreq(CANVAS, 1 / CANVAS), np.fft.fftfreq(CANVAS, 1 / CANVAS)[:, None]
    along = np.cos(traits.angle) * fx + np.sin(traits.angle) * fy
    across = np.cos(traits.angle) * fy - np.sin(traits.angle) * fx
    radius = np.hypot(along, across * (1 + 3 * traits.contrast))
    spectrum *= np.exp(-(((radius - traits.cycles) / (narrow * traits.cycles)) ** 2))
    field = np.fft.irfft2(spectrum, s=(CANVAS, CANVAS))
    return np.asarray(field / field.std(), dtype=np.float32)


FAMILIES: Mapping[str, Callable[[Sheet], Field]] = {
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "waves": _waves,
    "bricks": _bricks,
    "noise": _noise,
    "blobs": _blobs,
    "cells": _cells,
}
