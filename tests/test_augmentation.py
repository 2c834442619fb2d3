"""Augmentations: what they may do to an image, that nothing else changes, and that the same seed does the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.augmentation import Augmentation, _jitter, augment
from harness.episode import EpisodeShape
from harness.episode_sequence import SourceSequence
from harness.errors import ConfigError
from numbers_source import IMAGES, Numbers, prepare

ALL = Augmentation(flip=True, crop=3, jitter=0.4)
KINDS = [Augmentation(flip=True), Augmentation(crop=3), Augmentation(jitter=0.4), ALL]

Array = np.ndarray[Any, Any]


def ends(channels: int, black: float = -1.0, white: float = 1.0) -> Array:
    return np.repeat(np.array([[black], [white]], np.float32), channels, axis=1)


def images(n: int, channels: int, height: int = 9, width: int = 8) -> torch.Tensor:
    """Channels last, each value a different one."""
    values = np.random.default_rng([n, channels]).permutation(n * height * width * channels)
    x = (values / len(values) * 2 - 1).astype(np.float32).reshape(n, height, width, channels)
    return torch.from_numpy(x).permute(0, 3, 1, 2)


def augmented(
    x: torch.Tensor, augmentation: Augmentation, *, seed: int = 0, stream: str = "s"
) -> torch.Tensor:
    return augment(x, augmentation, ends=ends(x.shape[1]), seed=seed, stream=stream)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("augmentation", KINDS, ids=str)
def test_the_same_seed_and_stream_do_the_same_and_others_do_not(
    augmentation: Augmentation, channels: int
) -> None:
    x = images(30, channels)
    given = x.clone()
    one = augmented(x, augmentation)
    assert torch.equal(one, augmented(x, augmentation))
    assert torch.equal(x, given)
    assert not torch.equal(one, augmented(x, augmentation, seed=1))
    assert not torch.equal(one, augmented(x, augmentation, stream="t"))
    assert (one.shape, one.dtype) == (x.shape, torch.float32)
    assert one.is_contiguous(memory_format=torch.channels_last)
    assert -1 <= one.min() < one.max() <= 1


@pytest.mark.parametrize("augmentation", KINDS, ids=str)
def test_an_image_is_changed_in_the_same_way_in_any_company(augmentation: Augmentation) -> None:
    x = images(12, 3)
    others = x.clone()
    others[5:] = -others[5:] / 2
    assert torch.equal(augmented(others, augmentation)[:5], augmented(x, augmentation)[:5])
    assert torch.equal(augmented(x[:5], augmentation), augmented(x, augmentation)[:5])


def test_what_one_augmentation_draws_does_not_depend_on_the_others() -> None:
    x = images(40, 1)
    flipped, both = augmented(x, Augmentation(flip=True)), augmented(x, Augmentation(flip=True, jitter=1e-6))
    np.testing.assert_allclose(flipped, both, atol=1e-5)
    jittered = augmented(x.flip(3), Augmentation(jitter=0.4)).flip(3)
    np.testing.assert_allclose(jittered, augmented(x, Augmentation(jitter=0.4)), atol=1e-5)


def test_nothing_asked_for_is_nothing_done() -> None:
    x = images(4, 3)
    assert torch.equal(augmented(x, Augmentation()), x)


@pytest.mark.parametrize("channels", [1, 3])
def test_about_half_of_the_images_are_mirrored_and_the_others_left_alone(channels: int) -> None:
    x = images(400, channels)
    found = augmented(x, Augmentation(flip=True))
    mirrored = [torch.equal(image, own.flip(2)) for image, own in zip(found, x, strict=True)]
    alone = [torch.equal(image, own) for image, own in zip(found, x, strict=True)]
    assert all(a != b for a, b in zip(mirrored, alone, strict=True))
    assert 160 < sum(mirrored) < 240


@pytest.mark.parametrize("channels", [1, 3])
def test_a_crop_is_any_shift_of_the_padded_image(channels: int) -> None:
    x = images(500, channels)
    found, margin = augmented(x, Augmentation(crop=2)), 2
    padded = torch.nn.functional.pad(x, (margin,) * 4, mode="replicate")
    shifts = []
    for image, around in zip(found, padded, strict=True):
        fitting = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if torch.equal(image, around[:, top : top + 9, left : left + 8])
        ]
        assert len(fitting) == 1
        shifts += fitting
    counts = {shift: shifts.count(shift) for shift in set(shifts)}
    assert len(counts) == 25  # (2, 2), no shift at all, among them
    assert 6 <= min(counts.values()) <= max(counts.values()) <= 40


def reference(x: Array, factors: tuple[float, float, float], black: Array, white: Array) -> Array:
    """One image [H, W, C] in float64, step by step."""
    brightness, contrast, saturation = factors
    x = (x.astype(np.float64) - black) * brightness
    x = x.mean() + contrast * (x - x.mean())
    grey = x.mean(2, keepdims=True)
    x = grey + saturation * (x - grey) if x.shape[2] == 3 else x
    return np.asarray((x + black).clip(black, white))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factors", [(1.3, 1.0, 1.0), (1.0, 0.7, 1.0), (1.0, 1.0, 0.6), (0.8, 1.4, 1.2)])
@pytest.mark.parametrize("levels", [(-1.0, 1.0), (0.0, 1.0), (-2.1, 2.6)])
def test_jitter_is_that_of_the_definition(
    channels: int, factors: tuple[float, float, float], levels: tuple[float, float]
) -> None:
    black, white = ends(channels, *levels)
    black = black - np.arange(channels, dtype=np.float32) / 10  # each channel has its own, as `source` scales
    shares = np.random.default_rng(0).random((6, 5, channels)).astype(np.float32)
    image = black + shares * (white - black)
    expected = reference(image, factors, black, white)
    _jitter(image, np.array(factors, np.float32), np.stack([black, white]))
    np.testing.assert_allclose(image, expected, atol=1e-5)


def test_black_stays_black_and_grey_stays_grey_whatever_the_factors() -> None:
    x = torch.full((50, 3, 4, 4), -1.0)
    assert (augmented(x, Augmentation(jitter=0.9)) == -1).all()
    grey = images(50, 1).expand(-1, 3, -1, -1)
    found = augmented(grey, Augmentation(jitter=0.4))
    np.testing.assert_allclose(found, found[:, :1].expand(-1, 3, -1, -1), atol=1e-5)
    assert not torch.allclose(found, grey)


def test_factors_are_spread_over_the_whole_of_their_range() -> None:
    half = torch.full((2000, 1, 2, 2), -0.6)  # of one colour: contrast and saturation do nothing
    brightness = (augmented(half, Augmentation(jitter=0.5))[:, 0, 0, 0] + 1) / 0.4
    assert 0.5 <= brightness.min() < 0.51
    assert 1.49 < brightness.max() < 1.5001
    assert abs(float(brightness.mean()) - 1) < 0.02


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"flip": 1}, "flip must be True or False; got 1"),
        ({"crop": -1}, "crop must be a whole number from 0 to 64; got -1"),
        ({"crop": 65}, "crop must .* got 65"),
        ({"crop": 1.5}, "crop must be a whole number; got 1.5"),
        ({"jitter": -0.1}, "jitter must be at least 0 and below 1; got -0.1"),
        ({"jitter": 1.0}, "jitter must be at least 0 and below 1; got 1.0"),
        ({"jitter": float("nan")}, "jitter must be a finite number; got nan"),
    ],
)
def test_values_out_of_range_are_config_errors(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"Augmentation.{message}"):
        Augmentation(**parameters)


@pytest.mark.parametrize("scaling", ["signed", "unit", "source"])
def test_an_augmented_episode_has_the_same_labels_and_other_images(tmp_path: Path, scaling: str) -> None:
    pool = prepare(tmp_path, Numbers())
    shape, spec = EpisodeShape(n_way=3, n_shot=2, n_query=1), replace(IMAGES, scaling=scaling)
    plain = SourceSequence(pool, shape, spec, seed=3)
    changed = SourceSequence(pool, shape, spec, seed=3, augmentation=ALL)
    for k in (0, 7):
        one, other, again = plain[k], changed[k], changed[k]
        assert one.classes == other.classes
        assert torch.equal(one.query_y, other.query_y)
        assert torch.equal(one.task.support_y, other.task.support_y)
        for part in ("support_x", "query_x"):
            x, y = getattr(one.task, part), getattr(other.task, part)
            assert torch.equal(y, getattr(again.task, part))
            assert x.shape == y.shape
            assert not torch.equal(x, y)
    assert not torch.equal(changed[0].task.support_x[:3], changed[0].task.query_x)
