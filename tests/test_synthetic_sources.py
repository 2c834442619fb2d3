"""Sources that draw their images, and the digits: deterministic, disjoint, neither trivial nor hopeless."""

import hashlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from harness.errors import ConfigError, DataError
from harness.resizing import resize_pixels
from harness_datasets.digits import Digits
from harness_datasets.drawing import DrawnSource
from harness_datasets.glyphs import Glyphs
from harness_datasets.shapes import SCENES, Shapes
from harness_datasets.textures import FAMILIES, Textures

DRAWN = [Glyphs, Textures, Shapes]
Images = np.ndarray[Any, np.dtype[np.uint8]]


def read(dataset: Any, split: str, size: int | None = 28) -> dict[str, Images]:
    """A split as a pool of `size` pixels would have it; None for the images as they are drawn."""
    classes = dataset.read(split, list(dataset.class_sizes(split, None)), None)
    return {
        name: images if size is None else resize_pixels(images, size, "antialias") for name, images in classes
    }


def nearest_neighbour_accuracy(classes: dict[str, Images], episodes: int = 200) -> float:
    """5-way 1-shot accuracy of the nearest support image in pixels."""
    rng = np.random.default_rng(0)
    pixels = [images.reshape(len(images), -1).astype(np.float32) for images in classes.values()]
    right = []
    for _ in range(episodes):
        chosen = [pixels[c] for c in rng.choice(len(pixels), 5, replace=False)]
        rows = [rng.choice(len(images), 4, replace=False) for images in chosen]
        support = np.stack([images[row[0]] for images, row in zip(chosen, rows, strict=True)])
        query = np.concatenate([images[row[1:]] for images, row in zip(chosen, rows, strict=True)])
        nearest = ((query[:, None] - support[None]) ** 2).sum(-1).argmin(1)
        right.append((nearest == np.repeat(np.arange(5), 3)).mean())
    return float(np.mean(right))


