import numpy as np
import pandas as pd
import pytest

from fake_runs import episode_rows
from harness.bootstrap import bootstrap_interval
from harness.equivalence import FAILS, HOLDS, INCONCLUSIVE, VERDICTS, holm, margin_tests
from harness.errors import ConfigError
from harness.nested import nested_mean
from harness.pairing import Comparison
from harness.verdicts import VERDICT_COLUMNS, judge, method_verdicts
from simulated_studies import highest_rate, studies

PAIR = [("anil", "maml")]


def measured(difference, *, source="glyphs", seeds=3, episodes=100, seed_sd=0.0, stream=0, **more):
    """Rows of anil and maml on one source, `difference` apart on average."""
    values, labels = next(
        studies(1, difference=difference, seeds=seeds, episodes=episodes, seed_sd=seed_sd, stream=stream)
    )
    full = np.random.default_rng(stream).integers(30, 46, len(values)) / 75
    return pd.concat(
        [
            episode_rows(side[labels == seed], method=method, seed=seed, source=source, **more)
            for method, side in (("anil", full + values), ("maml", full))
            for seed in range(seeds)
        ],
        ignore_index=True,
    )


def verdicts(frame, **more):
    return method_verdicts(frame, PAIR, draws=100, **more)


def test_known_differences_get_their_verdicts():
    frame = pd.concat(
        [
            measured(0.0, source="same", episodes=600),
            measured(0.1, source="better", stream=1),
            measured(-0.2, source="worse", stream=2),
            measured(-0.01, source="near", stream=3),
        ]
    )
    table = verdicts(frame).set_index("source")
    assert tuple(verdicts(frame).columns) == VERDICT_COLUMNS
    assert table["verdict"].to_dict() == {
        "same": HOLDS, "better": HOLDS, "worse": FAILS, "near": INCONCLUSIVE
    }  # fmt: skip
    assert table.loc["same", "why"].startswith("anil is not worse than maml by 1 point or more (p")
    assert table.loc["worse", "why"].startswith("maml is better than anil by more than 1 point (corrected p")
    assert table["settle"].ne("").to_dict() == {"same": False, "better": False, "worse": False, "near": True}


def test_a_row_has_the_numbers_of_the_core():
    values, labels = next(studies(1, difference=-0.02, episodes=100, seed_sd=0.01))
    row = method_verdicts(measured(-0.02, seed_sd=0.01), PAIR).iloc[0]
    mean = nested_mean(values, labels)
    tests = margin_tests(mean, 0.01)
    assert row["difference"] == pytest.approx(mean.mean)
    assert (row["low"], row["high"]) == pytest.approx(bootstrap_interval(values, labels), abs=1e-4)
    assert (row["p_not_worse"], row["p_worse"], row["p_b_better"]) == pytest.approx(
        (tests.not_worse, tests.worse, tests.b_better)
    )
    assert (row["n_episodes"], row["n_seeds"], row["margin"]) == (300, 3, 0.01)
    assert row["seed_sd"] == pytest.approx(np.sqrt(mean.seed_variance))
    assert np.isnan(row["normal_ci95"])


def test_one_seed_has_the_normal_interval_too_and_says_what_it_cannot():
    row = verdicts(measured(0.0, seeds=1, episodes=900)).iloc[0]
    assert row["normal_ci95"] == pytest.approx(1.96 * row["episode_sd"] / 30, rel=1e-3)
    assert row["why"].endswith("for this one trained network.")
    assert np.isnan(row["seed_sd"])


def test_the_margin_is_declared_in_points():
    frame = measured(-0.03, episodes=600)
    assert verdicts(frame, margin_points=10)["verdict"].item() == HOLDS
    assert verdicts(frame, margin_points=0.5)["verdict"].item() == FAILS
    with pytest.raises(ConfigError, match="margin of equivalence is 0"):
        verdicts(frame, margin_points=0)


def test_p_values_are_corrected_over_the_sources_of_a_pair_and_regime():
    near = [measured(-0.02, source=f"s{k}", trained_on="one", stream=k) for k in range(3)]
    frame = pd.concat([*near, measured(-0.02, source="s0", trained_on="two", stream=9)])
    table = verdicts(frame)
    one, two = table[table["trained_on"] == "one"], table[table["trained_on"] == "two"]
    assert one["p_worse_holm"].tolist() == pytest.approx(holm(one["p_worse"].to_numpy()).tolist())
    assert one["p_worse_holm"].max() > one["p_worse"].max() or (one["p_worse_holm"] > one["p_worse"]).any()
    assert two["p_worse_holm"].item() == two["p_worse"].item()


def test_better_but_perhaps_within_the_margin_is_said():
    row = verdicts(measured(-0.012, episodes=400, stream=4)).iloc[0]
    assert row["verdict"] == INCONCLUSIVE
    assert "maml is better than anil (corrected p" in row["why"]
    assert "by more than 1 point is open" in row["why"]


def test_a_few_episodes_get_no_test_and_do_not_count():
    frame = pd.concat([measured(-0.2, source="many"), measured(0.0, source="few", seeds=1, episodes=19)])
    table = verdicts(frame).set_index("source")
    assert table.loc["few", "verdict"] == INCONCLUSIVE
    assert table.loc["few", "why"] == "Only 19 episodes were compared; a test takes 20, two a seed."
    assert table.loc["many", "p_worse_holm"] == table.loc["many", "p_worse"]


