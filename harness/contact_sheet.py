"""A picture to look at before trusting a pool: some images of some of its classes, with their names."""

from pathlib import Path

import numpy as np

from harness.files import write_aside
from harness.pools import Pool, class_rows

CLASSES, IMAGES = 10, 8
TILE, GAP, LABEL, HEAD = 48, 2, 170, 18
COLOURS = 256
"""A palette keeps a sheet small enough to be kept beside a report."""


def draw_contact_sheet(pool: Pool, path: Path) -> None:
    """Write a PNG of up to `CLASSES` classes, evenly spaced, with up to `IMAGES` images of each, evenly spaced.

    The images are the pool's, scaled to one size. The same pool gives the same picture.
    Raises WorkspaceError when `path` cannot be written.
    """
    from PIL import Image, ImageDraw, ImageFont

    chosen = evenly(len(pool.class_names), CLASSES)
    width, height = LABEL + IMAGES * (TILE + GAP), HEAD + len(chosen) * (TILE + GAP)
    sheet = Image.new("RGB", (width, height), (255, 255, 255))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    title = f"{pool.source}/{pool.split}: {len(pool.class_names)} classes, {len(pool.images)} images"
    pen.text((4, 3), title, fill=(0, 0, 0), font=font)
    rows = class_rows(pool)
    for line, number in enumerate(chosen):
        top = HEAD + line * (TILE + GAP)
        for text, offset in ((pool.class_names[number], 10), (f"{len(rows[number])} images", 26)):
            pen.text((4, top + offset), shortened(text), fill=(0, 0, 0), font=font)
        places = evenly(len(rows[number]), IMAGES)
        for column, pixels in enumerate(pool.images[np.array([rows[number][k] for k in places])]):
            image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]).convert("RGB")
            tile = image.resize((TILE, TILE), Image.Resampling.BICUBIC)
            sheet.paste(tile, (LABEL + column * (TILE + GAP), top))
    small = sheet.quantize(COLOURS, dither=Image.Dither.NONE)
    write_aside(path, lambda aside: small.save(aside, "PNG", optimize=True))


def evenly(total: int, wanted: int) -> list[int]:
    """Up to `wanted` of the numbers 0..total-1, evenly spaced, the first and the last among them."""
    if total <= wanted:
        return list(range(total))
    return [round(k * (total - 1) / (wanted - 1)) for k in range(wanted)]


def shortened(text: str, longest: int = 27) -> str:
    """`text`, with its middle left out where it is too long for its place."""
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
