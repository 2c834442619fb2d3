"""Distances between task embeddings, and from training tasks."""

import math

import pytest
import torch
from torch import Tensor

from harness.dissimilarity import by_source, diversity, excess, from_training, task2vec_distances
from harness.networks import Body, Conv4
from harness.task2vec import embed_task


def embeddings(n: int, f: int = 8, seed: int = 0) -> Tensor:
    return torch.rand(n, f, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) ** 3


def test_task2vec_distance_is_its_formula() -> None:
    a, b = embeddings(3, seed=1), embeddings(4, seed=2)
    found = task2vec_distances(a, b)
    assert found.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            u, v = a[i] / (a[i] + b[j]), b[j] / (a[i] + b[j])
            assert found[i, j].item() == pytest.approx(1 - (u @ v / (u.norm() * v.norm())).item())


def test_task2vec_distance_by_hand_is_symmetric_and_zero_to_multiples() -> None:
    a, b = torch.tensor([[1.0, 3.0]]), torch.tensor([[3.0, 1.0]])
    # Parts (1/4, 3/4) and (3/4, 1/4): cosine (3 + 3) / (1 + 9).
    assert task2vec_distances(a, b).item() == pytest.approx(0.4)
    e = embeddings(6)
    table = task2vec_distances(e, e)
    assert torch.allclose(table, table.T, atol=1e-12)
    assert torch.allclose(table.diagonal(), torch.zeros(6, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(
        task2vec_distances(e, 7 * e).diagonal(), torch.zeros(6, dtype=torch.float64), atol=1e-12
    )
    assert task2vec_distances(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])).item() == 1


def test_filters_dead_in_both_are_left_out() -> None:
    e = embeddings(2)
    dead = torch.zeros(2, 3, dtype=torch.float64)
    assert torch.allclose(
        task2vec_distances(torch.cat([e, dead], 1), torch.cat([e, dead], 1)), task2vec_distances(e, e)
    )
    assert math.isnan(task2vec_distances(torch.zeros(1, 3), torch.ones(1, 3)).item())


def test_diversity_is_the_mean_over_pairs_of_tasks() -> None:
    table = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 6.0], [2.0, 6.0, 0.0]])
    assert diversity(table) == pytest.approx(3)


def test_excess_is_what_two_families_are_apart_beyond_their_own_tasks() -> None:
    own, training = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[0.0, 3.0], [3.0, 0.0]])
    assert excess(torch.tensor([[5.0, 6.0], [5.0, 6.0]]), own, training) == pytest.approx(5.5 - 2)


def test_distances_from_training() -> None:
    table = torch.tensor([[1.0, 3.0, 5.0], [4.0, 2.0, 0.0]])
    found = from_training(table, ["a", "a", "b"])
    assert found.mean.tolist() == [(2 + 5) / 2, (3 + 0) / 2]
    assert found.nearest_source.tolist() == [2, 0]
    assert found.nearest_task.tolist() == [1, 0]
    sources = by_source(found, ["near", "near"])
    assert sources["near"].mean == pytest.approx(2.5)
    assert sources["near"].nearest_source == pytest.approx(1)
    assert sources["near"].nearest_task == pytest.approx(0.5)
    assert sources["near"].n_tasks == 2
    assert list(by_source(found, ["z", "y"])) == ["y", "z"]


def task(kind: str, seed: int) -> tuple[Tensor, Tensor]:
    """Five classes of ten images: stripes of five frequencies, or discs of five radii, in noise."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(50) % 5
    across = torch.arange(28.0) - 13.5
    if kind == "stripes":
        rates = 0.8 + 0.8 * torch.rand(5, generator=generator)
        phase = 6.3 * torch.rand(50, 1, generator=generator)
        pattern = torch.sin(across * rates[y][:, None] + phase)[:, None, :].expand(50, 28, 28)
    else:
        radii = 2 + 4 * torch.rand(5, generator=generator)
        centre = 6 * torch.rand(50, 2, 1, generator=generator) - 3
        squares = (across - centre).square()
        pattern = (
            squares[:, 0, :, None] + squares[:, 1, None, :] < radii[y][:, None, None] ** 2
        ).float() - 0.3
    return (pattern + 0.1 * torch.randn(50, 28, 28, generator=generator))[:, None], y


def probe() -> Body:
    torch.manual_seed(0)
    return Conv4(filters=16).build(1, 28)


def test_tasks_of_one_family_are_nearer_than_those_of_another() -> None:
    body = probe()
    families = {
        kind: torch.stack([embed_task(body, *task(kind, seed), 5) for seed in range(6)])
        for kind in ("stripes", "discs")
    }
    stripes, discs = families["stripes"], families["discs"]
    within = [diversity(task2vec_distances(e, e)) for e in families.values()]
    between = task2vec_distances(stripes, discs)
    assert max(within) < between.mean()
    assert excess(between, *(task2vec_distances(e, e) for e in families.values())) > 0.03
    found = from_training(
        task2vec_distances(torch.cat([stripes[:3], discs[:3]]), stripes[3:]), ["stripes"] * 3
    )
    sources = by_source(found, ["stripes"] * 3 + ["discs"] * 3)
    assert sources["stripes"].mean < sources["discs"].mean
    assert found.mean[:3].max() < found.mean[3:].min()


def test_tables_that_do_not_fit_are_refused() -> None:
    e = embeddings(3)
    with pytest.raises(ValueError, match="8 and 7 filters"):
        task2vec_distances(e, e[:, :7])
    for bad in (-e, e * math.nan, e[0]):
        with pytest.raises(ValueError, match="finite and not negative"):
            task2vec_distances(bad, e)
    with pytest.raises(ValueError, match="at least 2 tasks"):
        diversity(torch.zeros(1, 1))
    with pytest.raises(ValueError, match="got \\[2, 3\\] and 2 sources"):
        from_training(torch.zeros(2, 3), ["a", "b"])
    with pytest.raises(ValueError, match="Each of 2 tasks needs a source; got 1"):
        by_source(from_training(torch.zeros(2, 1), ["a"]), ["b"])