def test_the_order_of_rows_does_not_matter():
    frame = pd.concat([measured(0.0), measured(-0.1, source="shapes")])
    mixed = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    pd.testing.assert_frame_equal(verdicts(frame), verdicts(mixed), rtol=1e-9)


def test_masks_of_one_learner_are_judged_alike():
    frame = measured(-0.2).rename(columns={"method": "adapted"})
    frame["adapted"] = frame["adapted"].map({"anil": "head", "maml": "all"})
    frame["method"] = "maml"
    masks = Comparison(
        condition="adapted", keys=("method", "trained_on", "source"), must_agree=("protocol_version",)
    )
    found = judge(frame, [("head", "all")], masks, draws=100)
    assert list(found.columns[:5]) == ["a", "b", "method", "trained_on", "source"]
    assert found["verdict"].tolist() == [FAILS]
    assert found["difference"].item() == pytest.approx(verdicts(measured(-0.2))["difference"].item())


def test_no_common_episodes_make_an_empty_table():
    frame = measured(0.0)
    apart = frame[(frame["method"] == "anil") == (frame["seed"] == 0)]
    assert verdicts(apart).empty
    assert tuple(verdicts(apart).columns) == VERDICT_COLUMNS


@pytest.mark.parametrize(
    ("column", "value"), [("protocol_version", 9), ("batch_norm", "support"), ("fingerprint", "f")]
)
def test_unlike_sides_are_refused_by_column(column, value):
    frame = measured(0.0)
    frame.loc[frame["method"] == "maml", column] = value
    with pytest.raises(ConfigError, match=f"'anil' and 'maml' cannot be compared.*'{column}'.*{value}"):
        verdicts(frame)


@pytest.mark.parametrize(("column", "value"), [("protocol_version", 9), ("batch_norm", "support")])
def test_seeds_under_unlike_conditions_are_not_averaged(column, value):
    frame = measured(0.0)
    frame.loc[frame["seed"] == 2, column] = value
    with pytest.raises(ConfigError, match=f"method anil, .*cannot be averaged.*'{column}'.*{value}"):
        verdicts(frame)


def test_episodes_may_differ_in_their_queries_only_where_the_protocol_draws_them():
    frame = measured(0.0, seeds=1)
    drawn = frame.assign(protocol="meta_dataset", n_way=5 + frame["episode"] % 7)
    drawn = drawn.assign(n_support=3 * drawn["n_way"], n_query=10 * drawn["n_way"])
    assert verdicts(drawn)["n_episodes"].tolist() == [100]
    once = (drawn["method"] == "maml") & (drawn["episode"] == 3)
    other = drawn.assign(n_query=drawn["n_query"].mask(once, 1))
    with pytest.raises(ConfigError, match="cannot be compared: they differ in 'n_query'"):
        verdicts(other)
    with pytest.raises(
        ConfigError, match=r"cannot be averaged: they differ in 'n_query' \(n_query: 15, 75\)"
    ):
        verdicts(frame.assign(n_query=np.where(frame["episode"] == 3, 15, 75)))


def test_one_method_keeps_its_steps_from_seed_to_seed():
    frame = measured(0.0)
    frame.loc[frame["method"] == "maml", "adaptation_steps"] = 5
    assert len(verdicts(frame)) == 1
    frame.loc[(frame["method"] == "maml") & (frame["seed"] == 1), "adaptation_steps"] = 7
    with pytest.raises(ConfigError, match=r"method maml, .*'adaptation_steps'"):
        verdicts(frame)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("anil", "mamml"), "Did you mean 'maml'"),
        (("anil", "anil"), "compares a method with itself"),
    ],
)
def test_pairs_that_cannot_be_meant_are_refused(pair, message):
    with pytest.raises(ConfigError, match=message):
        method_verdicts(measured(0.0), [pair])


def test_missing_columns_are_named():
    with pytest.raises(ConfigError, match="needs the columns 'n_query'"):
        verdicts(measured(0.0).drop(columns="n_query"))
    with pytest.raises(ConfigError, match="needs the columns 'selection'"):
        verdicts(measured(0.0).drop(columns="selection"))


@pytest.mark.slow
def test_a_thousand_studies_at_the_margin_get_few_false_verdicts():
    """Frames in, verdicts out: each study is a regime of its own, with one source."""
    parts = []
    for study, (values, seeds) in enumerate(studies(1000, difference=-0.01, seed_sd=0.005, episodes=30)):
        rows = pd.DataFrame({"study": study, "seed": seeds, "episode": np.tile(np.arange(30), 3)})
        parts += [rows.assign(condition="a", accuracy=0.5 + values), rows.assign(condition="b", accuracy=0.5)]
    alone = Comparison(condition="condition", keys=("study",), must_agree=())
    found = judge(pd.concat(parts, ignore_index=True), [("a", "b")], alone, draws=20)
    shares = found["verdict"].value_counts(normalize=True).reindex(VERDICTS).fillna(0)
    assert len(found) == 1000
    assert 0 < shares[HOLDS] <= highest_rate(0.05, 1000)
    assert shares[FAILS] <= highest_rate(0.05, 1000)
    assert ((found["low"] <= -0.01) & (found["high"] >= -0.01)).mean() >= 0.93
