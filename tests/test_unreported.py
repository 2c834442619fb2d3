"""What a report cannot be about: damaged, foreign, entangled and missing runs."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from fake_runs import episode_rows, run_spec, write_run
from harness import workflow
from harness.errors import ConfigError, WorkspaceError
from harness.files import write_json
from harness.leaderboard.merging import merge
from harness.report.build import build_report
from harness.report.gather import read_run
from harness.store import RunFolder
from small_reports import SOURCES, everything, report, three_methods


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
    expected[specless.path.name] = "spec.json is missing or damaged"

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
        ("no-source", "evaluations", [{"source": None}], "another kind of evaluations.0.source"),
        ("nameless", "evaluations", [{"source": {}}], "another kind of evaluations"),
        ("no-tests", "evaluations", {"source": 1}, "another kind of evaluations"),
        ("a-list", "train", {"sources": [], "meta_batch": [4]}, "another kind of train.meta_batch"),
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

    layerless = write_run(runs, run_spec("layerless"), 0.5)
    layerless.write_status(**{**layerless.status(), "adapted_layers": None})
    expected[layerless.path.name] = "status.json is damaged: it has another kind of adapted_layers"

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
    ("change", "said"),
    [
        ({"train": {"shape": {"min_way": 5, "newer": 3}}}, "5 to 50 ways"),
        ({"train": {"shape": {"min_way": 7, "max_way": 2}}}, "min_way 7, max_way 2"),
        ({"network": {"plugin": "conv4", "params": {"inner": {"plugin": "x", "params": 3}}}}, "inner x"),
    ],
    ids=["newer", "impossible", "nested"],
)
def test_a_spec_with_more_or_odd_parameters_is_reported(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    run = write_run(tmp_path / "runs", run_spec("maml"), 0.5)
    train = {**run.spec()["train"], **change.get("train", {})}
    (run.path / "spec.json").write_text(json.dumps({**run.spec(), **change, "train": train}))
    write_json(tmp_path / "experiment.json", {"left_out": [{"source": "mnist"}], "runs": [run.path.name]})
    workflow.report(tmp_path, Console(quiet=True))
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "not in this report" not in text
    assert said in text
    assert "mnist, of the experiment: not said" in text
    assert merge([tmp_path]).left_out == ()


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


def test_planned_runs_that_never_started_are_named(tmp_path):
    (tmp_path / "runs").mkdir()
    text = report(tmp_path, runs=[RunFolder(tmp_path / "runs" / "planned")])
    assert "- planned: never started" in text


def test_a_report_whose_runs_are_elsewhere_is_not_called_unstarted(tmp_path):
    _, left_out = read_run(RunFolder(tmp_path / "runs" / "planned"))
    assert [left.reason for left in left_out] == ["the runs are not here, only their report"]


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
    said = f"1 of {n_runs} runs is missing from this report ({folder.name}: spec.json is missing or damaged"
    assert built.missing_runs.startswith(said)
    top = (tmp_path / "report.md").read_text().partition("## In short")[0]
    assert f"1 of {n_runs} runs is missing from this report" in top
    page = (tmp_path / "report.html").read_text()
    assert '<p class="warning"><strong>1 of' in page
