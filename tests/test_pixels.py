"""Pool pixels -> network input, against float64 arithmetic and against TensorFlow's, from the raw image on."""

from pathlib import Path

import numpy as np
import pytest
import torch

from harness.pixels import AT_ONCE, to_tensor
from harness.resizing import resize_pixels
from harness.spec import ImageSpec
from resizing_reference import Array, aligned_bilinear, pictures, pillow_bicubic, tensorflow_bilinear

SIGNED = ImageSpec(size=84, channels=3, scaling="signed", resize="bilinear")

HALF_A_LEVEL = 0.5 / 127.5
"""Pools hold whole grey levels: what the input of the network can be off by, of [-1, 1]."""

MEAN, STD = (100.0, 120.0, 90.0), (50.0, 40.0, 60.0)


def prepared(
    pixels: Array, size: int = 84, channels: int = 3, scaling: str = "signed", resize: str = "bilinear"
) -> Array:
    """Network input as [n, size, size, channels]."""
    images = ImageSpec(size=size, channels=channels, scaling=scaling, resize=resize)
    c = pixels.shape[3]
    return np.asarray(to_tensor(pixels, images, mean=MEAN[:c], std=STD[:c]).permute(0, 2, 3, 1))


def expected(pixels: Array, size: int, channels: int, scaling: str, resize: str = "bilinear") -> Array:
    """The same from the definitions, in float64."""
    sized = (aligned_bilinear if resize == "bilinear" else pillow_bicubic)(pixels, size)
    black, white = (levels(np.full((1, 1, 1, sized.shape[3]), v), channels, scaling) for v in (0, 255))
    return np.broadcast_to(levels(sized, channels, scaling).clip(black, white), (*sized.shape[:3], channels))


def levels(x: Array, channels: int, scaling: str) -> Array:
    c = x.shape[3]
    scaled = {
        "unit": x / 255,
        "signed": 2 * (x / 255 - 0.5),
        "source": (x - np.array(MEAN[:c])) / np.array(STD[:c]),
    }[scaling]
    grey = (c, channels) == (3, 1)
    return (scaled * np.array([0.299, 0.587, 0.114])).sum(3, keepdims=True) if grey else scaled


