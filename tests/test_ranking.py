"""Rankings: Meta-Dataset's rule against its published ranks, the paired rule against known truths."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.errors import ConfigError
from harness.ranking import _cliques, paired_ranking, published_ranks, ranks

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "meta_dataset_leaderboard.csv"


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    if not GOLDEN.is_file():
        pytest.skip(f"no published leaderboard at {GOLDEN}")
    return pd.read_csv(GOLDEN)


def test_the_published_ranks_come_out_all_of_them(published: pd.DataFrame) -> None:
    checked = 0
    for _, rows in published.groupby(["training", "source"]):
        found = published_ranks(rows["mean_accuracy_percent"].tolist(), rows["ci95_percent"].tolist())
        assert found.tolist() == rows["rank"].tolist()
        checked += len(rows)
    assert checked == 350


def test_the_published_averages_come_out_all_of_them(published: pd.DataFrame) -> None:
    found = published.assign(
        own=published.groupby(["training", "source"], group_keys=False)[
            ["mean_accuracy_percent", "ci95_percent"]
        ].apply(
            lambda rows: pd.Series(
                published_ranks(rows["mean_accuracy_percent"].tolist(), rows["ci95_percent"].tolist()),
                index=rows.index,
            )
        )
    )
    averages = found.groupby(["training", "method"])["own"].mean()
    given = found.groupby(["training", "method"])["average_rank"].first()
    assert len(averages) == 35
    # The published averages have one or two decimals.
    assert (averages - given).abs().max() <= 0.0501


def test_ties_are_with_the_best_that_is_left_and_do_not_chain() -> None:
    assert published_ranks([90, 85, 80], [4, 4, 4]).tolist() == [1.5, 1.5, 3]
    assert published_ranks([80, 90, 85], [4, 4, 4]).tolist() == [3, 1.5, 1.5]
    assert published_ranks([1, 1, 1, 1], [0, 0, 0, 0]).tolist() == [2.5] * 4
    assert ranks([3.0, 2.0, 1.0], lambda *_: False).tolist() == [1, 2, 3]
    assert published_ranks([50.0, 45.0], [3.0, 4.0]).tolist() == [1.5, 1.5]  # exactly √(9 + 16)


@pytest.mark.parametrize("wrong", [([1.0], [1.0, 2.0]), ([float("nan")], [1.0]), ([1.0], [float("inf")])])
def test_what_is_no_number_is_not_ranked(wrong: tuple[list[float], list[float]]) -> None:
    with pytest.raises(ConfigError, match="needs a mean and an interval"):
        published_ranks(*wrong)


def drawn(
    levels: dict[str, float],
    *,
    sources: int = 3,
    seeds: int = 3,
    episodes: int = 200,
    noise: float = 0.05,
    seed_noise: float = 0.0,
    draw: int = 0,
) -> pd.DataFrame:
    """Episodes of methods whose true accuracies differ by `levels`; what is shared by an episode has sd 0.15."""
    rng = np.random.default_rng(draw)
    rows = []
    for source in range(sources):
        for seed in range(seeds):
            shared = rng.normal(0.6 - 0.1 * source, 0.15, episodes)
            for method, level in levels.items():
                own = shared + level + rng.normal(0, noise, episodes) + rng.normal(0, seed_noise)
                rows.append(
                    pd.DataFrame(
                        {
                            "method": method,
                            "source": f"s{source}",
                            "seed": seed,
                            "episode": range(episodes),
                            "accuracy": own,
                        }
                    )
                )
    return pd.concat(rows, ignore_index=True)


def test_pairing_tells_apart_what_intervals_cannot() -> None:
    frame = drawn({"a": 0.0, "b": -0.015, "c": -0.015}, seeds=4, episodes=100, noise=0.02, draw=1)
    found = paired_ranking(frame)
    assert found.by_source["a"].tolist() == [1, 1, 1]
    assert found.average["a"] == 1
    assert found.p.loc["a", "b"] < 0.01
    assert found.cliques == (("b", "c"),) or found.cliques == (("c", "b"),)
    means = frame.groupby(["source", "method"])["accuracy"].agg(["mean", "std", "size"]).loc["s0"]
    width = 1.96 * means["std"] / np.sqrt(means["size"])
    # As if each had been tested on episodes of its own: all tie.
    assert published_ranks(means["mean"].tolist(), width.tolist()).tolist() == [2, 2, 2]


def test_equal_methods_are_rarely_told_apart() -> None:
    """Of studies of three equal methods, at most 5 % may tell any two apart, seeds that differ or not."""
    for seed_noise in (0.0, 0.02):
        studies = [
            paired_ranking(drawn(dict.fromkeys("abc", 0.0), episodes=30, seed_noise=seed_noise, draw=k))
            for k in range(60)
        ]
        false = sum(len(study.cliques) != 1 or len(study.cliques[0]) != 3 for study in studies)
        assert false <= 8  # 3 are expected of 60 at most; P(more than 8) < 1 %


def test_seeds_that_disagree_are_counted() -> None:
    calm = paired_ranking(drawn({"a": 0.0, "b": -0.01}, draw=3))
    wild = paired_ranking(drawn({"a": 0.0, "b": -0.01}, seed_noise=0.05, draw=3))
    assert calm.p.loc["a", "b"] < 0.01 < wild.p.loc["a", "b"]


def test_cliques_overlap_where_neighbours_cannot_be_told_apart() -> None:
    frame = drawn({"a": 0.0, "b": -0.006, "c": -0.012}, sources=1, seeds=1, episodes=150, draw=5)
    p = paired_ranking(frame).p
    assert p.loc["a", "c"] < 0.05
    assert min(p.loc["a", "b"], p.loc["b", "c"]) >= 0.05
    assert paired_ranking(frame).cliques == (("a", "b"), ("b", "c"))


def test_methods_without_the_same_episodes_are_refused() -> None:
    frame = drawn({"a": 0.0, "b": 0.0})
    with pytest.raises(ConfigError, match=r"The methods 'b' lack episodes that others have"):
        paired_ranking(frame[(frame["method"] == "a") | (frame["episode"] < 100)])


def test_cliques_are_all_that_cannot_be_told_apart_also_where_ranks_tie() -> None:
    """Against every subset of the methods, tried one by one."""
    order = list("abcdef")
    for draw in range(20):
        upper = np.triu(np.random.default_rng(draw).random((6, 6)) < 0.5, 1)
        apart = upper | upper.T
        p = pd.DataFrame(np.where(apart, 0.01, 0.5), index=pd.Index(order), columns=pd.Index(order))
        alike = [
            set(some)
            for size in range(2, 7)
            for some in combinations(range(6), size)
            if not any(apart[i, j] for i, j in combinations(some, 2))
        ]
        largest = [some for some in alike if not any(some < other for other in alike)]
        found = _cliques(order, p)
        assert sorted(found) == sorted(tuple(order[i] for i in sorted(some)) for some in largest)
