import json
import re
import shutil
from xml.etree import ElementTree

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from fake_runs import episode_rows, run_spec, write_run
from harness.errors import WorkspaceError
from harness.report.build import build_report
from harness.report.style import DPI
from harness.results import LEADERBOARD_COLUMNS
from harness.store import RunFolder
from small_reports import SOURCES, everything, report, three_methods


def html(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


def test_a_report_says_what_was_found_and_how(tmp_path):
    three_methods(tmp_path)
    (tmp_path / "config.gin").write_text("Experiment.name = 'x'\n")
    text = report(tmp_path)
    for phrase in (
        "# A title",
        "> **Claim under test:** A claim.",
        "**Trained on glyphs.** New classes of what it was trained on: glyphs",
        "Sources it was never trained on: textures",
        "**textures** (not in training)",
        "anil, nil share one training on glyphs",
        "t interval over the seeds' means",
        "inner_lr 0.4, inner_steps 1",
        "2000 of 8 episodes",
        "transductive",
        "Imaginary CPU, 2 cores",
        "Nothing: every run finished.",
        "harness run x.gin",
        "Experiment.name = 'x'",
    ):
        assert phrase in text
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    assert text.count("![") == 3
    board = pd.read_csv(tmp_path / "leaderboard.csv")
    assert tuple(board.columns) == LEADERBOARD_COLUMNS
    assert len(board) == 6


def test_the_table_holds_the_boards_numbers(tmp_path):
    write_run(tmp_path / "runs", run_spec(), 0.7)
    text = report(tmp_path)
    row = pd.read_csv(tmp_path / "leaderboard.csv").iloc[0]
    cell = f"{100 * row['accuracy']:.1f} ± {100 * row['ci95']:.1f}"
    assert f"| maml | glyphs | **{cell}** † |" in text
    assert f"maml reaches {cell} %" in text
    assert "in Meta-Dataset" in text


def test_the_same_runs_give_the_same_bytes(tmp_path):
    three_methods(tmp_path / "a")
    report(tmp_path / "a")
    first = everything(tmp_path / "a")
    shutil.copytree(tmp_path / "a" / "runs", tmp_path / "b" / "runs")
    report(tmp_path / "b")
    report(tmp_path / "a")
    assert everything(tmp_path / "a") == first == everything(tmp_path / "b")


def test_the_order_of_the_folders_does_not_matter(tmp_path):
    three_methods(tmp_path)
    folders = [RunFolder(path) for path in sorted((tmp_path / "runs").iterdir())]
    report(tmp_path, runs=folders)
    first = everything(tmp_path)
    report(tmp_path, runs=folders[::-1])
    assert everything(tmp_path) == first


def test_figures_of_an_earlier_report_go(tmp_path):
    write_run(tmp_path / "runs", run_spec(), 0.7)
    (tmp_path / "figures").mkdir()
    for name in ("curves-old.png", "curves-old.svg", "mine.png", "mine.svg"):
        (tmp_path / "figures" / name).write_bytes(b"x")
    report(tmp_path)
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert names == [
        f"{stem}.{form}"
        for stem in ("accuracy-5-way-1-shot-test-split", "curves-glyphs", "mine")
        for form in ("png", "svg")
    ]


def test_every_figure_is_there_as_svg_that_runs_nothing(tmp_path):
    for method in ("maml", "anil", "--><script>alert(1)</script>"):
        spec = run_spec("maml" if method == "maml" else "anil", seed=len(method))
        folder = write_run(tmp_path / "runs", spec, 0.7)
        changed = {**spec.to_json(), "method_name": method}
        (folder.path / "spec.json").write_text(json.dumps(changed))
        folder.write_episodes(pd.read_parquet(folder.episodes).assign(method=method))
    text = report(tmp_path)
    assert "Each figure is in `figures/` as SVG, too." in text
    pictures = sorted((tmp_path / "figures").glob("*.png"))
    assert len(pictures) == 3
    assert [path.with_suffix(".svg") for path in pictures] == sorted((tmp_path / "figures").glob("*.svg"))
    for path in pictures:
        root = ElementTree.parse(path.with_suffix(".svg")).getroot()
        with Image.open(path) as picture:
            inches = [float(root.get(side).removesuffix("pt")) / 72 for side in ("width", "height")]
            assert inches == pytest.approx([pixels / DPI for pixels in picture.size], abs=0.02)
        kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert not kinds & {"script", "text", "date", "image"}  # words as paths, whatever fonts there are
        assert "path" in kinds


def test_the_result_is_the_path_and_the_board(tmp_path):
    three_methods(tmp_path)
    built = build_report(tmp_path, title="", claim="", command="")
    assert built.path == tmp_path / "report.md"
    written = pd.read_csv(tmp_path / "leaderboard.csv")
    assert built.board["method"].tolist() == written["method"].tolist()
    assert built.board["accuracy"].to_list() == pytest.approx(written["accuracy"].to_list(), rel=1e-5)


def test_the_config_of_the_runs_comes_with_the_report(tmp_path):
    write_run(tmp_path / "runs", run_spec(), 0.7)
    (tmp_path / "config.gin").write_text("old = 1\n")
    (tmp_path / "runs" / "config.gin").write_text("new = 1\n")
    text = report(tmp_path, config=tmp_path / "runs" / "config.gin")
    assert "new = 1" in text
    assert "old = 1" not in text
    assert (tmp_path / "config.gin").read_text() == "new = 1\n"


def test_raw_data_is_said_to_be_needed(tmp_path):
    write_run(tmp_path / "runs", run_spec(), 0.7)
    made = report(tmp_path, raw_data=["omniglot"]).partition("## Made with")[2]
    assert "raw data of omniglot is looked for in the folder that `--data` or `$HARNESS_DATA` names" in made
    assert "--data" not in report(tmp_path)


def test_a_figure_that_cannot_be_removed_is_one_sentence(tmp_path):
    write_run(tmp_path / "runs", run_spec(), 0.7)
    (tmp_path / "figures" / "curves-old.png").mkdir(parents=True)
    with pytest.raises(WorkspaceError, match=r"curves-old\.png"):
        report(tmp_path)


def test_names_cannot_forge_the_page(tmp_path):
    name = "a|b <script>alert(1)</script> `c` **d** [e](f) $g$ _h_"
    spec = run_spec("maml", regime=name)
    object.__setattr__(spec, "method_name", name)
    folder = RunFolder(tmp_path / "runs" / "odd")
    whole = write_run(tmp_path / "elsewhere", run_spec(), 0.5)
    shutil.copytree(whole.path, folder.path)
    plain = {**spec.to_json(), "run_id": "odd"}
    (folder.path / "spec.json").write_text(json.dumps(plain))
    folder.write_episodes(episode_rows([0.4, 0.6], run_id="odd", method=name, trained_on=name))
    text = report(tmp_path, title="# <b>T</b> | t", claim="1. one\n\n<i>two</i>", command="x ``` y")
    page = html(text)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<td>a|b &lt;script&gt;alert(1)&lt;/script&gt; `c` **d** [e](f) $g$ _h_</td>" in page
    assert "<h1># &lt;b&gt;T&lt;/b&gt; | t</h1>" in page
    assert "<p><strong>Claim under test:</strong> 1. one</p>\n<p>&lt;i&gt;two&lt;/i&gt;</p>" in page
    assert "x ``` y\n</code>" in page


def test_one_source_beats_chance_or_the_report_says_not(tmp_path):
    write_run(tmp_path / "runs", run_spec(), 0.2)
    assert "does not lie above chance" in report(tmp_path)


def test_two_panels_make_two_figures(tmp_path):
    shapes = run_spec("maml", evaluated_on=("glyphs", "textures"))
    folder = write_run(tmp_path / "runs", shapes, SOURCES)
    frame = pd.read_parquet(folder.episodes)
    frame.loc[frame["source"] == "textures", "n_support"] = 25
    folder.write_episodes(frame)
    text = report(tmp_path)
    assert "\n### 5-way 5-shot, test split\n" in text
    assert len(list((tmp_path / "figures").glob("accuracy-*.png"))) == 2


def test_missing_status_keys_and_curves_are_no_trouble(tmp_path):
    folder = write_run(tmp_path / "runs", run_spec(), 0.6)
    folder.write_status("done")
    (folder.path / "curve.jsonl").unlink()
    text = report(tmp_path)
    assert "The runs did not record their environment." in text
    assert "## Learning curves" not in text


def test_curves_without_numbers_are_drawn(tmp_path):
    folder = write_run(tmp_path / "runs", run_spec(), 0.6)
    (folder.path / "curve.jsonl").write_text(
        '{"iteration": 0, "loss": null, "valid_accuracy": null, "seconds": 0}\n'
        '{"iteration": 9, "loss": NaN, "valid_accuracy": 0.4, "seconds": 1}\n'
    )
    assert "curves-glyphs.png" in report(tmp_path)


@pytest.mark.slow
def test_many_methods_and_sources(tmp_path):
    sources = {f"source_{index}": 0.9 - 0.05 * index for index in range(10)}
    for index in range(12):
        spec = run_spec(f"method_{index}", trained_on=("source_0",), evaluated_on=tuple(sources))
        write_run(tmp_path / "runs", spec, sources, n_episodes=20)
    text = report(tmp_path)
    assert "| method_11 | source_0 |" in text
