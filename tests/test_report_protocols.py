"""Episodes of varying size in leaderboards, panels and reports."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from fake_runs import episode_rows
from harness.report.build import build_report
from harness.report.panels import panels
from harness.report.summary import summarise
from harness.report.terminal import leaderboard_table
from harness.statistics import leaderboard, paired_differences

WAYS, SUPPORTS = [5, 10, 50, 20], [30, 12, 400, 77]


def varying(accuracies: list[float], **values: Any) -> pd.DataFrame:
    """Episodes as Meta-Dataset draws them: each of its own size."""
    row = {"protocol": "meta_dataset", "n_way": 5, "n_query": 50, **values}
    frame = episode_rows(accuracies, **row)
    return frame.assign(n_way=WAYS[: len(frame)], n_support=SUPPORTS[: len(frame)])


def test_episodes_of_varying_size_are_one_row_whose_ways_and_shots_are_empty() -> None:
    board = leaderboard(varying([0.2, 0.4, 0.6, 0.8]))
    (row,) = board.to_dict("records")
    assert row["accuracy"] == pytest.approx(0.5)
    assert row["n_episodes"] == 4
    assert row["n_way"] is None
    assert row["shots"] is None
    assert (row["protocol"], row["protocol_version"]) == ("meta_dataset", 2)


def test_fixed_ways_keep_theirs() -> None:
    frame = episode_rows([0.5, 0.7], protocol="fixed_way_variable_shot").assign(n_support=[5, 80])
    (row,) = leaderboard(frame).to_dict("records")
    assert row["n_way"] == 5
    assert row["shots"] is None


def test_other_protocols_and_content_are_other_rows() -> None:
    frame = pd.concat(
        [
            episode_rows([0.1]),
            varying([0.2]),
            varying([0.3], protocol="meta_dataset(max_way=20)"),
            varying([0.4], fingerprint="other"),
            varying([0.5], max_images_per_class=100, fingerprint="other-at-most-100"),
        ]
    )
    board = leaderboard(frame)
    assert sorted(board["accuracy"]) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert board["max_images_per_class"].dropna().tolist() == [100]


def test_differences_are_paired_by_episode_whatever_its_size() -> None:
    a, b = varying([0.5, 0.6, 0.7, 0.8], method="a"), varying([0.4, 0.6, 0.5, 0.9], method="b")
    (row,) = paired_differences(pd.concat([a, b]), "a", "b").to_dict("records")
    assert row["difference"] == pytest.approx(np.mean([0.1, 0.0, 0.2, -0.1]))
    assert row["n_episodes"] == 4


def test_a_panel_says_the_protocol_and_each_source_has_its_own_chance() -> None:
    few = varying([0.3, 0.3], source="few")  # 5 and 10 ways
    many = varying([0.3, 0.3, 0.3, 0.3], source="many")
    (panel,) = panels(pd.concat([few, many]))
    assert panel.heading == "Meta-Dataset's episodes, test split"
    assert panel.chances == pytest.approx({"few": 0.15, "many": np.mean([0.2, 0.1, 0.02, 0.05])})
    above = {s.source: s.above_chance for s in summarise(panel, {})[0].standings}
    assert above == {"few": True, "many": True}
    low = varying([0.14, 0.14], source="few")
    assert not summarise(panels(low)[0], {})[0].standings[0].above_chance


def test_the_terminal_shows_both_kinds_of_episodes(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.concat([episode_rows([0.5, 0.6]), varying([0.3, 0.4], source="far")])
    Console(width=120).print(leaderboard_table(leaderboard(frame)))
    shown = capsys.readouterr().out
    assert "5-way 1-shot, test split" in shown
    assert "Meta-Dataset's episodes, test split" in shown
    assert "55.0 ±" in shown
    assert "35.0 ±" in shown


def test_what_was_left_out_stands_at_the_top_of_the_report(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    without = ["aircraft, evaluation (test): its raw data is not there"]
    subsets = ["dtd: 10 of 47 published classes"]
    built = build_report(tmp_path, title="T", claim="", command="", without=without, subsets=subsets)
    text = built.path.read_text()
    assert text.index("**Left out:**") < text.index("There is nothing to report")
    assert "- aircraft, evaluation (test): its raw data is not there" in text
    assert text.index("**Subsets:**") < text.index("There is nothing to report")
    assert "- dtd: 10 of 47 published classes" in text
