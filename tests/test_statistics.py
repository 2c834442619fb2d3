import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_runs import episode_rows
from harness.errors import ConfigError
from harness.results import LEADERBOARD_COLUMNS
from harness.statistics import (
    DIFFERENCE_COLUMNS,
    cell_differences,
    interval,
    leaderboard,
    paired_differences,
    with_shots,
)

shares = st.floats(0, 1, allow_nan=False)


def stacked(*frames: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)


def test_one_seed_has_the_interval_of_meta_dataset():
    board = leaderboard(episode_rows([0.2, 0.4, 0.6, 0.8]))
    assert tuple(board.columns) == LEADERBOARD_COLUMNS
    row = board.iloc[0]
    assert row["accuracy"] == pytest.approx(0.5)
    # Deviations ±0.3 and ±0.1: variance (0.09 + 0.01) / 2 = 0.05.
    assert row["ci95"] == pytest.approx(1.96 * math.sqrt(0.05) / 2)
    assert (row["n_episodes"], row["n_seeds"], row["shots"]) == (4, 1, 1.0)


def test_seeds_that_disagree_widen_the_interval():
    frame = stacked(
        episode_rows([0.5] * 50), episode_rows([0.6] * 50, seed=1), episode_rows([0.7] * 50, seed=2)
    )
    row = leaderboard(frame).iloc[0]
    assert row["accuracy"] == pytest.approx(0.6)
    # Means .5, .6, .7: std with ddof 1 is 0.1; t(0.975, 2) = 4.302653.
    assert row["ci95"] == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-6)
    assert row["n_seeds"] == 3


def test_seeds_that_agree_keep_the_episodes_interval():
    frame = stacked(*(episode_rows([0.2, 0.8] * 10, seed=seed) for seed in range(3)))
    assert leaderboard(frame)["ci95"].item() == pytest.approx(1.96 * 0.3 / math.sqrt(60))


@given(st.lists(st.lists(shares, min_size=1, max_size=6), min_size=1, max_size=4))
def test_the_interval_is_never_narrower_than_the_pooled_one(seeds):
    values = np.array([value for seed in seeds for value in seed])
    labels = np.array([index for index, seed in enumerate(seeds) for _ in seed])
    assert interval(values, labels) >= 1.96 * values.std() / math.sqrt(len(values)) - 1e-12


def test_the_interval_of_nothing_is_not_a_number():
    assert math.isnan(interval(np.array([]), np.array([], dtype=np.int64)))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("batch_norm", "support"),
        ("selection", "last"),
        ("adaptation_steps", 5),
        ("image_size", 84),
        ("protocol", 2),
    ],
)
def test_other_conditions_are_other_rows(column, value):
    board = leaderboard(stacked(episode_rows([0.2, 0.2]), episode_rows([0.8, 0.8], **{column: value})))
    assert sorted(board["accuracy"]) == pytest.approx([0.2, 0.8])
    assert board[column].nunique() == 2


def test_other_shapes_are_other_rows():
    board = leaderboard(stacked(episode_rows([0.2]), episode_rows([0.8], n_support=25)))
    assert board["shots"].tolist() == [1.0, 5.0]


def test_no_episodes_make_an_empty_board_with_all_columns():
    board = leaderboard(episode_rows([]))
    assert board.empty
    assert tuple(board.columns) == LEADERBOARD_COLUMNS


def test_two_runs_of_one_place_are_refused_by_name():
    frame = stacked(episode_rows([0.5, 0.6], run_id="old"), episode_rows([0.7, 0.8], run_id="new"))
    with pytest.raises(ConfigError, match="'new', 'old'"):
        leaderboard(frame)


def test_two_networks_in_one_row_are_refused():
    frame = stacked(episode_rows([0.5]), episode_rows([0.7], seed=1, network="conv6"))
    with pytest.raises(ConfigError, match="'conv4', 'conv6'"):
        leaderboard(frame)


def test_the_order_of_rows_does_not_matter():
    frame = stacked(episode_rows([0.1, 0.5, 0.9]), episode_rows([0.3, 0.4], method="anil"))
    mixed = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    pd.testing.assert_frame_equal(leaderboard(frame), leaderboard(mixed))


def test_a_difference_is_that_of_the_same_episodes():
    a, b = [0.9, 0.7, 0.8], [0.6, 0.6, 0.6]
    found = paired_differences(stacked(episode_rows(a, method="a"), episode_rows(b, method="b")), "a", "b")
    assert tuple(found.columns) == DIFFERENCE_COLUMNS
    row = found.iloc[0]
    gaps = np.subtract(a, b)
    assert row["difference"] == pytest.approx(0.2)
    assert row["ci95"] == pytest.approx(1.96 * gaps.std() / math.sqrt(3))
    assert row["n_episodes"] == 3


