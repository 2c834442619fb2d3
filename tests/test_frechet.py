"""Fréchet distances against closed forms and scipy's matrix square root."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from harness.frechet import (
    Gaussian,
    fitted_gaussian,
    frechet_distance,
    plain_frechet_distance,
    squared_distance,
)


def sample(n: int, d: int, *, seed: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.arange(1, d + 1, dtype=torch.float64) ** -0.5
    return scale * torch.randn(n, d, dtype=torch.float64, generator=generator) * spectrum + shift


def diagonal(mean: list[float], deviations: list[float]) -> Gaussian:
    as_tensor = torch.tensor([mean, deviations], dtype=torch.float64)
    return Gaussian(mean=as_tensor[0], root=torch.diag(as_tensor[1]))


def test_diagonal_gaussians_have_a_closed_form() -> None:
    a, b = diagonal([0, 1, 2], [1, 2, 0]), diagonal([1, 1, 0], [3, 2, 0.5])
    assert squared_distance(a, b) == pytest.approx(1 + 0 + 4 + 4 + 0 + 0.25)
    assert squared_distance(a, a) == pytest.approx(0, abs=1e-12)
    assert squared_distance(a, b) == pytest.approx(squared_distance(b, a))


def test_a_shift_adds_its_square_and_a_scale_the_square_of_its_excess() -> None:
    x = sample(50, 6, seed=0)
    variance = x.var(0).sum().item()
    assert plain_frechet_distance(x, x).value == pytest.approx(0, abs=1e-12)
    assert plain_frechet_distance(x, x + 2).value == pytest.approx(6 * 4)
    centred = x - x.mean(0)
    assert plain_frechet_distance(centred, 3 * centred).value == pytest.approx(4 * variance)


@pytest.mark.parametrize(("n", "m"), [(40, 60), (5, 7)])
def test_the_trace_is_that_of_the_matrix_square_root(n: int, m: int) -> None:
    x = sample(n, 4, seed=1) @ torch.randn(
        4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3)
    )
    y = sample(m, 4, seed=2, shift=0.5)
    C1, C2 = np.cov(x.numpy().T), np.cov(y.numpy().T)
    mean = float(((x.mean(0) - y.mean(0)) ** 2).sum())
    expected = mean + np.trace(C1) + np.trace(C2) - 2 * np.trace(scipy.linalg.sqrtm(C1 @ C2)).real
    assert plain_frechet_distance(x, y).value == pytest.approx(expected, rel=1e-9)


def test_fewer_images_than_features_are_no_trouble() -> None:
    x, y = sample(5, 30, seed=1), sample(6, 30, seed=2)
    root = fitted_gaussian(sample(40, 30, seed=1)).root
    assert fitted_gaussian(x).root.shape == (5, 30)
    assert root.shape == (30, 30)
    assert torch.allclose(root.T @ root, torch.cov(sample(40, 30, seed=1).T))
    rotation = torch.linalg.qr(sample(30, 30, seed=3)).Q
    assert plain_frechet_distance(x, y).value == pytest.approx(
        plain_frechet_distance(x @ rotation, y @ rotation).value
    )


def mean_of(distances: list[float]) -> float:
    return sum(distances) / len(distances)


@pytest.mark.parametrize("n", [50, 100])
def test_few_images_of_one_source_are_apart_only_by_the_plain_distance(n: int) -> None:
    pairs = [(sample(n, 64, seed=2 * k), sample(n, 64, seed=2 * k + 1)) for k in range(8)]
    assert mean_of([plain_frechet_distance(x, y).value for x, y in pairs]) > 0.9
    assert mean_of([frechet_distance(x, y).value for x, y in pairs]) == pytest.approx(0, abs=0.1)


def test_the_correction_leaves_the_distance_of_different_sources() -> None:
    pairs = [
        (sample(100, 64, seed=2 * k), sample(100, 64, seed=2 * k + 1, shift=0.2, scale=1.4))
        for k in range(10)
    ]
    truth = 64 * 0.04 + 0.4**2 * sum(1 / k for k in range(1, 65))
    assert mean_of([frechet_distance(x, y).value for x, y in pairs]) == pytest.approx(truth, rel=0.05)
    assert mean_of([plain_frechet_distance(x, y).value for x, y in pairs]) > 1.3 * truth


def test_it_is_a_function_of_its_arguments_and_knows_no_order() -> None:
    x, y = sample(30, 5, seed=1), sample(44, 5, seed=2, shift=1)
    before = torch.get_rng_state()
    assert frechet_distance(x, y) == frechet_distance(x, y)
    assert frechet_distance(x, y).value == pytest.approx(frechet_distance(y, x).value, rel=0.1)
    assert torch.equal(before, torch.get_rng_state())


def test_what_cannot_be_measured() -> None:
    x = sample(10, 3, seed=1)
    few = frechet_distance(x[:3], x)
    assert math.isnan(few.value)
    assert few.reason == "3 images are too few for a Fréchet distance: it needs 4 of both."
    broken = x.clone()
    broken[0, 0] = math.nan
    for result in (frechet_distance(x, broken), plain_frechet_distance(x, broken)):
        assert result.reason == "The features are not finite."
    with pytest.raises(ValueError, match="same features in both; got 3 and 2"):
        frechet_distance(x, x[:, :2])
    with pytest.raises(ValueError, match="at least 2 images"):
        fitted_gaussian(x[:1])
    with pytest.raises(ValueError, match="at least 1 split"):
        frechet_distance(x, x, splits=0)
    constant = torch.ones(6, 3)
    assert frechet_distance(constant, constant + 1).value == pytest.approx(3)
