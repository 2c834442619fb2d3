"""Read-outs of features against scikit-learn and against their formulas."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from harness.read_outs import PENALTY, cosine_weighted, linear_probe, nearest_centroid


def features(n: int, seed: int, dimensions: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    x = torch.randn(n, dimensions, generator=generator, dtype=torch.float64)
    return x + torch.eye(3, dimensions, dtype=torch.float64)[labels] * 1.5, labels


SUPPORT, LABELS = features(9, 0)
QUERY, _ = features(20, 1)
BATCH = (SUPPORT[None], LABELS[None], QUERY[None], 3)


@pytest.mark.parametrize("n", [9, 60])
def test_a_linear_probe_is_scikit_learns_logistic_regression(n: int) -> None:
    support, labels = features(n, 2)
    unit = [(x / x.norm(dim=1, keepdim=True)).numpy() for x in (support, QUERY)]
    reference = LogisticRegression(C=1 / PENALTY, tol=1e-10, max_iter=10_000).fit(unit[0], labels.numpy())
    expected = reference.predict_log_proba(unit[1])
    found = linear_probe(support[None], labels[None], QUERY[None], 3)[0].log_softmax(1).numpy()
    assert np.allclose(found, expected, atol=1e-5)


def test_the_nearest_centroid_is_scikit_learns() -> None:
    expected = NearestCentroid().fit(SUPPORT.numpy(), LABELS.numpy()).predict(QUERY.numpy())
    logits = nearest_centroid(*BATCH)[0]
    assert logits.argmax(1).tolist() == expected.tolist()
    centroid = SUPPORT[LABELS == 1].mean(0)
    assert torch.allclose(logits[:, 1], -((QUERY - centroid) ** 2).sum(1))


def test_cosines_weigh_the_labels() -> None:
    expected = torch.zeros(len(QUERY), 3, dtype=torch.float64)
    for q, query in enumerate(QUERY):
        for x, y in zip(SUPPORT, LABELS, strict=True):
            expected[q, y] += torch.cosine_similarity(query, x, dim=0)
    assert torch.allclose(cosine_weighted(*BATCH)[0], expected)


@pytest.mark.parametrize("read_out", [cosine_weighted, nearest_centroid, linear_probe])
def test_tasks_are_read_out_one_by_one(read_out: object) -> None:
    assert callable(read_out)
    other, labels = features(9, 5)
    both = read_out(
        torch.stack([SUPPORT, other]), torch.stack([LABELS, labels.flip(0)]), torch.stack([QUERY, QUERY]), 3
    )
    assert torch.allclose(both[0], read_out(*BATCH)[0], atol=1e-8)


def test_features_that_are_all_zero_are_read_out_too() -> None:
    zeros = torch.zeros(1, 9, 12)
    assert linear_probe(zeros, LABELS[None], QUERY[None].float(), 3).isfinite().all()
