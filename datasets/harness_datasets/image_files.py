"""Image files as arrays: which files are images, how one is decoded, and how a class is handed out in parts."""

import io
import struct
import zlib
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from harness.dataset import ClassImages

EXTENSIONS = frozenset(
    b"jpg jpeg jpe png bmp gif ppm pgm pbm pnm tif tiff webp".split(),
)
"""What an image's name ends with, in small or capital letters; other files beside images are ignored."""

PART_BYTES = 32 << 20
"""No part of a class is larger, unless one image is."""

GREY, COLOUR = "L", "RGB"

Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge in pixels, as PIL's crop takes them."""

UNREADABLE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What PIL's readers raise on files that are truncated, damaged or no images."""


def is_image(path: bytes) -> bool:
    """Whether a file is an image, by its extension."""
    return path.rpartition(b"/")[2].rpartition(b".")[2].lower() in EXTENSIONS


def decode(content: bytes, channels: int, box: Box | None = None) -> Pixels:
    """One image file as uint8 [H, W, channels], cropped to `box`.

    A palette is looked up, grey becomes RGB or RGB grey (ITU-R 601), 16 bits a channel become the upper 8. Of an
    image with alpha the colours are taken and the alpha is dropped, as torchvision and Meta-Dataset do. Of an
    animation the first frame is taken. The orientation in EXIF is not applied, as neither does.
    Raises one of `UNREADABLE`.
    """
    try:
        file = Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        raise ValueError("it is in no format of images") from None  # Pillow names an object in memory
    with file as opened:
        opened.load()
        image: Image.Image = opened
        if box is not None:
            image = image.crop(box)
        if image.mode.startswith("I;16"):
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        elif image.mode in ("I", "F"):
            raise ValueError(f"its pixels are of mode {image.mode!r} and have no fixed range")
        elif image.mode in ("P", "PA"):
            # By way of RGBA, as PIL warns where a palette's transparency is dropped unseen.
            image = image.convert("RGBA")
        pixels = np.array(image.convert(GREY if channels == 1 else COLOUR), dtype=np.uint8)
    return pixels[..., np.newaxis] if channels == 1 else pixels


def in_parts(name: str, images: Iterable[Pixels]) -> Iterator[ClassImages]:
    """Hand out a class in parts: neighbours of one size, uint8 [n, H, W, C], no more than `PART_BYTES`."""
    part: list[Pixels] = []
    for image in images:
        if part and (image.shape != part[0].shape or (len(part) + 1) * image.nbytes > PART_BYTES):
            yield name, np.stack(part)
            part = []
        part.append(image)
    if part:
        yield name, np.stack(part)


def array_parts(
    name: str, images: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]
) -> Iterator[ClassImages]:
    """Hand out these rows of images [n, H, W, C], which may be mapped from disk, in parts of `PART_BYTES`."""
    step = max(1, PART_BYTES // max(1, images[:1].nbytes))
    for start in range(0, len(rows), step):
        yield name, np.ascontiguousarray(images[rows[start : start + step]], dtype=np.uint8)