def test_only_common_episodes_are_paired():
    a = episode_rows([0.9, 0.9, 0.1], method="a")
    b = episode_rows([0.5, 0.5], method="b")
    row = paired_differences(stacked(a, b.iloc[::-1]), "a", "b").iloc[0]
    assert (row["n_episodes"], row["difference"]) == (2, pytest.approx(0.4))


def test_episodes_of_other_seeds_are_not_paired():
    frame = stacked(episode_rows([0.9], method="a"), episode_rows([0.5], method="b", seed=1))
    assert paired_differences(frame, "a", "b").empty


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(shares, shares), min_size=1, max_size=8), st.integers(1, 2))
def test_differences_change_sign_with_the_order(pairs, seeds):
    frame = stacked(
        *(
            episode_rows([pair[side] for pair in pairs], method="ab"[side], seed=seed)
            for side in (0, 1)
            for seed in range(seeds)
        )
    )
    forth, back = (paired_differences(frame, *order).iloc[0] for order in (("a", "b"), ("b", "a")))
    assert forth["difference"] == pytest.approx(-back["difference"])
    assert forth["ci95"] == pytest.approx(back["ci95"])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("batch_norm", "support"),
        ("image_size", 84),
        ("protocol_version", 9),
        ("fingerprint", "other"),
        ("network", "conv6"),
        ("n_query", 50),
    ],
)
def test_unlike_conditions_are_refused_by_column(column, value):
    frame = stacked(episode_rows([0.5], method="a"), episode_rows([0.5], method="b", **{column: value}))
    with pytest.raises(ConfigError, match=f"differ in '{column}'.*{value}"):
        paired_differences(frame, "a", "b")


def test_methods_may_differ_in_steps_and_selection():
    b = episode_rows([0.5], method="b", adaptation_steps=0, selection="last")
    assert len(paired_differences(stacked(episode_rows([0.5], method="a"), b), "a", "b")) == 1


@pytest.mark.parametrize("texts", ["string", "category"])
def test_many_differences_of_a_cell_are_those_of_one_pair_each(texts):
    rng = np.random.default_rng(0)
    rows = [
        episode_rows(rng.random(40), method=method, seed=seed).sample(frac=share, random_state=seed)
        for method, share in (("maml", 1), ("anil", 0.7), ("nil", 0.4))
        for seed in range(3)
    ]
    frame = with_shots(stacked(*rows)).astype({"method": texts, "fingerprint": texts})
    found = cell_differences(frame, "anil", ["maml", "nil"])
    for other in ("maml", "nil"):
        row = paired_differences(frame, "anil", other).iloc[0]
        one = found[other]
        assert (one.difference, one.ci95, one.n_episodes) == tuple(row[["difference", "ci95", "n_episodes"]])


def test_cells_of_episodes_of_any_shape_are_paired_at_once():
    rows = [
        episode_rows([0.1, 0.5], method=name, protocol="meta_dataset").assign(n_way=[5, 9], n_query=[50, 90])
        for name in "ab"
    ]
    assert cell_differences(with_shots(stacked(*rows)), "a", ["b"])["b"].n_episodes == 2


@pytest.mark.parametrize(
    "changes",
    [{"n_query": 10}, {"fingerprint": "1" * 8}, {"seed": 1}, {"source": "digits"}, {"n_support": 25}],
)
def test_what_is_refused_or_not_shared_is_no_difference_of_a_cell(changes):
    frame = with_shots(stacked(episode_rows([0.1, 0.2]), episode_rows([0.1, 0.2], method="b", **changes)))
    assert cell_differences(frame, "maml", ["b"]) == {}


@pytest.mark.parametrize("twice", ["maml", "b"])
def test_an_ambiguous_pair_is_no_difference_of_a_cell(twice):
    rows = [episode_rows([0.1, 0.2], method=name) for name in ("maml", "b", twice)]
    assert cell_differences(with_shots(stacked(*rows)), "maml", ["b"]) == {}


def test_an_ambiguous_pair_is_refused():
    frame = stacked(
        episode_rows([0.5], method="a"),
        episode_rows([0.5], method="a", adaptation_steps=1, run_id="s"),
        episode_rows([0.5], method="b"),
    )
    with pytest.raises(ConfigError, match=r"more than once.*'adaptation_steps'"):
        paired_differences(frame, "a", "b")


def test_an_unknown_method_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match="Did you mean 'maml'"):
        paired_differences(episode_rows([0.5]), "maml", "mamml")


def test_it_loads_nothing_heavy():
    code = (
        "import sys, harness.statistics, harness.report, harness.report.terminal;"
        "heavy = {'torch', 'ray', 'tensorflow', 'gin', 'matplotlib.pyplot'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
