"""Resizing by others than us: float64 numpy from the definition, TensorFlow as Meta-Dataset calls it, Pillow."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]

PROGRAM = """
import sys
import numpy as np
import tensorflow as tf
path, size = sys.argv[1], int(sys.argv[2])
given = np.load(path)
resize = tf.compat.v1.image.resize_bilinear
sized = {
    name: resize(tf.cast(images, tf.float32), [size, size], align_corners=True).numpy()
    for name, images in given.items()
}
np.savez(path, **sized)
"""


def aligned_bilinear(images: Array, size: int) -> Array:
    """[n, H, W, C] -> float64 [n, size, size, C], the centres of the corners on one another."""
    return along(along(images.astype(np.float64), size, 1), size, 2)


def along(images: Array, size: int, axis: int) -> Array:
    """One axis, pixel by pixel: between the two neighbours, by distance."""
    last, rows = images.shape[axis] - 1, []
    for k in range(size):
        place = k * last / (size - 1)
        low = min(int(place), max(last - 1, 0))
        high = min(low + 1, last)
        share = place - low
        rows.append((1 - share) * images.take(low, axis) + share * images.take(high, axis))
    return np.stack(rows, axis)


def tensorflow_bilinear(given: dict[str, Array], size: int, place: Path) -> dict[str, Array]:
    """uint8 images [n, H, W, C] by name -> float32, as Meta-Dataset resizes them; in a process of its own."""
    path = place / "images.npz"
    np.savez(path, **given)
    subprocess.run([sys.executable, "-c", PROGRAM, str(path), str(size)], check=True, capture_output=True)
    with np.load(path) as sized:
        return dict(sized)


def pillow_bicubic(images: Array, size: int) -> Array:
    """[n, H, W, C] -> float32 [n, size, size, C], overshoots and all."""
    n, _, _, channels = images.shape
    sized = np.empty((n, size, size, channels), np.float32)
    for k, channel in np.ndindex(n, channels):
        plane = Image.fromarray(images[k, ..., channel].astype(np.float32))
        sized[k, ..., channel] = plane.resize((size, size), Image.Resampling.BICUBIC)
    return sized


def pillow_bicubic_pixels(images: Array, size: int) -> Array:
    """uint8 RGB [n, H, W, 3] -> uint8 [n, size, size, 3]; rounded and clipped after each direction."""
    sized = [Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC) for image in images]
    return np.stack([np.asarray(image) for image in sized])


def pictures(n: int, height: int, width: int, channels: int) -> Array:
    """uint8 [n, height, width, channels]: noise, over which lies a step from black to white."""
    images = np.random.default_rng([n, height, width, channels]).integers(
        0, 256, (n, height, width, channels)
    )
    images[:, : height // 2, : width // 2] = 0
    images[:, height // 2 :, : width // 2] = 255
    return images.astype(np.uint8)
