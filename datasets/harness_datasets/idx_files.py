"""The idx format of MNIST (yann.lecun.com/exdb/mnist): big-endian sizes, then bytes; usually gzip-compressed."""

import gzip
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness_datasets.raw_archives import DAMAGED, is_gzip

IMAGES, LABELS = "images", "labels"
MAGIC: Mapping[str, int] = {IMAGES: 0x803, LABELS: 0x801}
"""Two zero bytes, 08 for unsigned bytes, and the number of dimensions."""

SIDE = 28
PARTS = ("train", "t10k")
"""What the published pairs of files are called."""

Pair = tuple[Path, Path]
"""The file of images and the file of labels of one part."""


@dataclass(frozen=True, kw_only=True)
class IdxPart:
    """One pair of files: uint8 images [n, 28, 28, 1], labels [n], and a CRC-32 of both (uncompressed)."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    crc: int


def find_pairs(folder: Path) -> dict[str, Pair]:
    """Part -> its files in `folder`, `-idx3-ubyte` or `.idx3-ubyte`, compressed or not.

    Raises DataError for images without labels or labels without images.
    """
    pairs = {}
    for part in PARTS:
        images, labels = _file(folder, part, IMAGES), _file(folder, part, LABELS)
        if images is not None and labels is not None:
            pairs[part] = images, labels
        elif images is not None or labels is not None:
            lacking, there = (LABELS, images) if labels is None else (IMAGES, labels)
            raise DataError(
                f"{there} is there, but the {lacking} of {part!r} are not beside it. Fetch both files."
            )
    return pairs


def _file(folder: Path, part: str, kind: str) -> Path | None:
    end = "idx3-ubyte" if kind == IMAGES else "idx1-ubyte"
    names = [f"{part}-{kind}{sign}{end}{suffix}" for sign in "-." for suffix in (".gz", "")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read_pair(pair: Pair, classes: int) -> IdxPart:
    """The images and labels. Raises DataError for files that are damaged, of another kind or do not match."""
    (image_sizes, pixels, crc), (label_sizes, labels, label_crc) = (
        _read(path, kind) for path, kind in zip(pair, (IMAGES, LABELS), strict=True)
    )
    if image_sizes[1:] != (SIDE, SIDE):
        raise DataError(
            f"{pair[0]} has images of {image_sizes[1:]} pixels, not {SIDE}x{SIDE}. Is it the right file?"
        )
    if image_sizes[0] != label_sizes[0]:
        raise DataError(
            f"{pair[0]} has {image_sizes[0]} images, but {pair[1].name} has {label_sizes[0]} labels. "
            "Fetch both files again."
        )
    if labels.size and int(labels.max()) >= classes:
        raise DataError(f"{pair[1]} has the label {labels.max()}, but labels go from 0 to {classes - 1}.")
    return IdxPart(
        images=pixels.reshape(-1, SIDE, SIDE, 1), labels=labels, crc=zlib.crc32(f"{crc} {label_crc}".encode())
    )


def _read(path: Path, kind: str) -> tuple[tuple[int, ...], npt.NDArray[np.uint8], int]:
    """Sizes of the dimensions, the bytes, and their CRC-32."""
    try:
        content = gzip.decompress(path.read_bytes()) if is_gzip(path) else path.read_bytes()
    except DAMAGED as error:
        raise DataError(f"{path} is truncated or damaged ({error}). Fetch it again.") from error
    header = np.frombuffer(content[: len(content) // 4 * 4][:16], ">u4").tolist()
    if not header or header[0] != MAGIC[kind]:
        found = f"{header[0]:#010x}" if header else f"{len(content)} bytes"
        raise DataError(
            f"{path} begins with {found}, not with {MAGIC[kind]:#010x}: it is no idx file of {kind}. Fetch it again."
        )
    dimensions = MAGIC[kind] & 0xFF
    sizes, start = tuple(header[1 : 1 + dimensions]), 4 * (1 + dimensions)
    if len(sizes) < dimensions or len(content) - start != math.prod(sizes):
        raise DataError(
            f"{path} has {max(0, len(content) - start)} bytes of {kind}, not the {'x'.join(map(str, sizes))} that its "
            "header says: it is truncated or damaged. Fetch it again."
        )
    return sizes, np.frombuffer(content, np.uint8, offset=start), zlib.crc32(content)


def join(parts: Sequence[IdxPart]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Images and labels of several parts, one after the other."""
    return np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts])
