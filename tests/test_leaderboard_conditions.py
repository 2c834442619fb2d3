"""Rows that were measured under other conditions are not ranked together, and what differs is named."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fake_runs import run_spec, write_run
from harness.errors import ConfigError
from harness.leaderboard.groups import ranked_groups
from harness.leaderboard.merging import merge
from harness.leaderboard.rendering import title_of
from harness.leaderboard.scores import ACCURACY
from harness.plugins import Component
from harness.results import EPISODE_COLUMNS
from harness.spec import ImageSpec
from ranked_frames import SOURCES, experiment, frame, rows


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("batch_norm", "support"),
        ("image_size", 84),
        ("protocol_version", 9),
        ("precision", "bfloat16"),
        ("network", "resnet12"),
        ("n_query", 25),
        ("fingerprint", "1" * 8),
    ],
)
def test_rows_measured_under_other_conditions_are_refused_or_ranked_apart(column: str, value: object) -> None:
    mixed = frame(rows("maml", 0.5), rows("anil", 0.4, **{column: value}))
    with pytest.raises(ConfigError, match=rf"they differ in {column} \(.*`--group-by {column}`"):
        ranked_groups(mixed)
    groups = ranked_groups(mixed, group_by=[column])
    if column in ACCURACY.of_source:  # the same methods on what are now two sources: none in common
        assert [group.sources for group in groups] == [()]
        assert len(groups[0].not_shared) == 2
    else:
        assert [group.methods for group in groups] in ([("maml",), ("anil",)], [("anil",), ("maml",)])
        assert {group.conditions[column] for group in groups} == {
            value,
            rows("maml", 0.5)[column].iloc[0],
        }


def changed(folder: Path, method: str, **changes: Any) -> Path:
    """An experiment of one run whose spec has other parts, and whose episodes have the given queries."""
    queries = changes.pop("n_query", 75)
    spec = dataclasses.replace(run_spec(method, evaluated_on=SOURCES), **changes)
    run = write_run(folder / "runs", spec, 0.6)
    run.write_episodes(pd.read_parquet(run.episodes).assign(n_query=queries).astype(EPISODE_COLUMNS))
    return folder


@pytest.mark.parametrize(
    ("changes", "said", "heading"),
    [
        (
            {"network": Component(plugin="conv4", params={"channels": 32, "batch_norm": "transductive"})},
            "network (channels 32, channels 64)",
            "network conv4, channels 32",
        ),
        (
            {"images": ImageSpec(size=28, channels=1, scaling="signed", resize="bilinear")},
            "images (resize antialias and scaling unit, resize bilinear and scaling signed)",
            "images of channels 1, resize bilinear, scaling signed",
        ),
        (
            {"network": Component(plugin="conv4", params={"channels": [64, 64, 128]})},
            "network (channels 64, channels 64 64 128)",
            "network conv4, channels 64 64 128",
        ),
        (
            {"network": Component(plugin="conv4", params={})},
            "network (channels 64, without channels)",
            "network conv4, channels 64",
        ),
    ],
    ids=["network", "images", "lists", "older"],
)
def test_methods_that_saw_other_things_are_refused_and_named(
    tmp_path: Path, changes: dict[str, Any], said: str, heading: str
) -> None:
    a, b = experiment(tmp_path / "a", {"maml": 0.8}), changed(tmp_path / "b", "anil", **changes)
    episodes = merge([a, b]).episodes
    column = said.partition(" ")[0]
    with pytest.raises(ConfigError, match=rf"they differ in {re.escape(said)}.*`--group-by {column}`"):
        ranked_groups(episodes)
    apart = ranked_groups(episodes, group_by=[column])
    assert sorted(group.methods for group in apart) == [("anil",), ("maml",)]
    assert heading in {title_of(group).partition("test split, ")[2] for group in apart}


def test_queries_are_compared_source_by_source(tmp_path: Path) -> None:
    both = [rows(m, 0.5, source=s, n_query=q) for m in ("maml", "anil") for s, q in (("a", 75), ("b", 50))]
    (group,) = ranked_groups(frame(*both))
    assert group.sources == ("a", "b")
    assert group.cells.groupby("source")["n_query"].unique().map(list).to_dict() == {"a": [75], "b": [50]}
    few, many = experiment(tmp_path / "a", {"maml": 0.8}), changed(tmp_path / "b", "anil", n_query=25)
    episodes = merge([few, many]).episodes
    with pytest.raises(
        ConfigError, match=r"they differ in n_query \(25, 75, on glyphs\).*`--group-by n_query`"
    ):
        ranked_groups(episodes)
    (apart,) = ranked_groups(episodes, group_by=["n_query"])
    assert apart.sources == ()
    assert {source for source in apart.not_shared if source.startswith("digits")} == {
        "digits [25 queries]",
        "digits [75 queries]",
    }


def test_queries_that_the_protocol_draws_are_no_condition(tmp_path: Path) -> None:
    for method in ("maml", "anil"):
        spec = run_spec(method, evaluated_on=SOURCES)
        run = write_run(tmp_path / "runs", spec, 0.6)
        episodes = pd.read_parquet(run.episodes)
        drawn = episodes["episode"] % 2
        run.write_episodes(
            episodes.assign(
                protocol="meta_dataset",
                n_way=5 + drawn,
                n_support=20 + drawn,
                n_query=50 + 10 * drawn,
            ).astype(EPISODE_COLUMNS)
        )
    for flags in ([], ["n_query"]):
        (group,) = ranked_groups(merge([tmp_path]).episodes, group_by=flags)
        assert sorted(group.methods) == ["anil", "maml"]
        assert group.sources == ("digits", "glyphs")
        assert "NA" not in title_of(group)
