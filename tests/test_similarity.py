"""CKA, CCA and the cosine against closed forms and plain float64 formulas."""

import math

import pytest
import torch
from torch import Tensor

from harness.cca import canonical_correlations, mean_cca, svcca
from harness.cka import Hsic, biased_cka, debiased_cka, hsic
from harness.similarity import mean_cosine


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rotation(size: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(gaussian(size, size, seed=seed)).Q


def debiased(x: Tensor, y: Tensor) -> float:
    return debiased_cka([hsic(x, y)]).value


def plain_hsic(x: Tensor, y: Tensor) -> float:
    """The estimate of Song et al. 2012 as a sum over ordered tuples of different images."""
    n = len(x)
    K, L = (x @ x.T).tolist(), (y @ y.T).tolist()
    pairs = triples = quadruples = 0.0
    for i in range(n):
        for j in range(n):
            if i == j:
                continue
            pairs += K[i][j] * L[i][j]
            for q in range(n):
                if q in (i, j):
                    continue
                triples += K[i][j] * L[i][q]
                for r in range(n):
                    if r not in (i, j, q):
                        quadruples += K[i][j] * L[q][r]
    two, three = n * (n - 1), n * (n - 1) * (n - 2)
    return pairs / two - 2 * triples / three + quadruples / (three * (n - 3))


@pytest.mark.parametrize(("n", "p", "q"), [(4, 3, 2), (7, 2, 3), (9, 20, 2), (9, 30, 40)])
def test_hsic_is_the_sum_over_tuples_of_different_images(n: int, p: int, q: int) -> None:
    x, y = gaussian(n, p, seed=1) + 3, gaussian(n, q, seed=2) - 1
    found = hsic(x, y)
    assert found.xy == pytest.approx(plain_hsic(x, y), rel=1e-9)
    assert found.xx == pytest.approx(plain_hsic(x, x), rel=1e-9)
    assert found.yy == pytest.approx(plain_hsic(y, y), rel=1e-9)


@pytest.mark.parametrize(("n", "p", "q"), [(30, 4, 6), (10, 50, 60), (10, 9000, 3)])
def test_biased_cka_is_its_formula(n: int, p: int, q: int) -> None:
    x, y = gaussian(n, p, seed=1), gaussian(n, q, seed=2)
    x, y = x - x.mean(0), y - y.mean(0)
    K, L = x @ x.T, y @ y.T
    expected = (K * L).sum() / (K.norm() * L.norm())
    assert biased_cka(x + 5, y).value == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.parametrize("p", [3, 40])
def test_cka_knows_no_rotation_scale_order_or_shift(p: int) -> None:
    x, y = gaussian(12, p, seed=1), gaussian(12, 5, seed=2)
    changed = 7 * x[:, torch.randperm(p, generator=torch.Generator().manual_seed(0))] @ rotation(p) + 11
    for measure in (lambda a, b: biased_cka(a, b).value, debiased):
        assert measure(x, x) == pytest.approx(1, abs=1e-12)
        assert measure(x, changed) == pytest.approx(1, abs=1e-10)
        assert measure(changed, y) == pytest.approx(measure(x, y), abs=1e-10)
        assert measure(x, y) == pytest.approx(measure(y, x), abs=1e-12)
        stretched = x * torch.logspace(0, 2, p, dtype=torch.float64)
        assert measure(x, stretched) < 0.98


def test_cka_of_orthogonal_features_is_zero() -> None:
    basis = torch.linalg.qr(torch.cat([torch.ones(20, 1, dtype=torch.float64), gaussian(20, 8)], 1)).Q[:, 1:]
    assert biased_cka(basis[:, :4], basis[:, 4:]).value == pytest.approx(0, abs=1e-12)
    # Of the 4 directions y has 2 in common with x: ‖YᵀX‖² = 2, ‖XᵀX‖ = ‖YᵀY‖ = 2.
    assert biased_cka(basis[:, :4], basis[:, 2:6]).value == pytest.approx(0.5, abs=1e-12)


def test_only_the_biased_cka_takes_wide_noise_for_likeness() -> None:
    parts, biased = [], []
    for k in range(30):
        x, y = gaussian(20, 300, seed=2 * k), gaussian(20, 300, seed=2 * k + 1)
        parts.append(hsic(x, y))
        biased.append(biased_cka(x, y).value)
    assert min(biased) > 0.9
    assert abs(debiased_cka(parts).value) < 0.02
    assert any(debiased_cka([part]).value < 0 for part in parts)


def test_debiased_cka_is_right_on_average_where_the_truth_is_known() -> None:
    # y is x in its first half: ‖Cov‖² = p/2, against p and p, so CKA of the population is 0.5 / 1.
    parts = []
    for k in range(60):
        x, noise = gaussian(25, 100, seed=k), gaussian(25, 50, seed=1000 + k)
        parts.append(hsic(x, torch.cat([x[:, :50], noise], dim=1)))
    assert debiased_cka(parts).value == pytest.approx(0.5, abs=0.01)


def test_the_ratio_of_sums_is_not_the_mean_of_ratios() -> None:
    parts = [Hsic(xy=1, xx=1, yy=1), Hsic(xy=0, xx=9, yy=9)]
    assert debiased_cka(parts).value == pytest.approx(0.1)
    assert sum(debiased_cka([part]).value for part in parts) / 2 == pytest.approx(0.5)


def test_debiased_cka_stays_within_one() -> None:
    for k in range(200):
        assert -1 <= debiased(gaussian(4, 2, seed=k), gaussian(4, 2, seed=900 + k)) <= 1


def test_convolution_features_are_flattened_for_cka() -> None:
    x, y = gaussian(8, 3, 4, 4, seed=1), gaussian(8, 5, 2, 2, seed=2)
    assert hsic(x, y) == hsic(x.flatten(1), y.flatten(1))


def test_float32_features_are_compared_in_float64() -> None:
    x, y = gaussian(30, 6, seed=1).float() + 1000, gaussian(30, 6, seed=2).float()
    assert debiased(x, y) == pytest.approx(debiased(x.double(), y.double()), abs=1e-12)
    assert debiased(x, x - 1000) == pytest.approx(1, abs=1e-6)


def correlated(n: int, rho: list[float], seed: int = 0) -> tuple[Tensor, Tensor]:
    r = torch.tensor(rho, dtype=torch.float64)
    x, noise = gaussian(n, len(rho), seed=seed), gaussian(n, len(rho), seed=seed + 1)
    return x, r * x + (1 - r**2).sqrt() * noise


def test_canonical_correlations_of_constructed_directions_are_exact() -> None:
    ones = torch.ones(60, 1, dtype=torch.float64)
    basis = torch.linalg.qr(torch.cat([ones, gaussian(60, 6)], 1)).Q[:, 1:]
    rho = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)
    x = basis[:, :3]
    y = rho * x + (1 - rho**2).sqrt() * basis[:, 3:]
    mixed_x, mixed_y = x @ gaussian(3, 3, seed=5) + 4, y @ gaussian(3, 3, seed=6)
    assert torch.allclose(canonical_correlations(mixed_x, mixed_y), rho, atol=1e-10)
    assert mean_cca(mixed_x, mixed_y).value == pytest.approx(0.5, abs=1e-10)
    # The smaller of the two decides how many correlations there are.
    assert torch.allclose(canonical_correlations(x[:, :1], y), rho[:1], atol=1e-10)


