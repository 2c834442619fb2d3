"""Accuracy against ways and shots: each source by itself."""

from pathlib import Path

import pandas as pd
import pytest
from selenium.webdriver.common.by import By

from browser import browser
from fake_runs import episode_rows, run_spec, write_run
from harness.report.build import build_report
from harness.report.interactive import size_spec
from harness.report.panels import Panel, panels
from harness.report.sizes import SHOTS, WAYS, by_size
from harness.report.style import styles

SHOTS_OF = {"letters": (1, 3), "textures": (12, 30)}
"""Sources that differ in their shots, as Omniglot and DTD do; textures are the harder ones."""


def drawn(source: str, level: float, **values: object) -> pd.DataFrame:
    """20 episodes, half of them of few shots; ten points better with more."""
    few, many = SHOTS_OF[source]
    accuracies = [level + 0.1 * (k % 2) + 0.001 * (k // 2) for k in range(20)]
    rows = episode_rows(accuracies, source=source, protocol="meta_dataset", **values)
    shots = rows["episode"].map(lambda k: (few, many)[k % 2])
    return rows.assign(n_way=5 + 5 * (rows["episode"] % 2), n_support=shots * (5 + 5 * (rows["episode"] % 2)))


def panel_of(*parts: pd.DataFrame) -> Panel:
    (panel,) = panels(pd.concat(parts, ignore_index=True))
    return panel


def test_a_source_that_is_hard_and_has_many_shots_does_not_bend_the_others_lines() -> None:
    rows = by_size(panel_of(drawn("letters", 0.7), drawn("textures", 0.3)), "glyphs", SHOTS)
    assert list(rows["source"]) == ["letters", "letters", "textures", "textures"]
    assert [SHOTS.groups[k] for k in rows["group"]] == ["1 to <2", "2 to <5", "10 to <20", "20 to <50"]
    assert rows["size"].tolist() == [1, 3, 12, 30]
    assert rows["accuracy"].round(2).tolist() == [70.45, 80.45, 30.45, 40.45]
    assert rows["episodes"].tolist() == [10] * 4
    assert (rows["ci"] > 0).all()


def test_ways_have_groups_of_their_own() -> None:
    rows = by_size(panel_of(drawn("letters", 0.7)), "glyphs", WAYS)
    assert [WAYS.groups[k] for k in rows["group"]] == ["2 to 5", "6 to 10"]
    assert WAYS.groups[-1] == "36 and more"


def test_few_episodes_are_no_point_and_a_source_of_one_size_is_no_line() -> None:
    same = episode_rows([0.5] * 20, source="even", protocol="meta_dataset").assign(n_support=10)
    rows = by_size(panel_of(drawn("letters", 0.7).head(9), same), "glyphs", SHOTS)
    assert rows.empty  # five episodes of one shot, four of three: one point is no line
    rows = by_size(panel_of(drawn("letters", 0.7).head(10), same), "glyphs", SHOTS)
    assert rows[["source", "group", "episodes"]].to_numpy().tolist() == [["letters", 0, 5], ["letters", 1, 5]]
    assert by_size(panel_of(same), "glyphs", SHOTS).empty


def test_intervals_of_a_plot_stay_within_what_an_accuracy_can_be() -> None:
    two = [drawn("letters", 0.7 - 0.25 * seed, seed=seed) for seed in (0, 1)]
    panel = panel_of(*two)
    assert (by_size(panel, "glyphs", SHOTS)["ci"] > 100).all()
    spec = size_spec(panel, "glyphs", SHOTS, styles(["maml"]))
    assert spec is not None
    ends = [(row["low"], row["high"]) for row in spec["data"]["values"]]
    assert ends == [(0, 100)] * 2


METHODS = {"nil_of_maml": 0.0, "zero_head_maml": 0.02, "matching_net_fce": 0.04, "random_features": 0.05}
"""Names as long as they come, of methods that are so much better on letters."""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    for method, ahead in METHODS.items():
        spec = run_spec(method, evaluated_on=tuple(SHOTS_OF))
        run = write_run(tmp_path / "runs", spec, 0.5)
        own = {"run_id": spec.run_id, "method": method}
        run.write_episodes(pd.concat([drawn("letters", 0.7 + ahead, **own), drawn("textures", 0.3, **own)]))
    build_report(tmp_path, title="T", claim="", command="")
    return tmp_path / "report.html"


@pytest.mark.parametrize("width", [400, 1400])
def test_both_pages_show_them_source_by_source(page: Path, width: int) -> None:
    for size in ("ways", "mean shots a class"):
        caption = f"Accuracy against {size}, trained on glyphs, Meta-Dataset's episodes, test split, source by source"
        assert caption in page.with_suffix(".md").read_text(encoding="utf-8")
    assert len(list((page.parent / "figures").glob("accuracy-against-*.svg"))) == 2
    with browser(page, width=width) as driver:
        plots = driver.find_elements(By.CSS_SELECTOR, ".plot[aria-label], .plot")
        titles = [plot.text for plot in plots if "source by source" in plot.text]
        assert len(titles) == 2
        assert all(source in title for title in titles for source in SHOTS_OF)
        assert driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
        for plot in plots:
            target, drawing = (plot.find_element(By.CSS_SELECTOR, css) for css in (".target", ".target svg"))
            assert drawing.size["width"] <= target.size["width"]
