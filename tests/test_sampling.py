"""Which images make up an episode."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.episode import EpisodeShape, VariableShape
from harness.errors import ConfigError, DataError
from harness.sampling import (
    NODES,
    SUPERCLASSES,
    EpisodeRows,
    FixedSampler,
    IntArray,
    choose_images,
    shape_problems,
)
from harness.seeds import counter_rng, stream_id, torch_seed
from harness.variable_sampling import make_sampler

PINNED = ([46, 64, 99], [937, 1285, 1992], [1985, 933, 1282, 920, 1990, 1294])
PINNED_STREAM = 8349997501145161941
PINNED_SEED = 4546473859989747301


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


def test_the_place_of_a_query_says_nothing_about_its_label() -> None:
    one = sampler([20] * 10, n_way=5, n_shot=1, n_query=3)
    labels = np.array([one[k].query_y for k in range(3000)])
    for place in range(15):
        counts = np.bincount(labels[:, place], minlength=5)
        assert ((counts - 600) ** 2 / 600).sum() < 18.5  # 4 degrees of freedom, 99.9 % point
    assert np.mean(labels[:, 0] == labels[:, 1]) == pytest.approx(2 / 14, abs=0.03)
    assert all((np.bincount(row, minlength=5) == 3).all() for row in labels)


def test_known_episode() -> None:
    """Pinned: if these change, results change, and PROTOCOL_VERSION must be raised."""
    rows = sampler([20] * 100, n_way=3, n_shot=1, n_query=2)[7]
    assert (rows.classes.tolist(), rows.support.tolist(), rows.query.tolist()) == PINNED
    assert stream_id("glyphs/test") == PINNED_STREAM
    assert torch_seed(0, "init") == PINNED_SEED


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([20] * 4, "has 4 classes, fewer than the 5 ways asked for: lower n_way to at most 4"),
        ([], "has 0 classes, fewer than the 5 ways asked for: use another source or split"),
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


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_way": 1}, r"VariableShape\.min_way must be a whole number of at least 2; got 1"),
        ({"min_way": 5.0}, r"VariableShape\.min_way must be a whole number; got 5\.0"),
        ({"min_way": 51}, r"VariableShape\.max_way must be a whole number of at least 51; got 50"),
        ({"n_way": 1}, r"VariableShape\.n_way must be a whole number of at least 2; got 1"),
        ({"n_way": True}, r"VariableShape\.n_way must be a whole number or None; got True"),
        ({"max_query": 0}, r"VariableShape\.max_query must be a whole number of at least 1; got 0"),
        ({"max_counted": 0}, r"VariableShape\.max_counted must be a whole number of at least 1; got 0"),
        ({"max_support": 49}, r"VariableShape\.max_support must be at least 50, .* got 49"),
        ({"n_way": 60, "max_support": 59}, r"VariableShape\.max_support must be at least 60, .* got 59"),
        ({"max_log_weight": -1}, r"VariableShape\.max_log_weight must be at least min_log_weight"),
        ({"max_log_weight": 1e308}, r"VariableShape\.max_log_weight .* at most 100 above it"),
        ({"min_log_weight": float("nan")}, r"VariableShape\.min_log_weight must be a finite number"),
        ({"grouped": 1}, r"VariableShape\.grouped must be True or False; got 1"),
    ],
)
def test_wrong_bounds_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        VariableShape(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "protocol", "text", "most_way"),
    [
        (EpisodeShape(), "fixed", "5-way 1-shot, 15 queries a class", 5),
        (VariableShape(), "meta_dataset", "5 to 50 ways, shots and queries as in Meta-Dataset", 50),
        (
            VariableShape(n_way=20, max_support=40),
            "fixed_way_variable_shot(max_support=40)",
            "20 ways, shots and queries as in Meta-Dataset with max_support=40",
            20,
        ),
        # A fixed number of ways is drawn from all classes with or without groups: the same protocol.
        (
            VariableShape(n_way=5, max_way=7, grouped=False),
            "fixed_way_variable_shot",
            "5 ways, shots and queries as in Meta-Dataset",
            5,
        ),
        (
            VariableShape(max_way=20, grouped=False),
            "meta_dataset(max_way=20, grouped=False)",
            "5 to 20 ways, shots and queries as in Meta-Dataset with grouped=False",
            20,
        ),
    ],
)
def test_shapes_name_their_protocol(
    shape: EpisodeShape | VariableShape, protocol: str, text: str, most_way: int
) -> None:
    assert (shape.protocol, str(shape), shape.most_way) == (protocol, text, most_way)


def test_the_weights_of_the_default_protocol_are_a_half_and_two() -> None:
    shape = VariableShape()
    assert (shape.min_log_weight, shape.max_log_weight) == (np.log(0.5), np.log(2))


def disjoint(*sizes: int) -> list[IntArray]:
    """Groups of so many classes, none in two of them."""
    ends = np.cumsum(sizes)
    return [np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)]


PROBLEMS: list[tuple[list[int], dict[str, object], list[IntArray] | None, str | None, str]] = [
    (
        [20] * 4,
        {},
        None,
        None,
        "x has 4 classes, fewer than the 5 ways asked for: lower min_way to at most 4",
    ),
    ([], {}, None, None, "x has 0 classes, fewer than the 5 ways asked for: use another source or split"),
    ([20] * 4, {"n_way": 6}, None, None, "fewer than the 6 ways asked for: lower n_way to at most 4"),
    ([20, 1, 9, 1, 5], {}, None, None, "x has 2 of 5 classes with fewer than the 2 images"),
    (
        [20] * 9,
        {},
        disjoint(6, 3),
        SUPERCLASSES,
        "1 of 2 superclasses with .*, the smallest with 3: lower min_way",
    ),
    ([20] * 7, {}, disjoint(6, 1), SUPERCLASSES, "the smallest with 1: set VariableShape.grouped = False"),
    ([20] * 8, {}, disjoint(4, 4), NODES, "has no nodes that span 5 to 392 classes"),
    ([20] * 400, {}, [np.arange(400)], NODES, "has no nodes that span 5 to 392 classes"),
    ([20] * 8, {}, [], SUPERCLASSES, "has no superclasses, of which"),
    (
        [20] * 8,
        {},
        disjoint(8),
        "families",
        "groups of the kind 'families', not one of 'nodes', 'superclasses'",
    ),
    ([20] * 8 + [1], {}, [np.arange(8), np.arange(9)], NODES, "x has 1 of 9 classes with fewer than"),
]


@pytest.mark.parametrize(("sizes", "given_shape", "groups", "kind", "message"), PROBLEMS)
def test_what_cannot_be_drawn_is_said_beforehand(
    sizes: list[int],
    given_shape: dict[str, object],
    groups: list[IntArray] | None,
    kind: str | None,
    message: str,
) -> None:
    shape = VariableShape(**given_shape)  # type: ignore[arg-type]
    assert len(shape_problems("x", sizes, shape, groups=groups, kind=kind)) == 1
    with pytest.raises(DataError, match=message):
        make_sampler(sizes, shape, groups=groups, kind=kind, seed=0, stream="x")


def test_all_problems_are_listed_and_only_classes_that_can_be_drawn_matter() -> None:
    assert len(shape_problems("x", [20, 1, 1], VariableShape())) == 2
    below = [np.arange(5), np.arange(5, 7)]  # the second node is too small to be drawn
    assert shape_problems("x", [20] * 5 + [1, 1], VariableShape(), groups=below, kind=NODES) == []
    assert shape_problems("x", [2] * 5, VariableShape()) == []
    assert (
        shape_problems("x", [20] * 8, VariableShape(grouped=False), groups=disjoint(4, 4), kind=NODES) == []
    )