def test_mean_cca_of_many_gaussian_points_is_near_the_mean_correlation() -> None:
    x, y = correlated(40_000, [0.9, 0.6, 0.3])
    assert mean_cca(x, y).value == pytest.approx(0.6, abs=0.01)


def test_cca_knows_no_invertible_map_and_svcca_only_rotation_and_scale() -> None:
    x, y = correlated(500, [0.9, 0.7, 0.4, 0.2])
    mixing = gaussian(4, 4, seed=9) + 2 * torch.eye(4, dtype=torch.float64)
    stretched = x * torch.tensor([1.0, 1.0, 1e-2, 1e-3], dtype=torch.float64)
    assert mean_cca(x, x @ mixing - 3).value == pytest.approx(1, abs=1e-10)
    assert mean_cca(stretched @ mixing, y).value == pytest.approx(mean_cca(x, y).value, abs=1e-9)
    assert svcca(3 * x @ rotation(4) + 1, y).value == pytest.approx(svcca(x, y).value, abs=1e-10)
    assert svcca(stretched, y).value != pytest.approx(svcca(x, y).value, abs=0.05)


def test_svcca_keeps_the_leading_directions() -> None:
    scale = torch.tensor([10.0, 5.0, 0.1, 0.1], dtype=torch.float64)
    x, y = correlated(4000, [0.9, 0.7, 0.0, 0.0])
    assert len(canonical_correlations(x * scale, y * scale, kept=0.99)) == 2
    assert len(canonical_correlations(x * scale, y * scale, kept=1.0)) == 4
    assert len(canonical_correlations(x * scale, y * scale, kept=0.5)) == 1
    assert svcca(x * scale, y * scale).value == pytest.approx(0.8, abs=0.02)


def test_channels_are_neurons_and_positions_are_points() -> None:
    x, y = gaussian(9, 3, 5, 5, seed=1), gaussian(9, 4, 5, 5, seed=2)
    points = [each.permute(0, 2, 3, 1).reshape(9 * 25, -1) for each in (x, y)]
    assert torch.allclose(canonical_correlations(x, y), canonical_correlations(*points), atol=1e-12)
    assert mean_cca(x, x).value == pytest.approx(1, abs=1e-12)


