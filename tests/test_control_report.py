"""The report of control experiments: what it says, in both pages; in a real browser; the same from the same runs."""

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats
from selenium.webdriver.common.by import By

from browser import browser
from command_line import refused
from control_experiments import needs_entry_points
from fake_control_runs import planned_runs, write_control_run, write_experiment
from harness import cli
from harness.control.paths import Paths
from harness.control.pictures import FRAMES
from harness.control.report.figures import draw_paths, draw_tasks
from harness.report.style import styles
from harness.store import RunFolder
from test_report_page import drawn, text_of

pytestmark = needs_entry_points

EVIL = "<script>window.stolen = 1</script>"
LINES = (
    "ControlExperiment.methods = [@MAML(), @ANIL(), @NoAdaptation()]",
    "ControlExperiment.seeds = 2",
    "ControlEvaluation.n_tasks = 30",
)
AHEAD = {"maml": 0.0, "anil": 0.3, "no_adaptation": 0.0}
FROZEN = {"maml": {"head only": 19.0, "body only": 0.0}, "anil": {"head only": 0.0, "body only": 12.0}}


def write_tiny(folder: Path) -> Path:
    specs = planned_runs(folder, *LINES)
    for spec in specs:
        name = spec.method_name
        layers = {"maml": ("head", "hidden1"), "anil": ("head",)}.get(name, ())
        write_control_run(
            folder / "out" / "runs", spec, ahead=AHEAD[name], gains=name != "no_adaptation",
            adapted=layers, frozen=FROZEN.get(name),
        )  # fmt: skip
    one = next(spec for spec in specs if spec.method_name == "anil")
    Image.fromarray(np.full((20, 900, 3), 120, np.uint8)).save(folder / "out" / "runs" / one.run_id / FRAMES)
    return write_experiment(
        folder / "out", specs, title=f"A title {EVIL}", claim="One.\n\nTwo & three.", seconds=180.0
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_tiny(tmp_path_factory.mktemp("control"))
    assert cli.main(["report", str(folder)]) == 0
    return folder / "report.html"


def test_it_is_one_file_that_asks_for_nothing_and_is_made_again_to_the_byte(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    markup = re.sub(r"<script\b.*?</script>", "", text, flags=re.DOTALL)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', markup)
    before = {path: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}
    for path in page.parent.iterdir():
        if path.is_file():
            path.unlink()
    shutil.rmtree(page.parent / "figures")
    assert cli.main(["report", str(page.parent)]) == 0
    assert {path: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()} == before


def test_verdicts_come_first_and_then_what_adaptation_is_worth(page: Path) -> None:
    said = text_of(page.read_text(encoding="utf-8"))
    short = said.partition("Words:")[0]
    tables = {name: pd.read_csv(page.parent / f"{name}.csv") for name in ("returns", "verdicts", "tasks")}
    verdict = tables["verdicts"].set_index("source").loc["navigation2d"]
    number = f"{verdict['difference']:+.1f} ± {verdict['ci95']:.1f} in return after adaptation, 60 tasks"
    assert (
        f"anil against maml on navigation2d: reuse holds: anil is not worse than maml by the margin of 2 ({number})"
        in short
    )
    after = tables["returns"].set_index(["source", "method"])["after"]
    assert (
        f"navigation2d (in training): anil gets the most after adaptation, {after['navigation2d', 'anil']:.1f}"
        in short
    )
    assert "far (not in training): anil gets the most" in short
    assert "no_adaptation is not changed by adaptation" in short
    assert short.index("reuse holds") < short.index("gets the most") < short.index("with the head alone")
    tasks = tables["tasks"]
    assert len(tasks) == 3 * 2 * 2 * 30
    mean = tasks[(tasks["method"] == "anil") & (tasks["source"] == "far")]["return_after"].mean()
    assert after["far", "anil"] == pytest.approx(mean, rel=1e-4)


def test_what_freezing_costs_is_paired_task_by_task(page: Path) -> None:
    """Beside a t interval over the seeds' means, or over tasks, whichever is wider."""
    rows = pd.concat(pd.read_parquet(path) for path in page.parent.glob("runs/maml-*/probes.parquet"))
    rows = rows[rows["source"] == "navigation2d"]
    table = rows.pivot_table(index=["seed", "episode"], columns="condition", values="value")
    cost = table["everything"] - table["head only"]
    seeds = cost.groupby("seed").mean()
    of_seeds = stats.t.ppf(0.975, 1) * seeds.std(ddof=1) / np.sqrt(2)
    within = cost - cost.groupby("seed").transform("mean")
    of_tasks = stats.t.ppf(0.975, 58) * np.sqrt((within**2).sum() / 58 / 60)
    want = f"with the head alone adapting it gets {cost.mean():.1f} ± {max(of_seeds, of_tasks):.1f} less"
    short = text_of(page.read_text(encoding="utf-8")).partition("Words:")[0]
    assert (
        want
        in short.partition("Within a policy")[2]
        .partition("maml on navigation2d:")[2]
        .partition("(60 tasks")[0]
    )
    assert "with the body alone adapting it gets no clear difference" in short
    assert "maml on far:" not in short.partition("Within a policy")[2]
    assert "maml on far:" in text_of(page.read_text(encoding="utf-8")).partition("What adapts Freezing")[2]


def test_it_says_what_the_other_report_says(page: Path) -> None:
    said = text_of(page.read_text(encoding="utf-8"))
    report = (page.parent / "report.md").read_text(encoding="utf-8")
    numbers = re.findall(r"-?\d+\.\d ± \d+\.\d", report)
    assert len(numbers) > 30
    assert [number for number in numbers if number not in said] == []
    for words in (
        "harness run tiny.gin",
        "Imaginary CPU, 2 cores",
        "3 min of wall clock",
        "# <b>",
        "published",
    ):
        assert words in said
    assert "| ANIL (anil) | published | 363.2 ± 14.8 | -120.9 ± 6.3 | -20.1 ± 2.3 |" in report
    assert "(figures/frames-anil.png)" in report
    assert "(figures/paths-maml.png)" in report
    assert EVIL not in report
    assert "<b>" not in re.sub(r"```.*?```", "", report, flags=re.DOTALL)


def test_it_opens_without_an_error_and_draws_its_plots(page: Path) -> None:
    with browser(page) as driver:
        assert (
            drawn(driver) == 1 + 2 + 2 + 2
        )  # returns; tasks of two sources; two curves; freezing on two sources
        assert driver.execute_script("return window.stolen") is None  # type: ignore[no-untyped-call]
        assert driver.find_element(By.TAG_NAME, "h1").text == f"A title {EVIL}"
        pictures = driver.find_elements(By.TAG_NAME, "img")
        assert len(pictures) == 3 + 1  # paths of three methods, and a strip
        assert all(picture.get_attribute("alt") for picture in pictures)
        levels = [int(h.tag_name[1]) for h in driver.find_elements(By.CSS_SELECTOR, "h1,h2,h3,h4")]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        anchors = [
            link.get_attribute("href").partition("#")[2]
            for link in driver.find_elements(By.CSS_SELECTOR, "nav a")
        ]
        assert len(anchors) > 8
        assert all(driver.find_elements(By.ID, anchor) for anchor in anchors)


def test_returns_are_sorted_filtered_and_have_their_intervals(page: Path) -> None:
    with browser(page) as driver:
        table = driver.find_element(By.CSS_SELECTOR, "#returns table.board")
        heads = table.find_elements(By.CSS_SELECTOR, "thead button")
        place = [head.text.split()[0] for head in heads].index("After")
        heads[place].click()
        rows = [row for row in table.find_elements(By.CSS_SELECTOR, "tbody tr") if row.is_displayed()]
        values = [float(row.find_elements(By.CSS_SELECTOR, "th,td")[place].text.split()[0]) for row in rows]
        assert values == sorted(values, reverse=True)
        assert len(values) == 6
        cell = rows[0].find_elements(By.CSS_SELECTOR, "th,td")[place]
        assert re.fullmatch(
            r"60 tasks, 2 seeds; 95 % interval -[\d.]+ to -[\d.]+", cell.get_attribute("title") or ""
        )
        driver.find_element(By.CSS_SELECTOR, "input[name=source][value=far]").click()
        driver.find_element(By.CSS_SELECTOR, "input[name=method][value=maml]").click()
        left = [row for row in table.find_elements(By.CSS_SELECTOR, "tbody tr") if row.is_displayed()]
        assert [row.text.split()[0] for row in left] == ["anil", "no_adaptation"]


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_overflows(page: Path, width: int, dark: bool) -> None:
    with browser(page, width=width, dark=dark) as driver:
        drawn(driver)
        wide = "return [document.documentElement.scrollWidth, window.innerWidth]"
        content, window = driver.execute_script(wide)  # type: ignore[no-untyped-call]
        assert content <= window == width
        strip = driver.find_element(By.CSS_SELECTOR, ".strip img").rect
        assert strip["width"] >= 900  # frames that can be seen: one scrolls along them


def test_runs_that_are_missing_are_named_and_the_others_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_tiny(tmp_path)
    runs = sorted((folder / "runs").glob("*-s*"))
    (anil, maml) = (next(run for run in runs if run.name.startswith(name)) for name in ("anil", "maml"))
    RunFolder(anil).write_status("failed", error="DynamicsError: all fell <over>")
    (maml / "episodes.parquet").write_bytes(b"PAR1 torn PAR1")
    other = next(run for run in runs if run.name.startswith("anil") and run != anil)
    (other / "probes.parquet").write_bytes(b"PAR1 torn PAR1")
    for run in runs:
        for kept in ("paths.npz", FRAMES):
            (run / kept).unlink(missing_ok=True)
    assert cli.main(["report", str(folder)]) == 0
    said = text_of((folder / "report.html").read_text(encoding="utf-8"))
    assert "2 of 6 runs are missing from this report" in said
    assert "2 of 6 runs are missing from this report" in capsys.readouterr().out
    assert f"{anil.name}: failed: DynamicsError: all fell <over>" in said
    assert f"{maml.name}: episodes.parquet cannot be read" in said
    assert f"{other.name}: its probes are left out: probes.parquet cannot be read" in said
    assert "The runs kept none: their sources have no picture, or bodies could not be rendered" in said
    for run in runs:
        (run / "spec.json").write_text("{}")
    before = (folder / "report.html").read_bytes()
    assert "so nothing was written: `harness run` carries on" in refused(capsys, "report", str(folder))
    assert (folder / "report.html").read_bytes() == before


def test_runs_alone_make_a_report_where_the_record_is_lost(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path)
    (folder / "runs" / "experiment.json").unlink()
    assert cli.main(["report", str(folder)]) == 0
    assert len(pd.read_csv(folder / "returns.csv")) == 6
    assert text_of((folder / "report.html").read_text(encoding="utf-8")).startswith("out out")
    assert not (folder / "experiment.json").exists()


def test_a_source_of_two_samplings_is_two_sources(tmp_path: Path) -> None:
    more = (
        "ControlExperiment.evaluations = [@ControlEvaluation(), @more/ControlEvaluation()]",
        "more/ControlEvaluation.sources = [@Navigation2D()]",
        "more/ControlEvaluation.sampling = @more/Sampling()",
        "more/Sampling.trajectories = 9",
        "more/ControlEvaluation.n_tasks = 3",
    )
    specs = planned_runs(tmp_path, *more)
    for spec in specs:
        write_control_run(tmp_path / "out" / "runs", spec)
    assert cli.main(["report", str(write_experiment(tmp_path / "out", specs))]) == 0
    table = pd.read_csv(tmp_path / "out" / "returns.csv")
    assert len(table) == 2 * 3
    assert any("trajectories 9" in source for source in table["source"])
    assert (table["n_tasks"] == 3).all()


def test_paths_before_and_after_lie_in_panels_of_their_own(tmp_path: Path) -> None:
    walks = np.zeros((2, 3, 10, 2))
    walks[:, :, 6:] = np.nan
    draw_paths(
        Paths(goals=np.ones((2, 2)), before=walks, after=walks + 0.5), [(-3.0, -1.0)] * 2, tmp_path / "a.png"
    )
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert len(set(re.findall(r'id="axes_\d+"', svg))) == 2 * 2
    frame = pd.DataFrame({"method": ["m", "n"], "return_before": [-2.0, -3.0], "return_after": [-1.0, -3.0]})
    draw_tasks({f"s{k}": frame for k in range(4)}, styles(["m", "n"]), tmp_path / "b.png")
    svg = (tmp_path / "b.svg").read_text(encoding="utf-8")
    assert len(set(re.findall(r'id="axes_\d+"', svg))) == 4


def test_the_record_is_beside_the_report(page: Path) -> None:
    assert json.loads((page.parent / "experiment.json").read_text())["kind"] == "control"
    assert "# <b>" in (page.parent / "config.gin").read_text()
