"""Which images make up an episode."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.episode import EpisodeShape
from harness.errors import ConfigError, DataError
from harness.sampling import EpisodeRows, FixedSampler, choose_images, shape_problems
from harness.seeds import counter_rng, stream_id, torch_seed

PINNED = ([81, 87, 33], [1633, 1756, 662], [1632, 1631, 1753, 1749, 670, 679])
PINNED_STREAM = 8349997501145161941
PINNED_SEED = 8378053561993269294


def sampler(sizes: list[int], *, seed: int = 0, stream: str = "glyphs/test", **shape: int) -> FixedSampler:
    return FixedSampler(sizes, EpisodeShape(**shape), seed=seed, stream=stream)


def same(one: EpisodeRows, other: EpisodeRows) -> bool:
    return all(np.array_equal(vars(one)[name], vars(other)[name]) for name in vars(one))


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[int], EpisodeShape, int, int]:
    shape = EpisodeShape(
        n_way=draw(st.integers(2, 8)), n_shot=draw(st.integers(1, 4)), n_query=draw(st.integers(1, 4))
    )
    least = shape.n_shot + shape.n_query
    sizes = draw(st.lists(st.integers(least, least + 5), min_size=shape.n_way, max_size=12))
    return sizes, shape, draw(st.integers(0, 2**31)), draw(st.integers(0, 10**9))


@settings(deadline=None, max_examples=200)
@given(cases())
def test_every_episode_is_well_formed(case: tuple[list[int], EpisodeShape, int, int]) -> None:
    sizes, shape, seed, k = case
    rows = FixedSampler(sizes, shape, seed=seed, stream="s")[k]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    assert len(set(rows.classes)) == len(rows.classes) == shape.n_way
    assert Counter(rows.support_y) == dict.fromkeys(range(shape.n_way), shape.n_shot)
    assert Counter(rows.query_y) == dict.fromkeys(range(shape.n_way), shape.n_query)
    assert np.array_equal(owner[rows.support], rows.classes[rows.support_y])
    assert np.array_equal(owner[rows.query], rows.classes[rows.query_y])
    together = [*rows.support, *rows.query]
    assert len(set(together)) == len(together)


def test_episode_k_does_not_depend_on_what_was_drawn_before() -> None:
    sizes, shape = [20] * 30, {"n_way": 5, "n_shot": 1, "n_query": 3}
    forwards = [sampler(sizes, **shape)[k] for k in range(20)]
    one = sampler(sizes, **shape)
    backwards = [one[k] for k in reversed(range(20))][::-1]
    assert all(map(same, forwards, backwards))
    assert not any(same(a, b) for a, b in pairwise(forwards))


@pytest.mark.parametrize("other", [{"seed": 1}, {"stream": "glyphs/valid"}, {"stream": "digits/test"}])
def test_seeds_and_streams_are_independent(other: dict[str, object]) -> None:
    shape = {"n_way": 5, "n_shot": 1, "n_query": 1}
    first, second = sampler([9] * 40, **shape), sampler([9] * 40, **shape, **other)  # type: ignore[arg-type]
    assert sum(same(first[k], second[k]) for k in range(50)) == 0


def test_the_order_within_a_class_is_shuffled() -> None:
    """Neighbours on disk may be near copies; taken in order they would fall on both sides."""
    picks = np.array([choose_images(counter_rng(0, "s", k), 30, 2) for k in range(3000)])
    assert np.mean(np.abs(picks[:, 0] - picks[:, 1]) == 1) == pytest.approx(2 / 30, abs=0.015)
    # Each of 30 images equally often first: chi-square with 29 degrees of freedom, 99.9 % point 58.3.
    counts = np.bincount(picks[:, 0], minlength=30)
    assert ((counts - 100) ** 2 / 100).sum() < 58.3


def test_classes_and_their_labels_are_uniform() -> None:
    one = sampler([5] * 10, n_way=2, n_shot=1, n_query=1)
    draws = np.array([one[k].classes for k in range(3000)])
    for label in range(2):
        counts = np.bincount(draws[:, label], minlength=10)
        assert ((counts - 300) ** 2 / 300).sum() < 27.9  # 9 degrees of freedom, 99.9 % point


def test_known_episode() -> None:
    """Pinned: if these change, results change, and PROTOCOL_VERSION must be raised."""
    rows = sampler([20] * 100, n_way=3, n_shot=1, n_query=2)[7]
    assert (rows.classes.tolist(), rows.support.tolist(), rows.query.tolist()) == PINNED
    assert stream_id("glyphs/test") == PINNED_STREAM
    assert torch_seed(0, "init") == PINNED_SEED


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([20] * 4, "has 4 classes, fewer than the 5 ways"),
        ([20, 20, 3, 20, 20], "only 3 images, fewer than the 4"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(sizes: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        sampler(sizes, n_way=5, n_shot=1, n_query=3)
    assert len(shape_problems("x", sizes, EpisodeShape(n_way=5, n_shot=1, n_query=3))) == 1


@pytest.mark.parametrize("wrong", [{"n_way": 1}, {"n_shot": 0}, {"n_query": 1.5}, {"n_way": True}])
def test_wrong_shapes_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=rf"EpisodeShape\.{next(iter(wrong))}"):
        EpisodeShape(**wrong)  # type: ignore[arg-type]