def test_blocks_of_points_give_what_all_points_give() -> None:
    x, y = gaussian(700, 2, 5, 5, seed=1), gaussian(700, 2, 5, 5, seed=2)
    qs = [torch.linalg.qr((f := each.permute(0, 2, 3, 1).reshape(-1, 2)) - f.mean(0)).Q for each in (x, y)]
    expected = torch.linalg.svdvals(qs[0].T @ qs[1])
    assert torch.allclose(canonical_correlations(x, y), expected, atol=1e-12)


def test_independent_features_have_the_stated_mean_square_correlation() -> None:
    n, a, b = 60, 6, 4
    squares = [
        canonical_correlations(gaussian(n, a, seed=2 * k), gaussian(n, b, seed=2 * k + 1))
        .square()
        .sum()
        .item()
        for k in range(300)
    ]
    assert sum(squares) / len(squares) == pytest.approx(a * b / (n - 1), rel=0.05)


def test_too_few_points_are_refused_with_the_reason() -> None:
    x, y = gaussian(39, 4, seed=1), gaussian(39, 4, seed=2)
    refused = mean_cca(x, y)
    assert math.isnan(refused.value)
    assert refused.reason.startswith("39 data points are too few for 4 directions: CCA needs 10 for each")
    assert not mean_cca(gaussian(40, 4), gaussian(40, 4, seed=2)).reason
    assert mean_cca(gaussian(5, 4), gaussian(5, 4, seed=2), points_per_neuron=1).value == pytest.approx(1)


def test_dead_channels_are_left_out_of_cca() -> None:
    x, y = correlated(200, [0.9, 0.5])
    dead = torch.full((200, 1), 0.3, dtype=torch.float64)
    with_dead = torch.cat([x, dead, 2 * x[:, :1] - dead], dim=1)  # the last says nothing new
    assert mean_cca(with_dead, y).value == pytest.approx(mean_cca(x, y).value, abs=1e-10)
    assert mean_cca(with_dead, with_dead).value == pytest.approx(1, abs=1e-10)
    assert svcca(with_dead.float(), with_dead.float()).value == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.1])
def test_a_dead_layer_is_undefined_not_a_crash(constant: float) -> None:
    dead, live = torch.full((50, 3), constant), gaussian(50, 3).float()
    for x, y in ((dead, live), (live, dead), (dead, dead)):
        for result in (mean_cca(x, y), svcca(x, y), biased_cka(x, y), debiased_cka([hsic(x, y)])):
            assert math.isnan(result.value)
            assert "the same for every image" in result.reason
    assert math.isnan(mean_cosine(live, torch.zeros(50, 3)).value)


def test_equally_distant_images_leave_debiased_cka_undefined() -> None:
    one_hot = torch.eye(6, dtype=torch.float64)
    assert "equally far apart" in debiased_cka([hsic(one_hot, gaussian(6, 2))]).reason


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_features_of_a_diverged_network_are_undefined(bad: float) -> None:
    x = gaussian(50, 3)
    y = x.clone()
    y[7, 1] = bad
    for result in (
        mean_cca(x, y),
        svcca(x, y),
        biased_cka(x, y),
        debiased_cka([hsic(x, y)]),
        mean_cosine(x, y),
    ):
        assert math.isnan(result.value)
        assert result.reason == "The features are not finite."


def test_mean_cosine_is_the_mean_over_images() -> None:
    x = torch.tensor([[1.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
    y = torch.tensor([[5.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    assert mean_cosine(x, y).value == pytest.approx(math.sqrt(0.5) / 3)
    assert mean_cosine(x, 4 * x).value == pytest.approx(1)
    grid = gaussian(4, 2, 3, 3)
    assert mean_cosine(grid, -grid).value == pytest.approx(-1)


def test_features_that_cannot_be_compared_are_refused() -> None:
    x = gaussian(6, 3)
    with pytest.raises(ValueError, match="same images; got 6 and 5"):
        biased_cka(x, x[:5])
    with pytest.raises(ValueError, match="at least 4 images; got 3"):
        hsic(x[:3], x[:3])
    with pytest.raises(ValueError, match="at least one episode"):
        debiased_cka([])
    with pytest.raises(ValueError, match="same positions"):
        mean_cca(gaussian(6, 3, 2, 2), gaussian(6, 3, 4, 4))
    with pytest.raises(ValueError, match="same features"):
        mean_cosine(x, x[:, :2])
    with pytest.raises(ValueError, match="real numbers"):
        biased_cka(x[0], x[0])
