"""Episodes of varying size: every bound by its name, and every episode well-formed.

tests/test_meta_dataset_episodes.py compares their distributions with those of Meta-Dataset's own sampler.
"""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.episode import EpisodeShape, VariableShape
from harness.sampling import (
    LARGEST_NODE,
    NODES,
    SUPERCLASSES,
    EpisodeRows,
    FixedSampler,
    IntArray,
    eligible_groups,
)
from harness.seeds import counter_rng
from harness.variable_sampling import (
    VariableSampler,
    choose_way,
    choose_way_and_classes,
    compose,
    make_sampler,
    query_per_class,
    shots_per_class,
    support_size,
)

PINNED = {
    None: ([3, 9, 5], [22, 26, 65, 66, 41], [0, 0, 1, 1, 2], [25, 64, 39, 36, 68, 24]),
    SUPERCLASSES: ([9, 7], [68, 63, 67, 55, 54], [0, 0, 0, 1, 1], [51, 69, 50, 65]),
    NODES: ([5, 9, 7], [36, 40, 65, 66, 55], [0, 0, 1, 1, 2], [39, 64, 53, 50, 68, 38]),
}


def rng(k: int) -> np.random.Generator:
    return counter_rng(0, "test", k)


def numbers(*sizes: int) -> list[IntArray]:
    """Disjoint groups of these sizes."""
    ends = np.cumsum(sizes)
    return [np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def evenly(counts: Counter[int], values: range) -> bool:
    """Chi-square of equal frequencies of exactly these values, at the point that 0.1 % of fair draws exceed."""
    expected, free = counts.total() / len(values), len(values) - 1
    distance = sum((counts[value] - expected) ** 2 / expected for value in values)
    wilson_hilferty = free * (1 - 2 / (9 * free) + 3.09 * math.sqrt(2 / (9 * free))) ** 3
    return set(counts) == set(values) and distance < wilson_hilferty


@pytest.mark.parametrize(("n_classes", "least", "most"), [(100, 5, 50), (50, 5, 50), (12, 5, 12), (5, 5, 5)])
def test_ways_are_uniform_up_to_max_way_or_the_number_of_classes(
    n_classes: int, least: int, most: int
) -> None:
    ways = Counter(choose_way(rng(k), n_classes, VariableShape()) for k in range(4000))
    assert evenly(ways, range(least, most + 1)) if most > least else set(ways) == {5}


def test_a_fixed_number_of_ways_is_not_drawn_and_ignores_the_groups() -> None:
    shape = VariableShape(n_way=7, min_way=2, max_way=3)
    sizes = [30] * 20
    sampler = VariableSampler(sizes, shape, groups=numbers(10, 10), kind=SUPERCLASSES, seed=0, stream="s")
    classes = [sampler[k].classes for k in range(50)]
    assert {len(chosen) for chosen in classes} == {7}
    assert any(len({c // 10 for c in chosen}) == 2 for chosen in classes)


def test_classes_without_groups_are_uniform_and_their_labels_too() -> None:
    drawn = [choose_way_and_classes(rng(k), 8, VariableShape(), None, None) for k in range(4000)]
    assert evenly(Counter(int(classes[0]) for classes in drawn), range(8))
    assert all(len(set(classes)) == len(classes) for classes in drawn)


def test_a_superclass_is_drawn_uniformly_then_ways_then_its_classes() -> None:
    """Uniformly over superclasses of 5, 8 and 60 classes, whatever their size; never of two."""
    groups = numbers(5, 8, 60)
    borders = np.array([5, 13, 73])
    drawn = [choose_way_and_classes(rng(k), 73, VariableShape(), groups, SUPERCLASSES) for k in range(6000)]
    owners = [set(np.searchsorted(borders, classes, side="right").tolist()) for classes in drawn]
    assert all(len(owner) == 1 for owner in owners)
    assert evenly(Counter(one for owner in owners for one in owner), range(3))
    for group, most in enumerate((5, 8, 50)):
        ways = Counter(len(classes) for classes, owner in zip(drawn, owners, strict=True) if owner == {group})
        assert set(ways) == {5} if most == 5 else evenly(ways, range(5, most + 1))


def test_an_eligible_node_gives_all_its_classes_or_max_way_of_them() -> None:
    """No number of ways is drawn, and the labels are shuffled."""
    groups = [np.arange(3, 9), np.arange(0, 60)]
    drawn = [choose_way_and_classes(rng(k), 60, VariableShape(), groups, NODES) for k in range(4000)]
    assert evenly(Counter(len(classes) for classes in drawn), range(6, 51, 44))
    small = [classes for classes in drawn if len(classes) == 6]
    assert all(set(classes) == set(range(3, 9)) for classes in small)
    assert evenly(Counter(int(classes[0]) for classes in small), range(3, 9))
    assert evenly(Counter(int(c) for classes in drawn if len(classes) == 50 for c in classes), range(60))


def test_nodes_are_eligible_from_min_way_to_392_classes() -> None:
    groups = [np.arange(n) for n in (4, 5, 50, LARGEST_NODE, LARGEST_NODE + 1)]
    found = eligible_groups(VariableShape(), groups, NODES)
    assert found is not None
    assert [len(group) for group in found] == [5, 50, 392]
    twice = eligible_groups(VariableShape(), [np.arange(6), np.arange(6)], NODES)
    assert twice is not None
    assert len(twice) == 2
    assert eligible_groups(VariableShape(), None, None) is None
    assert eligible_groups(VariableShape(grouped=False), groups, NODES) is None
    assert eligible_groups(VariableShape(n_way=5), groups, NODES) is None


@pytest.mark.parametrize(
    ("sizes", "expected"), [([30, 21, 20], 10), ([30, 19], 9), ([100, 5], 2), ([3, 9], 1), ([2, 2], 1)]
)
def test_queries_are_max_query_or_half_of_the_smallest_class(sizes: list[int], expected: int) -> None:
    assert query_per_class(np.array(sizes), VariableShape()) == expected
    assert query_per_class(np.array(sizes), VariableShape(max_query=1)) == 1


@pytest.mark.parametrize(
    ("sizes", "most"),
    [
        ([20] * 6, 60),  # 10 remain of each
        ([1000] * 4, 400),  # 100 counted of each
        ([1000] * 3 + [30], 320),
        ([1000] * 50, 500),  # max_support
    ],
)
def test_support_size_goes_from_one_image_a_class_to_all_that_counts(sizes: list[int], most: int) -> None:
    drawn = [support_size(rng(k), np.array(sizes), 10, VariableShape()) for k in range(3000)]
    assert len(sizes) <= min(drawn) < len(sizes) + most * 0.02
    assert most * 0.99 < max(drawn) <= most
    for k, size in enumerate(drawn[:200]):
        beta = rng(k).random()
        assert size == min(500, sum(math.floor(beta * min(100, n - 10) + 1) for n in sizes))


def test_max_counted_and_max_support_bound_the_support_size() -> None:
    sizes, shape = np.array([1000] * 6), VariableShape(max_counted=7, max_support=50)
    drawn = [support_size(rng(k), sizes, 10, shape) for k in range(500)]
    assert set(drawn) == set(range(6, 43, 6))  # one β for all classes: they count alike
    assert max(support_size(rng(k), sizes, 10, VariableShape(max_support=50)) for k in range(99)) == 50


@pytest.mark.parametrize("n_support", [6, 7, 60, 500])
@pytest.mark.parametrize("sizes", [[20] * 6, [300, 20, 25, 1000, 60, 40], [22, 20, 21, 20, 90_000, 20]])
def test_shots_follow_class_sizes_and_weights(sizes: list[int], n_support: int) -> None:
    """Against Meta-Dataset's formula in plain Python."""
    for k in range(100):
        shots = shots_per_class(rng(k), np.array(sizes), 10, n_support, VariableShape())
        weights = [
            size * math.exp(a)
            for size, a in zip(sizes, rng(k).uniform(math.log(0.5), math.log(2), 6), strict=True)
        ]
        share = [weight / sum(weights) * (n_support - 6) for weight in weights]
        assert shots.tolist() == [
            min(math.floor(part) + 1, size - 10) for part, size in zip(share, sizes, strict=True)
        ]
        assert shots.min() >= 1
        assert shots.sum() <= n_support


def test_log_weights_bound_how_unequal_the_shots_are() -> None:
    sizes = np.array([10_000] * 2)
    level = VariableShape(min_log_weight=0.0, max_log_weight=0.0)
    assert shots_per_class(rng(0), sizes, 10, 101, level).tolist() == [50, 50]
    ratios = [
        (s[0] - 1) / (s[1] - 1)
        for s in (shots_per_class(rng(k), sizes, 10, 10_002, VariableShape()) for k in range(3000))
    ]
    assert 0.25 <= min(ratios) < 0.28
    assert 3.6 < max(ratios) <= 4.01
    steep = VariableShape(min_log_weight=600.0, max_log_weight=700.0)
    assert shots_per_class(rng(0), sizes, 10, 500, steep).min() >= 1


def test_images_are_shuffled_within_their_class() -> None:
    """Neighbours on disk may be near copies; a run of them must not be cut into support and query."""
    sampler = VariableSampler([30] * 5, VariableShape(), seed=0, stream="s")
    episodes = [sampler[k] for k in range(3000)]
    query = Counter(int(row) for rows in episodes for row in rows.query)
    assert evenly(query, range(150))
    first = np.array([rows.query[rows.query_y == 0][:2] for rows in episodes])
    assert np.mean(np.abs(first[:, 0] - first[:, 1]) == 1) == pytest.approx(2 / 30, abs=0.015)


def test_the_place_of_a_query_says_nothing_about_its_label() -> None:
    sampler = VariableSampler([30] * 8, VariableShape(n_way=5), seed=0, stream="s")
    labels = np.array([sampler[k].query_y for k in range(2000)])
    for place in (0, 1, 24, 49):
        assert evenly(Counter(labels[:, place].tolist()), range(5))
    assert np.mean(labels[:, 0] == labels[:, 1]) == pytest.approx(9 / 49, abs=0.03)


def test_the_cost_of_a_class_goes_with_the_images_drawn() -> None:
    """A permutation of classes of 10^12 images would need terabytes."""
    rows = VariableSampler([10**12] * 6, VariableShape(), seed=0, stream="s")[0]
    assert len(np.unique(rows.support)) == len(rows.support)
    assert rows.query.max() > 10**12


@dataclass(frozen=True)
class Case:
    sizes: list[int]
    shape: VariableShape
    groups: list[IntArray] | None
    kind: str | None
    seed: int
    k: int


@st.composite
def shapes(draw: st.DrawFn) -> VariableShape:
    least = draw(st.integers(2, 4))
    most = draw(st.integers(least, 9))
    n_way = draw(st.none() | st.integers(2, 4))
    low = draw(st.floats(-5, 5))
    return VariableShape(
        min_way=least,
        max_way=most,
        max_query=draw(st.integers(1, 12)),
        max_support=draw(st.integers(max(most, n_way or 0), 80)),
        max_counted=draw(st.integers(1, 30)),
        min_log_weight=low,
        max_log_weight=low + draw(st.floats(0, 5)),
        n_way=n_way,
        grouped=draw(st.booleans()),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Flat, in superclasses that are runs of classes, or below nodes, which are any sets of classes."""
    shape, kind = draw(shapes()), draw(st.sampled_from([None, SUPERCLASSES, NODES]))
    groups = None
    n_classes = draw(st.integers(4, 15))
    if kind == SUPERCLASSES:
        groups = numbers(*draw(st.lists(st.integers(4, 12), min_size=1, max_size=4)))
        n_classes = sum(map(len, groups))
    elif kind == NODES:
        sets = st.lists(st.sets(st.integers(0, n_classes - 1), min_size=1), max_size=5)
        groups = [np.array(sorted(one)) for one in [*draw(sets), set(range(n_classes))]]
    sizes = draw(st.lists(st.integers(2, 40), min_size=n_classes, max_size=n_classes))
    return Case(sizes, shape, groups, kind, draw(st.integers(0, 2**31)), draw(st.integers(0, 10**9)))


def sample(case: Case) -> EpisodeRows:
    return VariableSampler(
        case.sizes, case.shape, groups=case.groups, kind=case.kind, seed=case.seed, stream="s"
    )[case.k]


@settings(deadline=None, max_examples=400)
@given(cases())
def test_every_episode_is_well_formed(case: Case) -> None:
    rows, shape, sizes = sample(case), case.shape, np.array(case.sizes)
    n_way = len(rows.classes)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    assert len(set(rows.classes)) == n_way
    assert n_way == shape.n_way if shape.n_way else shape.min_way <= n_way <= shape.max_way
    assert np.array_equal(owner[rows.support], rows.classes[rows.support_y])
    assert np.array_equal(owner[rows.query], rows.classes[rows.query_y])
    together = [*rows.support, *rows.query]
    assert len(set(together)) == len(together)
    n_query = min(shape.max_query, min(sizes[rows.classes]) // 2)
    assert Counter(rows.query_y) == dict.fromkeys(range(n_way), n_query)
    assert set(rows.support_y) == set(range(n_way))
    assert len(rows.support) <= shape.max_support
    assert np.array_equal(rows.support_y, np.sort(rows.support_y))
    assert {array.dtype for array in vars(rows).values()} == {np.dtype(np.int64)}
    if case.groups and shape.grouped and shape.n_way is None:
        whole = [set(group.tolist()) for group in case.groups]
        chosen = set(rows.classes.tolist())
        if case.kind == NODES:
            assert any(chosen == group or (chosen < group and n_way == shape.max_way) for group in whole)
        else:
            assert any(chosen <= group for group in whole)


@settings(deadline=None, max_examples=50)
@given(cases())
def test_episode_k_is_pure_and_has_the_composition_that_its_counter_gives(case: Case) -> None:
    one, other = sample(case), sample(case)
    assert all(np.array_equal(vars(one)[name], vars(other)[name]) for name in vars(one))
    drawn_from = eligible_groups(case.shape, case.groups, case.kind)
    counter = counter_rng(case.seed, "s", case.k)
    made = compose(counter, np.array(case.sizes), case.shape, drawn_from, case.kind)
    assert np.array_equal(made.classes, one.classes)
    assert np.array_equal(made.shots, np.bincount(one.support_y))
    assert made.n_query * len(made.classes) == len(one.query)


@pytest.mark.parametrize("kind", PINNED)
def test_known_episode(kind: str | None) -> None:
    """Pinned: if these change, results change, and PROTOCOL_VERSION must be raised."""
    shape = VariableShape(min_way=2, max_way=3, max_query=2, max_support=6)
    groups = numbers(4, 6) if kind else None
    rows = make_sampler([7] * 10, shape, groups=groups, kind=kind, seed=0, stream="glyphs/test")[7]
    found = (rows.classes.tolist(), rows.support.tolist(), rows.support_y.tolist(), rows.query.tolist())
    assert found == PINNED[kind]


def test_make_sampler_draws_fixed_shapes_from_all_classes() -> None:
    shape = EpisodeShape(n_way=4, n_shot=1, n_query=1)
    made = make_sampler([9] * 6, shape, groups=numbers(3, 3), kind=SUPERCLASSES, seed=3, stream="s")
    assert np.array_equal(made[5].support, FixedSampler([9] * 6, shape, seed=3, stream="s")[5].support)