@pytest.mark.parametrize("source", DRAWN)
def test_defaults_give_hundreds_of_classes_split_60_15_25(source: type[DrawnSource]) -> None:
    dataset: Any = source()  # type: ignore[call-arg]
    train, valid, test = (dataset.class_sizes(split, None) for split in dataset.splits)
    n = dataset.n_classes
    assert n >= 200
    assert (len(train), len(valid), len(test)) == (n * 60 // 100, n * 15 // 100, n - n * 75 // 100)
    assert len({**train, **valid, **test}) == n
    assert {*train.values(), *valid.values(), *test.values()} == {20}


@pytest.mark.parametrize("source", DRAWN)
def test_the_same_parameters_draw_the_same_images_and_a_seed_draws_others(source: Any) -> None:
    one, same, other = (read(source(n_classes=20, seed=seed), "test") for seed in (0, 0, 1))
    assert list(one) == list(same)
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not any(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("source", DRAWN)
def test_another_process_draws_the_same(source: Any) -> None:
    program = (
        f"from {source.__module__} import {source.__name__} as S; import hashlib\n"
        "print(hashlib.sha256(S().class_images(7, 4).tobytes()).hexdigest(), S().fingerprint(None))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    here = hashlib.sha256(source().class_images(7, 4).tobytes()).hexdigest()
    assert done.stdout.split() == [here, source().fingerprint(None)]


@pytest.mark.parametrize("source", DRAWN)
def test_more_images_or_classes_keep_the_first_ones(source: Any) -> None:
    few = source(n_classes=20, images_per_class=3).class_images(4, 3)
    many = source(n_classes=200, images_per_class=9).class_images(4, 9)
    np.testing.assert_array_equal(few, many[:3])


@pytest.mark.parametrize("source", DRAWN)
@pytest.mark.parametrize("size", [16, 28, 84])
def test_images_vary_and_use_the_range_at_every_size(source: Any, size: int) -> None:
    classes = read(source(n_classes=20, images_per_class=6), "test", size)
    pixels = np.concatenate(list(classes.values()))
    assert pixels.shape == (30, size, size, source.channels)
    assert pixels.dtype == np.uint8
    assert len(np.unique(pixels.reshape(30, -1), axis=0)) == 30
    assert pixels.min() < 30
    assert pixels.max() > 225
    assert all(image.std() > 5 for image in pixels)


@pytest.mark.parametrize("source", DRAWN)
def test_an_image_looks_the_same_at_every_size(source: Any) -> None:
    drawn = source().class_images(3, 4)
    assert drawn.shape == (4, source.native_size, source.native_size, source.channels)
    small, large = (resize_pixels(drawn, size, "antialias").astype(float) for size in (28, 84))
    reduced = large.reshape(4, 28, 3, 28, 3, -1).mean((2, 4))
    assert np.corrcoef(small.ravel(), reduced.ravel())[0, 1] > 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "low", "high"), [(Glyphs, 0.35, 0.58), (Textures, 0.35, 0.58), (Shapes, 0.25, 0.45)]
)
def test_pixels_alone_beat_chance_but_leave_much_to_learn(source: Any, low: float, high: float) -> None:
    accuracy = nearest_neighbour_accuracy(read(source(), "test"))
    assert low < accuracy < high


@pytest.mark.parametrize("source", DRAWN)
def test_the_fingerprint_follows_the_pixels(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = source().fingerprint(None)
    assert before.startswith(source.version)
    assert source().fingerprint(None) == before
    assert source(seed=5).fingerprint(None) != before
    draw = source.draw

    def brighter(self: Any, traits: Any, rng: Any) -> Any:
        return draw(self, traits, rng).point(lambda value: min(255, value + 1))

    monkeypatch.setattr(source, "draw", brighter)
    assert source().fingerprint(None) != before


def test_every_texture_family_and_every_scene_is_drawn() -> None:
    textures = Textures(n_classes=200)
    assert {textures.traits(index).family for index in range(200)} == set(FAMILIES)
    shapes = Shapes(n_classes=len(SCENES))
    assert {shapes.traits(index) for index in range(len(SCENES))} == set(SCENES)


@pytest.mark.parametrize("source", DRAWN)
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_classes": 19}, "n_classes must be a whole number from 20 to .*; got 19"),
        ({"n_classes": 10_001}, "n_classes must .* got 10001"),
        ({"n_classes": 30.0}, "n_classes must .* got 30.0"),
        ({"n_classes": True}, "n_classes must .* got True"),
        ({"images_per_class": 1}, "images_per_class must .* got 1"),
        ({"seed": -1}, "seed must .* got -1"),
        ({"seed": "0"}, "seed must .* got '0'"),
        ({"name": "a b"}, "name must .* got 'a b'"),
    ],
)
def test_wrong_parameters_are_config_errors(source: Any, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"{source.__name__}.{message}"):
        source(**parameters)


def test_shapes_has_no_more_classes_than_scenes() -> None:
    with pytest.raises(ConfigError, match=f"from 20 to {len(SCENES)}"):
        Shapes(n_classes=len(SCENES) + 1)


@pytest.mark.parametrize("source", [*DRAWN, Digits])
def test_an_unknown_split_is_a_data_error(source: Any) -> None:
    for ask in (lambda: source().class_sizes("tset", None), lambda: next(source().read("tset", [], None))):
        with pytest.raises(DataError, match=r"no split 'tset'\. Did you mean 'test'"):
            ask()


def test_digits_are_the_1797_of_scikit_learn_bright_on_dark() -> None:
    classes = read(Digits(), "test", None)
    assert list(classes) == [str(digit) for digit in range(10)]
    assert {name: len(images) for name, images in classes.items()} == Digits().class_sizes("test", None)
    pixels = np.concatenate(list(classes.values()))
    assert pixels.shape == (1797, 8, 8, 1)
    assert (pixels.min(), pixels.max()) == (0, 255)
    corners = pixels[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.mean() < 20 < pixels[:, 2:6, 2:6].mean()
    zero = classes["0"].mean(0)[:, :, 0]
    assert zero[4, 4] < 60 < zero.max()
    with pytest.raises(DataError, match="no split 'train'"):
        Digits().class_sizes("train", None)
