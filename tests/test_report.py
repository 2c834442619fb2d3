import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from fake_runs import episode_rows, run_spec, write_run
from harness.errors import ConfigError, WorkspaceError
from harness.report.build import build_report
from harness.report.style import DPI
from harness.results import LEADERBOARD_COLUMNS
from harness.store import RunFolder

SOURCES = {"glyphs": 0.85, "textures": 0.55}


def report(folder: Path, **changes) -> str:
    given = {"title": "A title", "claim": "A claim.", "command": "harness run x.gin", **changes}
    return build_report(folder, **given).path.read_text(encoding="utf-8")


def three_methods(folder: Path, **changes) -> None:
    for seed in (0, 1):
        for method, trainer in (("maml", None), ("anil", None), ("nil", "anil")):
            spec = run_spec(method, evaluated_on=tuple(SOURCES), seed=seed, trainer=trainer, **changes)
            write_run(folder / "runs", spec, SOURCES, steps=0 if method == "nil" else 10)


def html(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


def everything(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and "runs" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


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


def damaged_runs(runs: Path) -> dict[str, str]:
    """Runs that cannot be reported, and a part of the reason that the report must give."""
    failed = RunFolder(runs / "failed-run")
    failed.path.mkdir(parents=True)
    failed.write_status("failed", error="OutOfMemoryError: no\nmore | memory", traceback="...")
    RunFolder(runs / "foreign-folder").path.mkdir()
    expected = {"failed-run": r"no more \| memory", "foreign-folder": "no status"}

    torn = write_run(runs, run_spec("torn"), 0.5)
    torn.episodes.write_bytes(torn.episodes.read_bytes()[:200])
    expected[torn.path.name] = "episodes.parquet cannot be read"

    specless = write_run(runs, run_spec("specless"), 0.5)
    (specless.path / "spec.json").write_text("{")
    expected[specless.path.name] = "spec.json is missing, damaged or foreign"

    copied = write_run(runs, run_spec("copied"), 0.5)
    shutil.copytree(copied.path, runs / "a-copy")
    expected["a-copy"] = f"spec.json is that of the run {copied.path.name}"

    empty = write_run(runs, run_spec("empty"), 0.5)
    empty.write_episodes(episode_rows([]))
    expected[empty.path.name] = "holds no episodes"

    strange = write_run(runs, run_spec("strange"), 0.5)
    strange.write_episodes(episode_rows([0.5], run_id="another", method="strange"))
    expected[strange.path.name] = "episodes of the run another"
    return {**expected, **edited_runs(runs), **entangled_runs(runs)}


def edited_runs(runs: Path) -> dict[str, str]:
    """Runs whose files can be read but do not hold what they should."""
    expected = {}
    for name, key, value, reason in (
        ("a-number", "train", 5, "spec.json is damaged or foreign: it has another kind of train"),
        ("no-sources", "train", {"sources": [1]}, "another kind of train.sources"),
        ("no-text", "method_name", {"a": 1}, "another kind of method_name"),
        ("a-text", "seed", "0", "another kind of seed"),
    ):
        run = write_run(runs, run_spec(name), 0.5)
        (run.path / "spec.json").write_text(json.dumps({**run.spec(), key: value}))
        expected[run.path.name] = reason

    partial = write_run(runs, run_spec("partial"), 0.5)
    kept = {key: value for key, value in partial.spec().items() if key not in ("network", "train")}
    (partial.path / "spec.json").write_text(json.dumps(kept))
    expected[partial.path.name] = "it has no network, train"

    untimed = write_run(runs, run_spec("untimed"), 0.5)
    untimed.write_status(**{**untimed.status(), "training_seconds": "long", "adapted_layers": 3})
    expected[untimed.path.name] = (
        "status.json is damaged: it has another kind of training_seconds, adapted_layers"
    )

    stateless = write_run(runs, run_spec("stateless"), 0.5)
    (stateless.path / "status.json").write_text('{"state": "do')
    expected[stateless.path.name] = "status.json is damaged"

    for name, accuracy in (("percent", 50.0), ("nothing", float("nan"))):
        run = write_run(runs, run_spec(name), 0.5)
        run.write_episodes(pd.read_parquet(run.episodes).assign(accuracy=accuracy))
        expected[run.path.name] = "holds accuracies that are no numbers from 0 to 1"
    return expected


def entangled_runs(runs: Path) -> dict[str, str]:
    """Links that lead nowhere or round in circles, and folders where files should be."""
    (runs / "notes.txt").write_text("not a run")
    (runs / "circle").symlink_to("circle")  # no folder, so no run
    (runs / "itself").symlink_to(runs)
    expected = {"itself": "no status"}
    for name in ("episodes.parquet", "spec.json"):
        run = write_run(runs, run_spec(f"round-{name[:4]}"), 0.5)
        (run.path / name).unlink()
        (run.path / name).symlink_to(name)
        expected[run.path.name] = name
    folder = write_run(runs, run_spec("folder"), 0.5)
    folder.episodes.unlink()
    folder.episodes.mkdir()
    expected[folder.path.name] = "episodes.parquet cannot be read"
    return expected


def test_what_cannot_be_reported_is_named_with_the_reason(tmp_path):
    expected = damaged_runs(tmp_path / "runs")
    text = report(tmp_path)
    for run_id, reason in expected.items():
        assert re.search(rf"^- {re.escape(run_id)}: .*{re.escape(reason)}", text, re.MULTILINE), run_id
    assert f"{len(expected)} runs are not in this report" in text
    assert str(tmp_path) not in text
    assert "copied" in pd.read_csv(tmp_path / "leaderboard.csv")["method"].tolist()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b'{"iteration": 0, "valid_accuracy": 0.2, "loss": null}\n\xff\xfe',
            "line 2 of curve.jsonl is damaged",
        ),
        (b"[1, 2]\n", "line 1 of curve.jsonl is damaged"),
        (b'{"iteration": 0, "valid_accuracy": [1]}\n', "line 1 of curve.jsonl is damaged"),
        (None, "curve.jsonl cannot be read (IsADirectoryError)"),
    ],
)
def test_a_damaged_curve_is_named_and_the_rest_is_there(tmp_path, content, reason):
    write_run(tmp_path / "runs", run_spec(), 0.7)
    folder = write_run(tmp_path / "runs", run_spec(seed=1), 0.7)
    path = folder.path / "curve.jsonl"
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    text = report(tmp_path)
    assert "Nothing: every run finished." in text
    assert f"- {folder.path.name}: {reason}" in text
    assert f"<li>{folder.path.name}: {reason}</li>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "200 episodes" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_no_finished_run_is_said_plainly(tmp_path):
    RunFolder(tmp_path / "runs" / "r").path.mkdir(parents=True)
    RunFolder(tmp_path / "runs" / "r").write_status("interrupted")
    text = report(tmp_path)
    assert "no run has finished" in text
    assert "- r: not finished (interrupted)" in text
    assert pd.read_csv(tmp_path / "leaderboard.csv").empty
    assert (tmp_path / "figures").is_dir()


