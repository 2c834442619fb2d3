"""Images of an episode's classes that are not in it."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.episode import EpisodeShape
from harness.episode_sequence import SourceSequence
from harness.sampling import FixedSampler, SpareRows, spare_rows
from harness.seeds import counter_rng
from harness.testing.method_checks import IMAGES, glyph_pool

SIZES = np.array([9, 4, 30, 12, 4, 7])
SHAPE = EpisodeShape(n_way=4, n_shot=1, n_query=3)


def spare(k: int, limit: int, seed: int = 0) -> SpareRows:
    episode = FixedSampler(SIZES, SHAPE, seed=0, stream="s")[k]
    return spare_rows(counter_rng(seed, "s/spare", k), episode, SIZES, limit)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**6), st.integers(0, 80))
def test_they_are_of_the_classes_and_not_in_the_episode(k: int, limit: int) -> None:
    episode = FixedSampler(SIZES, SHAPE, seed=0, stream="s")[k]
    found = spare(k, limit)
    owner = np.repeat(np.arange(len(SIZES)), SIZES)
    assert np.array_equal(owner[found.rows], episode.classes[found.labels])
    assert not set(found.rows) & {*episode.support, *episode.query}
    assert len(set(found.rows)) == len(found.rows)
    left = SIZES[episode.classes] - SHAPE.n_shot - SHAPE.n_query
    assert len(found.rows) == min(limit, left.sum())
    counts = np.bincount(found.labels, minlength=SHAPE.n_way)
    unequal = [
        (a, b) for a in range(4) for b in range(4) if counts[a] + 1 < counts[b] and counts[a] < left[a]
    ]
    assert not unequal  # a class has two fewer than another only where it has no more


def test_a_smaller_limit_gives_some_of_the_same() -> None:
    for k in range(20):
        assert set(spare(k, 7).rows) <= set(spare(k, 20).rows)
        assert np.array_equal(spare(k, 7).rows, spare(k, 7).rows)
    assert any(not np.array_equal(spare(k, 7).rows, spare(k, 7, seed=1).rows) for k in range(20))


def test_a_sequence_gives_them_as_images_with_the_episodes_labels() -> None:
    pool = glyph_pool("test")
    shape = EpisodeShape(n_way=5, n_shot=1, n_query=3)
    sequence = SourceSequence(pool, shape, IMAGES, seed=0)
    episode, found = sequence[3], sequence.spare(3, 100)
    assert found.x.shape == (5 * 4, 1, 28, 28)
    assert found.y.tolist() == [label for label in range(5) for _ in range(4)]
    together = torch.cat([episode.task.support_x, episode.task.query_x, found.x]).flatten(1)
    assert len(together.unique(dim=0)) == 5 * 8  # all eight images of each class, each once
    mine = found.x[found.y == 2].mul(255).round().to(torch.uint8).flatten(1)
    start = int(pool.class_sizes[: episode.classes[2]].sum())
    stored = torch.from_numpy(np.asarray(pool.images[start : start + 8])).flatten(1)
    assert all((stored == image).all(1).any() for image in mine)
    assert sequence.spare(3, 0).x.shape == (0, 1, 28, 28)
