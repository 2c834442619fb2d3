"""Distances within and between classes against closed forms, plain loops and simulated Gaussians."""

import math

import pytest
import torch
from torch import Tensor

from harness.specialisation import (
    ClassDistances,
    class_distance_normalised_variance,
    class_distances,
    mean_distances,
)

TWO = torch.tensor([0, 0, 1, 1])


def square(height: float = 4.0) -> Tensor:
    """Two classes of two images: means `height` apart, each image 1 from its mean."""
    return torch.tensor([[-1.0, 0.0], [1.0, 0.0], [-1.0, height], [1.0, height]])


def simulated(*, shots: list[int], separation: float, seed: int, dim: int = 5) -> tuple[Tensor, Tensor]:
    """Unit Gaussians (within = dim) about means that are orthogonal and `separation` from zero."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(shots)).repeat_interleave(torch.tensor(shots))
    means = separation * torch.eye(len(shots), dim, dtype=torch.float64)
    noise = torch.randn(len(labels), dim, dtype=torch.float64, generator=generator)
    return means[labels] + noise, labels


def test_two_pairs_of_images_by_hand() -> None:
    found = class_distances(square(), TWO)
    assert found.within == pytest.approx(2)  # 1 + 1 over m - 1 = 1
    assert found.between == pytest.approx(16 - 2 / 2 - 2 / 2)
    assert found.spread.value == pytest.approx(2 / 14)
    assert found.separation.value == pytest.approx(14 / 18)
    assert class_distance_normalised_variance(square(), TWO).value == pytest.approx((1 + 1) / (2 * 16))


def test_separation_is_about_pairs_of_images() -> None:
    x, labels = simulated(shots=[2, 3, 5], separation=1.5, seed=0)
    same, different = [], []
    for a in range(3):
        own = x[labels == a]
        same.append(2 * own.var(0).sum())
        for b in range(a):
            other = x[labels == b]
            different.append(torch.cdist(own, other).square().mean())
    found = class_distances(x, labels)
    # E‖x - x'‖² between classes is between + 2 · within, less what the sample means add: on equal footing.
    between = torch.stack(
        [
            torch.cdist(x[labels == a], x[labels == b]).square().mean()
            - x[labels == a].var(0).sum()
            - x[labels == b].var(0).sum()
            for a in range(3)
            for b in range(a)
        ]
    ).mean()
    assert found.between == pytest.approx(between.item())
    assert found.within == pytest.approx(torch.stack(same).mean().item() / 2)


@pytest.mark.parametrize("shots", [[2, 2, 2], [2, 3, 7]])
@pytest.mark.parametrize("separation", [0.0, 1.0])
def test_both_distances_are_unbiased_however_few_the_images(shots: list[int], separation: float) -> None:
    each = [class_distances(*simulated(shots=shots, separation=separation, seed=k)) for k in range(1500)]
    found = mean_distances(each)
    assert found.within == pytest.approx(5, rel=0.03)
    assert found.between == pytest.approx(2 * separation**2, abs=0.3)
    assert found.separation.value == pytest.approx(2 * separation**2 / (2 * separation**2 + 10), abs=0.03)


def test_normalised_variance_of_many_images_is_the_populations() -> None:
    x, labels = simulated(shots=[4000] * 3, separation=3.0, seed=1)
    assert class_distance_normalised_variance(x, labels).value == pytest.approx(5 / 18, rel=0.03)


def test_ratios_know_no_scale_rotation_or_shift() -> None:
    x, labels = simulated(shots=[3, 4, 5], separation=2.0, seed=2)
    turned = 7 * x @ torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q + 3
    before, after = class_distances(x, labels), class_distances(turned, labels)
    assert after.within == pytest.approx(49 * before.within)
    assert after.spread.value == pytest.approx(before.spread.value)
    assert after.separation.value == pytest.approx(before.separation.value)
    assert class_distance_normalised_variance(turned, labels).value == pytest.approx(
        class_distance_normalised_variance(x, labels).value
    )


def test_collapsed_classes() -> None:
    x = torch.tensor([[0.0], [0.0], [3.0], [3.0]])
    found = class_distances(x, TWO)
    assert (found.within, found.between) == (0, 9)
    assert found.spread.value == 0
    assert found.separation.value == 1
    assert class_distance_normalised_variance(x, TWO).value == 0


def test_classes_with_one_image_are_left_out() -> None:
    x = torch.cat([square(), torch.tensor([[99.0, 99.0]])])
    labels = torch.tensor([0, 0, 1, 1, 2])
    assert class_distances(x, labels) == class_distances(square(), TWO)
    refused = class_distances(square(), torch.tensor([0, 0, 1, 2]))
    assert math.isnan(refused.within)
    assert "at least two classes of at least 2 images" in refused.reason
    assert refused.spread.reason == refused.separation.reason == refused.reason


def test_convolution_features_are_flattened() -> None:
    x = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    assert class_distances(x, TWO) == class_distances(x.flatten(1), TWO)


def test_means_that_chance_alone_separates_have_no_spread() -> None:
    found = class_distances(square(height=0.5), TWO)
    assert found.between < 0
    assert "no farther apart than chance" in found.spread.reason
    assert -1 < found.separation.value < 0


@pytest.mark.parametrize("value", [0.0, 0.1, math.nan])
def test_dead_or_diverged_features_are_undefined(value: float) -> None:
    x = torch.full((4, 3), value)
    reason = "not finite" if math.isnan(value) else "same for every image"
    for result in (
        class_distances(x, TWO).spread,
        class_distances(x, TWO).separation,
        class_distance_normalised_variance(x, TWO),
    ):
        assert math.isnan(result.value)
        assert reason in result.reason


def test_coinciding_means_have_no_normalised_variance() -> None:
    assert "coincide" in class_distance_normalised_variance(square(height=0), TWO).reason


def test_averages_leave_out_what_is_undefined() -> None:
    one, two = ClassDistances(within=1, between=2), ClassDistances(within=3, between=-1)
    none = ClassDistances(within=math.nan, between=math.nan, reason="too few")
    assert mean_distances([one, none, two]) == ClassDistances(within=2, between=0.5)
    assert mean_distances([none]).reason == "too few"
    with pytest.raises(ValueError, match="at least one episode"):
        mean_distances([])


def test_labels_of_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="labels"):
        class_distances(square(), TWO[:3])