@pytest.mark.parametrize("resize", ["bilinear", "antialias"])
@pytest.mark.parametrize("scaling", ["unit", "signed", "source"])
@pytest.mark.parametrize("of_pool", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [28, 84])
def test_the_input_is_that_of_the_definitions(
    resize: str, scaling: str, of_pool: int, channels: int, size: int
) -> None:
    """At the pool's size, and enlarged."""
    pixels = pictures(5, 28, 28, of_pool)
    found = prepared(pixels, size, channels, scaling, resize)
    assert found.shape == (5, size, size, channels)
    np.testing.assert_allclose(found, expected(pixels, size, channels, scaling, resize), atol=3e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_from_the_raw_image_on_it_is_meta_dataset_s_but_for_half_a_grey_level(channels: int) -> None:
    raw = pictures(4, 105, 130, channels)
    pool = resize_pixels(raw, 84, "bilinear")
    off = np.abs(prepared(pool) - expected(raw, 84, 3, "signed")).max()
    assert HALF_A_LEVEL * 0.9 < off < HALF_A_LEVEL * 1.01


@pytest.mark.slow
def test_from_the_raw_image_on_it_is_tensorflow_s_but_for_half_a_grey_level(tmp_path: Path) -> None:
    """Reduced by the pool; enlarged when read, then without any rounding."""
    raw = {
        "reduced": pictures(4, 105, 105, 3),
        "photo": pictures(2, 200, 150, 3),
        "enlarged": pictures(4, 28, 28, 3),
    }
    sized = tensorflow_bilinear(raw, 84, tmp_path)
    for name in ("reduced", "photo"):
        found = prepared(resize_pixels(raw[name], 84, "bilinear"))
        np.testing.assert_allclose(found, 2 * (sized[name] / 255 - 0.5), atol=HALF_A_LEVEL * 1.01)
    np.testing.assert_allclose(prepared(raw["enlarged"]), 2 * (sized["enlarged"] / 255 - 0.5), atol=1e-4)


def test_black_and_white_are_the_ends_of_the_range_exactly() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    for scaling, low in (("signed", -1.0), ("unit", 0.0)):
        found = prepared(every, 16, 1, scaling).ravel()
        assert (found[0], found[255]) == (low, 1.0)
        assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("resize", ["bilinear", "antialias"])
@pytest.mark.parametrize(("scaling", "low", "high"), [("signed", -1, 1), ("unit", 0, 1), ("source", -2, 3.1)])
def test_enlarging_never_leaves_the_range(resize: str, scaling: str, low: float, high: float) -> None:
    found = prepared(pictures(3, 20, 20, 1), 84, 3, scaling, resize)
    np.testing.assert_allclose((found.min(), found.max()), (low, high), atol=1e-6)


def test_the_scaling_source_takes_the_statistics_of_the_pool_to_0_and_1() -> None:
    pixels = pictures(20, 16, 16, 3)
    pixels[..., 2] = 7
    levels = pixels.reshape(-1, 3).astype(np.float64)
    images = ImageSpec(size=16, channels=3, scaling="source", resize="bilinear")
    x = to_tensor(pixels, images, mean=levels.mean(0).tolist(), std=levels.std(0).tolist())
    by_channel = x.permute(1, 0, 2, 3).reshape(3, -1).double()
    np.testing.assert_allclose(by_channel.mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(by_channel[:2].std(1, correction=0), 1, atol=1e-5)
    assert (by_channel[2] == 0).all()  # a constant channel, not a division by zero


@pytest.mark.parametrize(("of_pool", "channels"), [(1, 1), (1, 3), (3, 1), (3, 3)])
@pytest.mark.parametrize("size", [28, 60])
def test_the_tensor_is_channels_last_and_an_image_the_same_in_any_company(
    of_pool: int, channels: int, size: int
) -> None:
    n = AT_ONCE // 28**2 * 2 + 3  # more than one step
    pixels = pictures(n, 28, 28, of_pool)
    given = pixels.copy()
    images = ImageSpec(size=size, channels=channels, scaling="signed", resize="bilinear")
    x = to_tensor(pixels, images, mean=MEAN[:of_pool], std=STD[:of_pool])
    assert (x.shape, x.dtype) == ((n, channels, size, size), torch.float32)
    stored = min(of_pool, channels)
    assert x[:, :stored].is_contiguous(memory_format=torch.channels_last)
    assert x.stride()[2:] == (stored * size, stored)
    assert x.untyped_storage().nbytes() == n * stored * size**2 * 4
    for k in (0, n // 2, n - 1):
        alone = to_tensor(pixels[k : k + 1], images, mean=MEAN[:of_pool], std=STD[:of_pool])
        assert torch.equal(alone, x[k : k + 1])
    backwards = to_tensor(pixels[::-1], images, mean=MEAN[:of_pool], std=STD[:of_pool])  # not contiguous
    assert torch.equal(backwards.flip(0), x)
    np.testing.assert_array_equal(pixels, given)


def test_grey_is_repeated_and_colour_weighted_by_its_brightness() -> None:
    grey = prepared(pictures(2, 16, 16, 1), 16, 3)
    assert (grey == grey[..., :1]).all()
    primaries = np.zeros((1, 8, 8, 3), np.uint8)
    primaries[0, 0, :3] = np.diag([255, 255, 255])
    luminance = prepared(primaries, 8, 1, "unit")[0, 0, :3, 0]
    np.testing.assert_allclose(luminance, (0.299, 0.587, 0.114), atol=1e-6)


def test_a_pixel_pool_may_be_larger_than_what_is_asked_for() -> None:
    pixels = pictures(3, 32, 32, 1)
    np.testing.assert_allclose(prepared(pixels, 16, 1), expected(pixels, 16, 1, "signed"), atol=1e-5)


def test_no_images_are_no_images() -> None:
    none = to_tensor(np.empty((0, 28, 28, 1), np.uint8), SIGNED, mean=MEAN[:1], std=STD[:1])
    assert none.shape == (0, 3, 84, 84)


@pytest.mark.parametrize(("size", "stride"), [(28, 2), (84, 1)])
def test_channels_that_share_their_memory_are_convolved_to_the_same_bits(size: int, stride: int) -> None:
    images = ImageSpec(size=size, channels=3, scaling="signed", resize="bilinear")
    shared = to_tensor(pictures(5, size, size, 1), images, mean=MEAN[:1], std=STD[:1])
    weight = torch.randn(16, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    found = []
    for x in (shared, shared.contiguous(memory_format=torch.channels_last)):
        own = weight.contiguous(memory_format=torch.channels_last).requires_grad_()
        y = torch.nn.functional.conv2d(x, own, None, stride, 1)
        found.append((y, *torch.autograd.grad(y.square().sum(), own)))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
