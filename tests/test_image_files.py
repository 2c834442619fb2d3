"""One image file as an array: every kind keeps its pixels, and a class comes in parts of one size."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from harness_datasets import image_files
from harness_datasets.image_files import UNREADABLE, array_parts, decode, in_parts


def test_a_part_has_one_size_and_bounded_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "PART_BYTES", 250)
    images = [np.full((5, side, 3), k, np.uint8) for k, side in enumerate((5, 5, 5, 5, 6, 5, 5, 90))]
    parts = [(name, part.shape, part[:, 0, 0, 0].tolist()) for name, part in in_parts("a", images)]
    assert parts == [
        ("a", (3, 5, 5, 3), [0, 1, 2]),
        ("a", (1, 5, 5, 3), [3]),
        ("a", (1, 5, 6, 3), [4]),
        ("a", (2, 5, 5, 3), [5, 6]),
        ("a", (1, 5, 90, 3), [7]),
    ]
    assert list(in_parts("a", [])) == []


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOURS = np.stack([RAMP, RAMP.T, 255 - RAMP], axis=-1)


def palette(transparent: bytes | int | None) -> bytes:
    image = Image.fromarray(COLOURS).quantize(32)
    return saved(image, **({} if transparent is None else {"transparency": transparent}))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (saved(Image.fromarray(COLOURS)), COLOURS),
        (saved(Image.fromarray(COLOURS), "BMP"), COLOURS),
        (saved(Image.fromarray(COLOURS), "PPM"), COLOURS),
        (saved(Image.fromarray(COLOURS), "WEBP", lossless=True), COLOURS),
        (saved(Image.fromarray(COLOURS), "TIFF"), COLOURS),
        (saved(Image.fromarray(RAMP)), np.stack([RAMP] * 3, axis=-1)),
        (saved(Image.fromarray(RAMP > 99)), np.stack([np.where(RAMP > 99, 255, 0)] * 3, axis=-1)),
        (saved(Image.fromarray(np.dstack([COLOURS, RAMP]))), COLOURS),
        (saved(Image.fromarray(np.dstack([RAMP, RAMP.T]), "LA")), np.stack([RAMP] * 3, axis=-1)),
        (saved(Image.fromarray(RAMP.astype(np.uint16) * 257)), np.stack([RAMP] * 3, axis=-1)),
        (saved(Image.fromarray(RAMP.astype(np.uint16) * 257), "TIFF"), np.stack([RAMP] * 3, axis=-1)),
    ],
)
def test_every_kind_of_image_keeps_its_pixels(
    content: bytes, expected: npt.NDArray[Any], channels: int
) -> None:
    pixels = decode(content, channels)
    assert pixels.dtype == np.uint8
    if channels == 3:
        np.testing.assert_array_equal(pixels, expected)
        return
    weights = np.array([0.299, 0.587, 0.114])  # ITU-R 601
    assert pixels.shape == (16, 16, 1)
    np.testing.assert_allclose(pixels[..., 0], expected @ weights, atol=1)


@pytest.mark.parametrize("transparent", [None, 3, bytes(range(32))])
def test_a_palette_is_looked_up_without_regard_to_transparency(transparent: bytes | int | None) -> None:
    with Image.open(io.BytesIO(palette(None))) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(decode(palette(transparent), 3), expected)


def test_cmyk_becomes_rgb() -> None:
    content = saved(Image.fromarray(COLOURS).convert("CMYK"), "JPEG", quality=100)
    assert np.abs(decode(content, 3).astype(int) - COLOURS).mean() < 6


def test_the_orientation_in_exif_is_not_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(COLOURS[:, :10])
    turned = decode(saved(image, "PNG", exif=exif), 3)
    np.testing.assert_array_equal(turned, COLOURS[:, :10])


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.fromarray(np.full((6, 6, 3), value, np.uint8)) for value in (40, 200)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(content, 1).max() == 40


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_a_range_are_refused(mode: str) -> None:
    with pytest.raises(UNREADABLE, match=f"mode '{mode}'"):
        decode(saved(Image.fromarray(RAMP).convert(mode), "TIFF"), 1)


def test_rows_of_an_array_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "PART_BYTES", 60)
    images = np.arange(10 * 25, dtype=np.uint8).reshape(10, 5, 5, 1)
    rows = np.array([0, 2, 3, 7, 9])
    parts = list(array_parts("a", images, rows))
    assert [len(part) for _, part in parts] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), images[rows])
