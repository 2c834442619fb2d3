"""Each shift of images against its definition, and that the dial only leads away."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness_datasets.controlled_shift import KINDS
from harness_datasets.glyphs import Glyphs
from harness_datasets.image_shifts import blurred, inverted, noisy, permuted, recoloured, rotated
from harness_datasets.textures import Textures

Pixels = np.ndarray[Any, np.dtype[Any]]

AMOUNTS = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)

SHIFTS: dict[str, Callable[[Pixels, float], Pixels]] = {
    "permutation": lambda images, amount: permuted(images, amount, seed=0, grid=28),
    "inversion": lambda images, amount: inverted(images, amount, seed=0, grid=28),
    "blur": blurred,
    "noise": lambda images, amount: noisy(images, amount, seed=0, label="x", first=0),
    "colour": lambda images, amount: recoloured(images, amount, seed=0),
    "rotation": rotated,
}


def pixels(*shape: int) -> Pixels:
    return np.random.default_rng(list(shape)).integers(0, 256, shape).astype(np.uint8)


def distance(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def test_every_kind_has_its_definition_here() -> None:
    assert set(SHIFTS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 56, 56, 3), (2, 31, 53, 3), (2, 7, 5, 3), (1, 1, 1, 3)])
def test_at_0_nothing_changes_and_the_given_images_never_do(kind: str, shape: tuple[int, ...]) -> None:
    images = pixels(*shape)
    given = images.copy()
    np.testing.assert_array_equal(SHIFTS[kind](images, 0.0), given)
    shifted = SHIFTS[kind](images, 0.7)
    assert (shifted.shape, shifted.dtype) == (shape, np.uint8)
    np.testing.assert_array_equal(SHIFTS[kind](images, 0.7), shifted)
    np.testing.assert_array_equal(images, given)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rotation"])
def test_images_move_away_step_by_step(kind: str) -> None:
    source = Textures(n_classes=20) if kind == "colour" else Glyphs(n_classes=20)
    plain = np.concatenate([source.class_images(index, 2) for index in range(5)])
    far = [distance(SHIFTS[kind](plain, amount), plain) for amount in AMOUNTS]
    assert far == sorted(far)
    assert far[0] == 0 < far[2] < far[-1]
    smallest = {"inversion": 200, "colour": 8}.get(kind, 1)
    assert far[-1] > smallest


@pytest.mark.parametrize(("height", "width"), [(28, 28), (56, 84), (105, 105), (100, 31), (29, 300)])
def test_cells_move_alike_in_images_of_every_size(height: int, width: int) -> None:
    cells = pixels(4, 28, 28, 3)
    row, column = (((np.arange(side) + 0.5) * 28 // side).astype(int) for side in (height, width))

    def enlarged(images: Pixels) -> Pixels:
        return images[:, row[:, None], column]

    for shift in (permuted, inverted):
        for amount in (0.3, 1.0):
            np.testing.assert_array_equal(
                shift(enlarged(cells), amount, seed=4, grid=28),
                enlarged(shift(cells, amount, seed=4, grid=28)),
            )


@pytest.mark.parametrize(("height", "width"), [(28, 28), (84, 112), (8, 8)])
def test_a_permutation_keeps_every_pixel_where_the_grid_divides_the_sides(height: int, width: int) -> None:
    """A grid of 8 x 8 pixels has cells of one pixel each."""
    numbers = np.arange(height * width).reshape(1, height, width, 1)
    moved = permuted(numbers, 1.0, seed=0, grid=28)
    assert sorted(moved.ravel()) == sorted(numbers.ravel())
    assert (moved != numbers).all()


@pytest.mark.parametrize("amount", AMOUNTS)
def test_the_share_of_cells_that_change_is_the_amount_and_those_that_do_keep_doing_so(amount: float) -> None:
    numbers = np.arange(784).reshape(1, 28, 28, 1)
    moved = permuted(numbers, amount, seed=0, grid=28) != numbers
    assert moved.sum() == round(784 * amount)
    grey = np.full((1, 28, 28, 1), 100, np.uint8)
    negative = inverted(grey, amount, seed=0, grid=28) != grey
    assert negative.sum() == round(784 * amount)
    for larger in (a for a in AMOUNTS if a > amount):
        assert (permuted(numbers, larger, seed=0, grid=28) != numbers)[moved].all()
        assert (inverted(grey, larger, seed=0, grid=28) != grey)[negative].all()


def test_another_seed_moves_other_cells_to_other_places() -> None:
    numbers = np.arange(784).reshape(1, 28, 28, 1)
    one, other = (permuted(numbers, 1.0, seed=seed, grid=28) for seed in (0, 1))
    assert (one == other).mean() < 0.01
    grey = np.zeros((1, 28, 28, 1), np.uint8)
    agree = (inverted(grey, 0.5, seed=0, grid=28) == inverted(grey, 0.5, seed=1, grid=28)).mean()
    assert 0.4 < agree < 0.6
    coarse = permuted(pixels(1, 28, 28, 1), 1.0, seed=0, grid=2)
    assert len(np.unique(coarse)) > 150


def test_a_circle_is_one_circle() -> None:
    """Following a cell from place to place visits all that move."""
    origin = permuted(np.arange(784).reshape(1, 28, 28, 1), 1.0, seed=2, grid=28).ravel()
    seen, place = 1, int(origin[0])
    while place != 0:
        place, seen = int(origin[place]), seen + 1
    assert seen == 784


def test_the_whole_image_inverted_is_its_negative_and_twice_inverted_itself() -> None:
    images = pixels(2, 45, 30, 3)
    np.testing.assert_array_equal(inverted(images, 1.0, seed=0, grid=28), 255 - images)
    half = inverted(images, 0.5, seed=0, grid=28)
    np.testing.assert_array_equal(inverted(half, 0.5, seed=0, grid=28), images)


def gaussian(images: Pixels, sigma: float) -> Pixels:
    """Along both axes by the definition, in float64, edges mirrored; up to 4 deviations away."""
    reach = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    x = images.astype(np.float64)
    for axis in (1, 2):
        around = [(reach, reach) if a == axis else (0, 0) for a in range(4)]
        padded, side = np.pad(x, around, mode="symmetric"), x.shape[axis]
        x = sum(w * padded.take(range(k, k + side), axis) for k, w in enumerate(weights))  # type: ignore[assignment]
    return x


@pytest.mark.parametrize("shape", [(2, 40, 40, 1), (2, 30, 50, 3)])
@pytest.mark.parametrize("amount", [0.2, 1.0])
def test_blur_is_a_gaussian_of_a_share_of_the_shorter_side(shape: tuple[int, ...], amount: float) -> None:
    images = pixels(*shape)
    expected = gaussian(images, amount * 0.1 * min(shape[1:3]))
    assert np.abs(blurred(images, amount) - expected).max() < 0.51


def test_noise_has_the_deviation_it_says_and_is_each_image_s_own() -> None:
    grey = np.full((50, 40, 40, 1), 128, np.uint8)
    noise = noisy(grey, 0.1, seed=0, label="a", first=0).astype(float) - 128
    spreads = [(noisy(grey, 0.1, seed=s, label="a", first=0).astype(float) - 128).var() for s in range(10)]
    expected = 12.8**2 + 1 / 12  # rounding adds the variance of a uniform number
    assert abs(np.mean(spreads) - expected) < 4 * expected * np.sqrt(2 / (10 * noise.size))
    assert abs(noise.mean()) < 0.2
    assert np.abs(np.corrcoef(noise.reshape(50, -1)) - np.eye(50)).max() < 0.15
    doubled = noisy(grey, 0.2, seed=0, label="a", first=0).astype(float) - 128
    assert np.abs(doubled - 2 * noise).max() <= 1.5  # rounding
    for other in ({"seed": 1}, {"label": "b"}, {"first": 50}):
        one = noisy(grey, 0.1, **{"seed": 0, "label": "a", "first": 0, **other}).astype(float) - 128  # type: ignore[arg-type]
        assert abs(np.corrcoef(one.ravel(), noise.ravel())[0, 1]) < 0.05
    np.testing.assert_array_equal(
        noisy(grey[7:9], 0.1, seed=0, label="a", first=7).astype(float) - 128, noise[7:9]
    )


def test_noise_stays_in_range_without_turning_over() -> None:
    ends = np.array([0, 255], np.uint8)[:, None, None, None].repeat(30, 1).repeat(30, 2)
    dark, bright = noisy(ends, 1.0, seed=0, label="a", first=0)
    assert np.median(dark) < 5
    assert np.median(bright) > 250


@pytest.mark.parametrize("seed", range(6))
def test_at_1_each_channel_is_another_and_on_the_way_a_blend(seed: int) -> None:
    images = pixels(2, 9, 8, 3)
    whole = recoloured(images, 1.0, seed=seed)
    order = [next(c for c in range(3) if np.array_equal(whole[..., k], images[..., c])) for k in range(3)]
    assert sorted(order) == [0, 1, 2]
    assert all(k != c for k, c in enumerate(order))
    expected = 0.7 * images.astype(np.float64) + 0.3 * whole
    assert np.abs(recoloured(images, 0.3, seed=seed) - expected).max() < 0.51


def test_seeds_take_either_order_of_the_channels() -> None:
    images = pixels(1, 3, 3, 3)
    assert len({recoloured(images, 1.0, seed=seed).tobytes() for seed in range(12)}) == 2


def test_half_a_turn_is_exact_and_so_is_a_quarter_of_a_square() -> None:
    images = pixels(2, 31, 46, 3)
    np.testing.assert_array_equal(rotated(images, 1.0), images[:, ::-1, ::-1])
    square = pixels(2, 30, 30, 1)
    np.testing.assert_array_equal(rotated(square, 0.5), np.rot90(square, axes=(1, 2)))


@pytest.mark.parametrize("amount", [0.05, 0.2, 0.37, 0.8])
def test_a_turn_is_pillow_s_within_the_circle_that_stays_inside(amount: float) -> None:
    (image,) = blurred(pixels(1, 61, 61, 3), 0.3)  # smooth: Pillow rounds the places a little
    turned = Image.fromarray(image).rotate(amount * 180, Image.Resampling.BILINEAR)
    y, x = np.mgrid[-30:31, -30:31]
    inside = y**2 + x**2 < 28**2
    off = np.abs(rotated(image[None], amount)[0].astype(int) - np.asarray(turned))[inside]
    assert off.max() <= 2


def test_what_a_turn_brings_in_is_the_edge() -> None:
    framed = np.full((1, 20, 20, 1), 200, np.uint8)
    framed[:, 2:-2, 2:-2] = 10
    corners = rotated(framed, 0.25)[0, [0, 0, -1, -1], [0, -1, 0, -1], 0]
    np.testing.assert_array_equal(corners, 200)