def test_an_empty_report_can_be_refused_and_then_writes_nothing(tmp_path):
    three_methods(tmp_path)
    report(tmp_path)
    before = everything(tmp_path)
    shutil.rmtree(tmp_path / "runs")
    runs = [RunFolder(tmp_path / "runs" / "a")]
    with pytest.raises(WorkspaceError, match=r"runs of this report are not here.*`harness run x.gin` makes"):
        report(tmp_path, runs=runs, even_empty=False)
    runs[0].path.mkdir(parents=True)
    runs[0].write_status("failed", error="no luck")
    with pytest.raises(WorkspaceError, match=r"a: failed: no luck.*`harness run x.gin` carries on"):
        report(tmp_path, runs=runs, even_empty=False)
    assert everything(tmp_path) == before


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


def test_planned_runs_that_never_started_are_named(tmp_path):
    text = report(tmp_path, runs=[RunFolder(tmp_path / "runs" / "planned")])
    assert "- planned: never started" in text


def test_no_folder_of_runs_is_refused(tmp_path):
    with pytest.raises(WorkspaceError, match="There is no folder"):
        report(tmp_path)


def test_a_changed_method_is_refused_with_the_difference(tmp_path):
    old = write_run(tmp_path / "runs", run_spec(inner_lr=0.1), 0.5)
    new = write_run(tmp_path / "runs", run_spec(inner_lr=0.4, seed=1), 0.5)
    with pytest.raises(WorkspaceError, match=r"inner_lr \(0\.[14], 0\.[14]\)"):
        report(tmp_path)
    assert "reaches" in report(tmp_path, runs=[old])
    assert "reaches" in report(tmp_path, runs=[new])


def test_a_changed_regime_is_refused_with_the_difference(tmp_path):
    write_run(tmp_path / "runs", run_spec("maml", regime="r"), 0.5)
    write_run(tmp_path / "runs", run_spec("anil", regime="r", trained_on=("textures",)), 0.5)
    with pytest.raises(WorkspaceError, match=r"trained on 'r'.*train\.sources"):
        report(tmp_path)


def test_the_same_run_evaluated_twice_is_refused(tmp_path):
    write_run(tmp_path / "runs", run_spec(evaluated_on=("glyphs",)), 0.5)
    write_run(tmp_path / "runs", run_spec(evaluated_on=("glyphs", "textures")), SOURCES)
    with pytest.raises(ConfigError, match="measured more than once"):
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


def test_folders_beside_the_runs_are_named(tmp_path: Path) -> None:
    own = write_run(tmp_path / "runs", run_spec("maml"), 0.8)
    stranger = write_run(tmp_path / "runs", run_spec("anil"), 0.7)
    (tmp_path / "runs" / "notes").mkdir()
    begun = RunFolder(tmp_path / "runs" / run_spec("nil").run_id)
    begun.begin(run_spec("nil"))
    begun.write_status("training")
    text = report(tmp_path, runs=[own, begun])
    for name in (stranger.path.name, "notes"):
        assert f"{name}: not among the runs of the last `harness run` here" in text.replace("\\", "")
    assert f"{begun.path.name}: not finished (training)" in text
    assert "| anil |" not in text


def test_what_is_missing_is_said_first(tmp_path):
    three_methods(tmp_path)
    assert "missing from this report" not in report(tmp_path)
    folder = sorted(path for path in (tmp_path / "runs").iterdir() if path.name.startswith("maml"))[0]
    (folder / "spec.json").write_text("{bad")
    built = build_report(tmp_path, title="", claim="", command="")
    n_runs = len(list((tmp_path / "runs").iterdir()))
    said = f"1 of {n_runs} runs is missing from this report ({folder.name}: spec.json is missing, damaged or foreign"
    assert built.missing_runs.startswith(said)
    top = (tmp_path / "report.md").read_text().partition("## In short")[0]
    assert f"1 of {n_runs} runs is missing from this report" in top
    page = (tmp_path / "report.html").read_text()
    assert '<p class="warning"><strong>1 of' in page
