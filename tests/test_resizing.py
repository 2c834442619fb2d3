"""Both ways of resizing, against the definition, TensorFlow and Pillow."""

from pathlib import Path

import numpy as np
import pytest
import torch

from harness.resizing import RESIZES, resize, resize_pixels
from resizing_reference import (
    Array,
    aligned_bilinear,
    pictures,
    pillow_bicubic,
    pillow_bicubic_pixels,
    tensorflow_bilinear,
)

SHAPES = [
    (105, 105, 1, 84),
    (28, 28, 1, 84),
    (32, 32, 3, 84),
    (200, 310, 3, 84),
    (13, 90, 1, 32),
    (1, 7, 1, 16),
    (2, 1, 3, 8),
]
"""Height, width and channels of images, and the size they get."""

FLOAT_NOISE = 0.01
"""In grey levels, of 255: float32 keeps a place in a row of 300 pixels to 2e-5, and the slope can be 255."""

HALF_A_LEVEL = 0.5 + FLOAT_NOISE
"""What rounding to whole grey levels may change."""


def resized(images: Array, size: int, method: str) -> Array:
    x = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)
    return np.asarray(resize(x, size, method).permute(0, 2, 3, 1))


@pytest.mark.parametrize(("height", "width", "channels", "size"), SHAPES)
def test_bilinear_is_that_of_the_definition(height: int, width: int, channels: int, size: int) -> None:
    images = pictures(3, height, width, channels)
    expected = aligned_bilinear(images, size)
    np.testing.assert_allclose(resized(images, size, "bilinear"), expected, atol=FLOAT_NOISE)
    pixels = resize_pixels(images, size, "bilinear")
    assert pixels.dtype == np.uint8
    assert np.abs(pixels - expected).max() <= HALF_A_LEVEL


@pytest.mark.slow
def test_bilinear_is_tensorflow_s_with_aligned_corners(tmp_path: Path) -> None:
    given = {f"{h}x{w}x{c}": pictures(2, h, w, c) for h, w, c, _ in SHAPES}
    for name, expected in tensorflow_bilinear(given, 84, tmp_path).items():
        np.testing.assert_allclose(resized(given[name], 84, "bilinear"), expected, atol=FLOAT_NOISE)
        assert np.abs(resize_pixels(given[name], 84, "bilinear") - expected).max() <= HALF_A_LEVEL


@pytest.mark.parametrize(("height", "width", "channels", "size"), SHAPES)
def test_antialias_is_pillow_s_bicubic(height: int, width: int, channels: int, size: int) -> None:
    images = pictures(3, height, width, channels)
    expected = pillow_bicubic(images, size)
    np.testing.assert_allclose(resized(images, size, "antialias"), expected, atol=FLOAT_NOISE)
    assert np.abs(resize_pixels(images, size, "antialias") - expected.clip(0, 255)).max() <= HALF_A_LEVEL


@pytest.mark.parametrize("size", [28, 84, 200])
def test_antialias_is_pillow_s_bicubic_of_8_bits_within_a_grey_level(size: int) -> None:
    """Where nothing overshoots, which Pillow would clip half-way."""
    images = (40 + aligned_bilinear(pictures(3, 12, 9, 3), 120) * 0.6).astype(np.uint8)
    ours = resize_pixels(images, size, "antialias").astype(int)
    assert np.abs(ours - pillow_bicubic_pixels(images, size)).max() <= 1


def test_a_strong_reduction_skips_thin_lines_unless_it_is_smoothed() -> None:
    lines = np.zeros((1, 160, 160, 1), np.uint8)
    lines[:, 3::10] = 255
    skipped, smoothed = (resize_pixels(lines, 16, method) for method in RESIZES)
    assert (skipped.max(axis=(1, 2)) - smoothed.max(axis=(1, 2)).astype(int)).min() > 60
    assert 20 < smoothed[:, 2:-2].mean() < 31  # 255 / 10, spread out


def test_the_corners_stay_where_they_are() -> None:
    images = pictures(2, 31, 53, 3)
    sized = resize_pixels(images, 84, "bilinear")
    np.testing.assert_array_equal(
        sized[:, [0, 0, -1, -1], [0, -1, 0, -1]], images[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    )


@pytest.mark.parametrize("method", RESIZES)
def test_images_of_the_size_asked_for_are_left_alone(method: str) -> None:
    images = pictures(2, 16, 16, 3)
    assert resize_pixels(images, 16, method) is images
    np.testing.assert_array_equal(resized(images, 16, method), images)


@pytest.mark.parametrize("method", RESIZES)
def test_an_image_is_the_same_whatever_is_resized_with_it(method: str) -> None:
    images = pictures(7, 30, 20, 3)
    whole = resize_pixels(images, 16, method)
    np.testing.assert_array_equal(resize_pixels(images, 16, method, at_once=2 * 30 * 20 * 3), whole)
    alone = np.concatenate([resize_pixels(image[None], 16, method) for image in images])
    np.testing.assert_array_equal(alone, whole)
    mirrored = resize_pixels(images[::-1, ::-1], 16, method)  # a view that is not contiguous
    np.testing.assert_array_equal(mirrored, resize_pixels(images[::-1, ::-1].copy(), 16, method))
