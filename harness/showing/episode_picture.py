"""Episodes as a picture: the support set of each class, then its queries, each under what it was taken for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from harness.contact_sheet import shortened
from harness.files import write_aside
from harness.showing.answers import Answer

TILE, GAP, NAME, HEAD = 60, 8, 160, 40
MOST_CLASSES, MOST_SUPPORT, MOST_QUERIES = 10, 5, 10
RIGHT, WRONG, INK = (0, 114, 178), (213, 94, 0), (20, 20, 20)
"""Okabe & Ito's blue and vermilion; a wrong answer also has its text in brackets."""


def draw_episodes(answers: Sequence[Answer], titles: Sequence[str], path: Path) -> None:
    """Write a PNG with the episodes below one another. Of large ones, the first classes and images.

    Raises WorkspaceError when `path` cannot be written.
    """
    from PIL import Image

    parts = [_episode(answer, title) for answer, title in zip(answers, titles, strict=True)]
    sheet = Image.new(
        "RGB", (max(part.width for part in parts), sum(part.height for part in parts)), (255, 255, 255)
    )
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    write_aside(path, lambda aside: sheet.save(aside, "PNG", optimize=True))


def _episode(answer: Answer, title: str) -> Any:
    from PIL import Image, ImageDraw, ImageFont

    task, classes = answer.episode.task, min(answer.episode.task.n_way, MOST_CLASSES)
    supports = [_of(task.support_x, task.support_y, label, MOST_SUPPORT) for label in range(classes)]
    queries = [_places(answer.episode.query_y, label)[:MOST_QUERIES] for label in range(classes)]
    wide = max(map(len, supports)), max(map(len, queries))
    row = TILE + GAP + 14
    width = NAME + (sum(wide) + 1) * (TILE + GAP)
    image = Image.new("RGB", (width, HEAD + classes * row + 8), (255, 255, 255))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=11)
    pen.text((4, 4), title, fill=INK, font=ImageFont.load_default(size=13))
    heads = {"support": NAME, "queries, and what they were taken for": NAME + (wide[0] + 1) * (TILE + GAP)}
    for text, left in heads.items():
        pen.text((left, 22), text, fill=INK, font=font)
    low, high = float(task.support_x.min()), float(task.support_x.max())
    for label in range(classes):
        top = HEAD + label * row
        pen.text((4, top + TILE // 2 - 6), shortened(answer.class_names[label], 22), fill=INK, font=font)
        for place, x in enumerate(supports[label]):
            image.paste(_tile(x, low, high), (NAME + place * (TILE + GAP), top))
        for place, query in enumerate(queries[label]):
            left = NAME + (wide[0] + 1 + place) * (TILE + GAP)
            guess = answer.predicted[query]
            right = guess == label
            image.paste(_tile(task.query_x[query], low, high), (left, top))
            colour = RIGHT if right else WRONG
            pen.rectangle((left, top, left + TILE - 1, top + TILE - 1), outline=colour, width=3)
            name = shortened(answer.class_names[guess], 8)
            pen.text((left, top + TILE + 1), name if right else f"[{name}]", fill=colour, font=font)
    return image


def _places(labels: Tensor, label: int) -> list[int]:
    return [place for place, own in enumerate(labels.tolist()) if own == label]


def _of(x: Tensor, labels: Tensor, label: int, most: int) -> list[Tensor]:
    return [x[place] for place in _places(labels, label)[:most]]


def _tile(x: Tensor, low: float, high: float) -> Any:
    """An image [C, H, W] as a square of TILE pixels; low, high: the values of black and white."""
    from PIL import Image

    share = (x.cpu().numpy().transpose(1, 2, 0) - low) / max(high - low, 1e-9)
    pixels: npt.NDArray[np.uint8] = np.clip(255 * share, 0, 255).astype(np.uint8)
    grey = pixels.shape[2] == 1
    made = Image.fromarray(pixels[..., 0] if grey else pixels).convert("RGB")
    return made.resize(
        (TILE, TILE), Image.Resampling.NEAREST if x.shape[1] < TILE else Image.Resampling.BICUBIC
    )
