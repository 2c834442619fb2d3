"""report.html in a real browser: it opens from disk, sorts, filters, fits, and shows names without running them."""

import base64
import html
import re
import time
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By

from browser import browser
from fake_runs import run_spec, write_run
from harness.report.build import build_report

SOURCES = ("glyphs", "digits", "textures")
EVIL = "<script>window.stolen = 1</script>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    levels = {"maml": 0.8, "anil": 0.79, "nil": 0.6}
    for method, level in levels.items():
        for regime in ("glyphs", "digits"):
            spec = run_spec(method, trained_on=(regime,), evaluated_on=SOURCES)
            own = {"glyphs": level, "digits": level - 0.1, "textures": 0.5}
            write_run(folder / "runs", spec, own)
    write_run(folder / "runs", run_spec("only", trained_on=("glyphs",), evaluated_on=("glyphs",)), 0.9)
    build_report(folder, title=f"A title {EVIL}", claim="One.\n\nTwo & three.", command="harness run x.gin")
    return folder / "report.html"


def text_of(page: str) -> str:
    """What a page says, without its markup."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", bare)).split())


def columns(driver: WebDriver, place: int) -> list[str]:
    rows = driver.find_elements(By.CSS_SELECTOR, "table.board tbody tr")
    return [row.find_elements(By.CSS_SELECTOR, "th,td")[place].text for row in rows if row.is_displayed()]


def drawn(driver: WebDriver) -> int:
    """How many plots there are, once all of them are drawn."""
    wanted = len(driver.find_elements(By.CSS_SELECTOR, ".plot"))
    deadline = time.monotonic() + 60
    while len(driver.find_elements(By.CSS_SELECTOR, ".plot svg.marks")) < wanted:
        assert time.monotonic() < deadline, "not all plots are drawn"
        time.sleep(0.1)
    return wanted


def test_it_is_one_file_that_asks_for_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    markup = re.sub(r"<script\b.*?</script>", "", text, flags=re.DOTALL)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', markup)
    assert markup.count("<link") == 1  # the icon, which is empty: a browser would ask for one otherwise
    assert len(text) < 1_500_000


def test_it_opens_without_an_error_and_draws_its_plots(page: Path) -> None:
    with browser(page) as driver:
        assert drawn(driver) == 2 + 4  # accuracy of two regimes; accuracy and loss over the updates of each
        assert driver.execute_script("return window.stolen") is None  # type: ignore[no-untyped-call]
        assert driver.find_element(By.TAG_NAME, "h1").text == f"A title {EVIL}"
        assert [q.text for q in driver.find_elements(By.CSS_SELECTOR, "blockquote p")] == [
            "Claim under test: One.",
            "Two & three.",
        ]


def test_sorting_by_a_source_and_by_name(page: Path) -> None:
    with browser(page) as driver:
        heads = driver.find_elements(By.CSS_SELECTOR, "table.board thead button")
        names = [head.text for head in heads]
        place = names.index("digits")
        heads[place].click()
        values = [float(text.split()[0]) for text in columns(driver, place) if text[0].isdigit()]
        assert values == sorted(values, reverse=True)
        assert columns(driver, place)[-1] == "\N{EN DASH}"  # what was not measured comes last
        heads[place].click()
        values = [float(text.split()[0]) for text in columns(driver, place) if text[0].isdigit()]
        assert values == sorted(values)
        assert columns(driver, place)[-1] == "\N{EN DASH}"
        cells = driver.find_elements(By.CSS_SELECTOR, "table.board thead th")
        assert [cell.get_attribute("aria-sort") for cell in cells].count("ascending") == 1
        heads[0].click()
        assert columns(driver, 0) == sorted(columns(driver, 0), reverse=True)


def test_filters_hide_rows_and_columns(page: Path) -> None:
    with browser(page) as driver:
        assert len(columns(driver, 0)) == 7
        driver.find_element(By.CSS_SELECTOR, "input[name=regime][value=digits]").click()
        assert columns(driver, 1) == ["glyphs"] * 4
        driver.find_element(By.CSS_SELECTOR, "input[name=source][value=textures]").click()
        shown = [
            h.text for h in driver.find_elements(By.CSS_SELECTOR, "table.board thead th") if h.is_displayed()
        ]
        assert [text.split()[0] for text in shown] == ["Method", "Trained", "glyphs", "digits"]


def test_the_best_and_those_level_with_it_are_marked_in_more_than_colour(page: Path) -> None:
    with browser(page) as driver:
        best = driver.find_elements(By.CSS_SELECTOR, "td.best")
        assert {int(cell.value_of_css_property("font-weight")) for cell in best} == {700}
        tied = [cell.text for cell in driver.find_elements(By.CSS_SELECTOR, "td.tied")]
        assert tied
        assert all("=" in text for text in tied)
        titles = [cell.get_attribute("title") or "" for cell in best]
        assert all(re.fullmatch(r"100 episodes, 1 seed; 95 % interval [\d.]+ to [\d.]+", t) for t in titles)


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_overflows(page: Path, width: int, dark: bool) -> None:
    with browser(page, width=width, dark=dark) as driver:
        drawn(driver)
        wide = "return [document.documentElement.scrollWidth, window.innerWidth]"
        content, window = driver.execute_script(wide)  # type: ignore[no-untyped-call]
        assert content <= window == width
        ink, back = (
            driver.find_element(By.TAG_NAME, "html").value_of_css_property(name)
            for name in ("color", "background-color")
        )
        bright = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, back)]
        assert (bright[0] > bright[1]) == dark
        svg = driver.find_element(By.CSS_SELECTOR, ".plot svg.marks")
        box = svg.rect
        assert box["x"] + box["width"] <= width


def test_a_sentence_in_a_table_stays_readable_on_a_phone(page: Path) -> None:
    with browser(page, width=400) as driver:
        cells = driver.find_elements(By.CSS_SELECTOR, "td.prose")
        assert any("would settle it" in cell.text or "not worse" in cell.text for cell in cells)
        assert min(cell.rect["width"] for cell in cells) > 300


def test_the_words_in_pictures_can_be_read_on_a_phone(page: Path) -> None:
    with browser(page, width=400) as driver:
        pictures = driver.find_elements(By.CSS_SELECTOR, ".picture img")
        assert pictures
        assert min(picture.rect["width"] for picture in pictures) >= 800
        assert driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("width", [400, 1400])
def test_verdicts_are_on_the_screen_without_scrolling(page: Path, width: int) -> None:
    with browser(page, width=width) as driver:
        cells = driver.execute_script(  # type: ignore[no-untyped-call]
            "return [...document.querySelectorAll('table.stacked td[data-column=Verdict]')].map(cell => "
            "[cell.querySelector('strong').textContent, cell.getBoundingClientRect().right, "
            "getComputedStyle(cell, '::before').content])"
        )
        assert cells
        for verdict, right, before in cells:
            assert verdict in ("reuse holds", "reuse fails", "inconclusive")
            assert right <= width
            assert ("Verdict" in before) == (width == 400), "stacked cells say their column"
        scrolls = driver.execute_script(  # type: ignore[no-untyped-call]
            "return [...document.querySelectorAll('table.stacked')].some(table => "
            "table.parentNode.scrollWidth > table.parentNode.clientWidth)"
        )
        assert not (scrolls and width == 400)


def test_every_picture_and_table_has_a_name(page: Path) -> None:
    with browser(page) as driver:
        for picture in driver.find_elements(By.TAG_NAME, "img"):
            assert picture.get_attribute("alt")
        for plot in driver.find_elements(By.CSS_SELECTOR, "[role=img]"):
            assert plot.get_attribute("aria-label")
        for table in driver.find_elements(By.TAG_NAME, "table"):
            assert table.find_elements(By.CSS_SELECTOR, "thead th[scope=col]")
        levels = [int(h.tag_name[1]) for h in driver.find_elements(By.CSS_SELECTOR, "h1,h2,h3,h4")]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))


def test_it_prints(page: Path) -> None:
    with browser(page) as driver:
        drawn(driver)
        closed = "return document.querySelectorAll('details:not([open])').length"
        assert driver.execute_script(closed) > 0
        printed = base64.b64decode(
            driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"]
        )
        assert driver.execute_script(closed) == 0, "what is folded away is printed, too"
        assert printed.startswith(b"%PDF")
        assert printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") >= 3


def test_no_table_or_plot_is_cut_on_paper(page: Path) -> None:
    with browser(page) as driver:
        drawn(driver)
        driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
        assert driver.execute_script("return document.querySelectorAll('table, .plot svg, img').length") > 3
        assert cut_on_paper(driver) == []


def cut_on_paper(driver: WebDriver) -> list[str]:
    """What reaches over the right edge of a sheet; plots stay as they were drawn for the screen, as when printing."""
    driver.execute_script(
        """
        window.vegaEmbed = () => {};
        for (const plot of document.querySelectorAll(".plot .target")) plot.replaceWith(plot.cloneNode(true));
        """
    )
    sheet = {
        "width": 1047,
        "height": 718,
        "deviceScaleFactor": 1,
        "mobile": False,
    }  # A4, 297 mm less two margins
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sheet)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    found: list[str] = driver.execute_script(
        """
        const edge = document.documentElement.clientWidth + 1;
        const seen = [...document.querySelectorAll("table, .plot svg, img, pre, p, li")];
        return seen.filter((one) => one.getBoundingClientRect().right > edge).map((one) => one.outerHTML.slice(0, 80));
        """
    )
    return found


def test_it_says_what_the_other_report_says(page: Path) -> None:
    said = text_of(page.read_text(encoding="utf-8"))
    report = (page.parent / "report.md").read_text(encoding="utf-8")
    for number in re.findall(r"\d+\.\d ± \d+\.\d", report):
        assert number in said
    assert "harness run x.gin" in said


def test_the_leaderboard_is_there_for_papers_and_for_programs(page: Path) -> None:
    table = pd.read_parquet(page.parent / "leaderboard.parquet")
    text = pd.read_csv(page.parent / "leaderboard.csv")
    assert table["accuracy"].tolist() == pytest.approx(text["accuracy"].tolist(), abs=1e-6)
    assert list(table.columns) == list(text.columns)
    lines = (page.parent / "leaderboard.tex").read_text(encoding="utf-8").splitlines()
    (only,) = [line for line in lines if line.startswith("only & glyphs & ")]
    assert only.endswith(r"$\dagger$ & -- & -- \\")
    assert only.startswith(r"only & glyphs & \textbf{")
    assert lines.count(r"\toprule") == 1


def test_the_same_runs_give_the_same_page(page: Path) -> None:
    before = page.read_bytes()
    build_report(
        page.parent, title=f"A title {EVIL}", claim="One.\n\nTwo & three.", command="harness run x.gin"
    )
    assert page.read_bytes() == before
