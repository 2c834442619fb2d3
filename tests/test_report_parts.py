from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fake_runs import episode_rows
from harness.report.curve_figure import curves_of, spread
from harness.report.interactive import accuracy_spec
from harness.report.markdown import escape, fenced
from harness.report.panels import labelled, natural, panels
from harness.report.style import MOST_POINTS, figure_of, save, styles
from harness.report.summary import summarise
from harness.statistics import with_shots


@pytest.mark.parametrize("text", ["traffic_sign", "maml 5-way", "0.5 ± 0.1", "a-b (c)"])
def test_plain_names_stay_as_they_are(text):
    assert escape(text) == text


def test_a_fence_is_longer_than_any_inside():
    assert fenced("a\n````\nb").splitlines()[0] == "`````"


def test_a_clear_gap_and_none():
    rows = {"maml": [0.8, 0.8, 0.9], "anil": [0.9, 0.7, 0.8], "nil": [0.5, 0.5, 0.6]}
    frame = pd.concat([episode_rows(values, method=method) for method, values in rows.items()])
    (standing,) = summarise(panels(frame)[0], {"glyphs": frozenset({"glyphs"})})[0].standings
    assert (standing.leader, standing.in_training, standing.above_chance) == ("maml", True, True)
    # maml - anil: -0.1, 0.1, 0.1; maml - nil: 0.3 each.
    assert [(gap.method, str(gap)) for gap in standing.level] == [("anil", "3.3 ± 10.7")]
    assert [(gap.method, str(gap)) for gap in standing.behind] == [("nil", "30.0 ± 0.0")]


def test_what_cannot_be_compared_is_said():
    frame = pd.concat([episode_rows([0.5, 0.9]), episode_rows([0.4, 0.5], method="nil", n_query=10)])
    (standing,) = summarise(panels(frame)[0], {})[0].standings
    assert not standing.in_training
    assert "'n_query'" in standing.refused[0].refusal
    assert standing.gap_of("nil") == "not compared"


def test_unlike_shapes_and_conditions_stand_in_panels_of_their_own():
    frame = pd.concat(
        [
            episode_rows([0.5, 0.6]),
            episode_rows([0.5, 0.6], n_support=25),
            episode_rows([0.1, 0.2], batch_norm="support"),
        ]
    )
    found = panels(frame)
    assert [panel.heading for panel in found] == [
        "5-way 1-shot, test split, support batch norm",
        "5-way 1-shot, test split, transductive batch norm",
        "5-way 5-shot, test split, transductive batch norm",
    ]
    assert all(len(panel.cells) == 1 for panel in found)


def test_one_method_under_two_conditions_has_two_labels():
    rows = [episode_rows([0.5]), episode_rows([0.5], adaptation_steps=1), episode_rows([0.5], method="b")]
    names = labelled(with_shots(pd.concat(rows)))["method"].tolist()
    assert names == ["maml [adaptation steps 10]", "maml [adaptation steps 1]", "b"]


def test_runs_with_one_training_share_one_curve():
    lines = [{"seed": 0, "iteration": i, "loss": 1.0, "valid_accuracy": 0.5, "run_id": "r"} for i in (0, 1)]
    frame = pd.concat([pd.DataFrame(lines).assign(method=name) for name in ("nil", "anil")])
    other = pd.DataFrame(lines).assign(method="maml", loss=2.0)
    assert [curve.label for curve in curves_of(pd.concat([frame, other]))] == ["anil, nil", "maml"]


def test_labels_are_spread_apart_in_order_and_within_bounds():
    places = spread([5.0, 5.0, 5.1, 0.0, 10.0], 0, 10, 1)
    assert np.diff(sorted(places)).min() >= 1 - 1e-9
    assert np.argsort(places, kind="stable").tolist() == [3, 0, 1, 2, 4]
    assert min(places) >= 0
    assert max(places) <= 10
    assert spread([1.0, 5.0], 0, 10, 1) == pytest.approx([1, 5])
    assert max(spread([0.0] * 30, 0, 10, 1)) <= 10 + 1e-9


def test_every_method_looks_different():
    looks = styles(f"method_{index}" for index in range(25))
    assert len({(look.colour, look.marker) for look in looks.values()}) == 25


def test_numbers_in_names_are_sorted_as_numbers():
    assert sorted(["m10", "m9", "a"], key=natural) == ["a", "m9", "m10"]


def lines_as_svg(path: Path, points: int) -> str:
    """A figure of a dozen noisy lines with so many points together."""
    with figure_of(6, 4) as figure:
        axes = figure.subplots()
        for line in np.random.default_rng(0).normal(size=(12, points // 12)):
            axes.plot(line, marker=".")
        save(figure, path)
    return path.with_suffix(".svg").read_text(encoding="utf-8")


def test_a_crowd_of_points_is_a_picture_inside_the_svg(tmp_path: Path) -> None:
    few = lines_as_svg(tmp_path / "few.png", MOST_POINTS // 2)
    many = lines_as_svg(tmp_path / "many.png", 20 * MOST_POINTS)
    assert "<image" not in few
    assert "<image" in many
    assert max(map(len, (few, many))) < 1_000_000
    assert many == lines_as_svg(tmp_path / "again.png", 20 * MOST_POINTS)


def test_the_axis_names_the_methods_where_there_is_one_source():
    rows = {"maml": [0.6, 0.8], "anil": [0.9, 0.7], "nil": [0.5, 0.5]}
    frame = pd.concat([episode_rows(values, method=method) for method, values in rows.items()])
    drawn = accuracy_spec(panels(frame)[0], "glyphs", {}, styles(list(rows)))["layer"][2]["encoding"]
    assert (drawn["y"]["field"], drawn["y"]["sort"]) == ("method", ["anil", "maml", "nil"])
    assert drawn["color"]["legend"] is None
    both = pd.concat([frame, frame.assign(source="digits")])
    drawn = accuracy_spec(panels(both)[0], "glyphs", {}, styles(list(rows)))["layer"][2]["encoding"]
    assert (drawn["y"]["field"], drawn["yOffset"]["field"]) == ("source", "method")
