"""The report's section on reuse: verdicts of a known truth, and sentences that are true."""

import re
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from fake_probes import CONTROLS, Truth, write_probes
from fake_runs import run_spec, write_run
from harness.equivalence import DEFAULT_MARGIN_POINTS, FAILS, HOLDS
from harness.errors import ConfigError
from harness.experiment import Experiment
from harness.report.reuse_verdicts import REUSE_COLUMNS, Judging
from harness.store import RunFolder
from reuse_studies import LEARNT, LEVELS, REUSED, changed, report, section, study, verdicts


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file() and "runs" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learnt")
    study(folder)
    report(folder)
    return folder


@pytest.fixture(scope="module")
def reused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reused")
    study(folder, REUSED, seeds=1)
    report(folder, judging=Judging(margin_points=3))
    return folder


def test_a_known_truth_gets_its_verdicts(learnt: Path) -> None:
    table = verdicts(learnt)
    assert tuple(table.columns) == REUSE_COLUMNS
    assert set(zip(table["comparison"], table["method"], table["a"], table["b"], strict=True)) == {
        ("methods", "", "anil", "maml"),
        ("methods", "", "nil", "maml"),
        ("freezing", "maml", "head only", "everything"),
        ("freezing", "anil", "head only", "everything"),
    }
    assert set(table.loc[table["source"] == "textures", "verdict"]) == {FAILS}
    assert FAILS not in set(table.loc[table["source"] == "glyphs", "verdict"])
    assert table.set_index("source")["in_training"].groupby("source").first().to_dict() == {
        "digits": False, "glyphs": True, "textures": False
    }  # fmt: skip


def test_where_nothing_is_lost_reuse_holds_for_these_networks_only(reused: Path) -> None:
    assert set(verdicts(reused)["verdict"]) == {HOLDS}
    text = section((reused / "report.md").read_text())
    assert "**anil against maml:** reuse holds on all 3 sources (glyphs, digits, textures)." in text
    assert "every verdict is about these trained networks only" in text
    assert "was declared with the experiment: 3 points." in text


def test_the_verdicts_come_before_everything_and_the_section_after_the_summary(learnt: Path) -> None:
    text = (learnt / "report.md").read_text()
    headings = re.findall(r"^##+ (.*)$", text, re.MULTILINE)
    assert headings[:13] == [
        "In short", "Is it reuse?", "Accuracy", "Reuse", "Verdicts in detail", "Freezing",
        "Similarity before and after adaptation", "Movement", "Gradient flow", "Read-outs", "Specialisation",
        "What was not compared or not measured", "Results",
    ]  # fmt: skip
    assert "these trained networks only" not in text
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (learnt / picture).read_bytes().startswith(b"\x89PNG")
    assert "Nothing was measured" not in text
    assert "nan" not in MarkdownIt().render(section(text))


def said(folder: Path, lead: str) -> list[str]:
    """The sentences that begin with `lead` in bold."""
    text = section((folder / "report.md").read_text())
    return re.findall(rf"^- \*\*{re.escape(lead)}:\*\* (.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["learnt", "reused"])
def test_sentences_count_the_verdicts_of_the_table(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    for (method, a, b), rows in verdicts(folder).groupby(["method", "a", "b"]):
        (sentence,) = said(folder, f"{a} against {b}" + (f" in {method}" if method else ""))
        for verdict, words in ((HOLDS, "reuse holds on"), (FAILS, "fails on")):
            own = rows.loc[rows["verdict"] == verdict, "source"]
            assert (words in sentence) == (len(own) > 0)
            stated = sentence.partition(words)[2].partition(";")[0].partition(". The")[0]
            assert {source for source in LEVELS if source in stated} == set(own)


@pytest.mark.parametrize(("name", "truth"), [("learnt", LEARNT), ("reused", REUSED)])
def test_sentences_of_the_probes_hold_for_the_rows(
    name: str, truth: Truth, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(name)
    rows = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("runs/maml-*/probes.parquet"))])
    rows = rows[rows["episode"].notna()]
    keys = ["source", "layer", "quantity", "seed"]
    rows = rows[(rows["condition"] == "everything") | (rows["layer"] == "")]
    alike = rows[(rows["probe"] == "similarity") & (rows["layer"] != "head")].groupby(keys)["value"].mean()
    least = alike.groupby(["source", "layer", "quantity"]).mean().xs("cka", level="quantity").min()
    stated = [float(re.search(r"at least ([\d.]+) ", one)[1]) for one in said(folder, "CKA")]
    assert max(stated) <= least + 0.011
    assert any(value <= least < value + 0.01 for value in stated)

    moved = rows[(rows["quantity"] == "weight_change") & (rows["layer"] != "head")]
    last = moved[moved["step"] == moved["step"].max()].groupby(["source", "layer", "seed"])["value"].mean()
    most = last.groupby(["source", "layer"]).mean().max()
    ends = [float(re.search(r"at most ([\d.]+) ", one)[1]) for one in said(folder, "Relative weight change")]
    assert any(most <= value < most + 0.01 for value in ends)

    gains = said(folder, "7 controls")
    better = truth.control_gain > 0
    assert len(gains) == 2
    assert all(("clearly more accurate than as trained:" in one) == better for one in gains)


def test_controls_are_compared_with_the_steps_as_trained(learnt: Path) -> None:
    text = section((learnt / "report.md").read_text())
    for name in CONTROLS[1:]:
        assert len(re.findall(rf"^\| maml \| {re.escape(name)} \|", text, re.MULTILINE)) == 1
    assert "| maml | body x1 |" not in text


def test_a_single_method_has_no_section_and_no_file(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", run_spec("anil"), 0.7)
    (tmp_path / "reuse.csv").write_text("of an earlier report")
    assert "## Reuse" not in report(tmp_path)
    assert not (tmp_path / "reuse.csv").exists()


def test_policies_stand_side_by_side_each_with_its_own_verdicts(tmp_path: Path) -> None:
    study(tmp_path, seeds=1, probes=False)
    for path in sorted(tmp_path.glob("runs/*")):
        run = RunFolder(path)
        frame = pd.read_parquet(run.episodes)
        run.write_episodes(pd.concat([frame, frame.assign(batch_norm="support")]))
    text = section(report(tmp_path))
    assert set(verdicts(tmp_path)["batch_norm"]) == {"support", "transductive"}
    for policy in ("support", "transductive"):
        assert f"**Trained on glyphs, 5-way 1-shot, test split, {policy} batch norm**" in text


@pytest.mark.parametrize("margin", [0, -1.0, float("nan")])
def test_a_margin_that_is_no_margin_is_refused_before_anything_is_written(
    tmp_path: Path, margin: float
) -> None:
    write_run(tmp_path / "runs", run_spec(), 0.7)
    with pytest.raises(ConfigError, match="The margin of equivalence is"):
        report(tmp_path, judging=Judging(margin_points=margin))
    assert not (tmp_path / "report.md").exists()


def test_the_margin_has_one_default() -> None:
    assert Experiment.__dataclass_fields__["margin_points"].default == DEFAULT_MARGIN_POINTS


def test_a_rebuilt_report_has_the_same_bytes(learnt: Path) -> None:
    first = files(learnt)
    (learnt / "figures" / "reuse-old.png").write_bytes(b"x")
    runs = [RunFolder(path) for path in sorted((learnt / "runs").iterdir())]
    report(learnt, runs=runs[::-1])
    assert files(learnt) == first
    assert "reuse.csv" in first


@pytest.mark.slow
def test_a_large_study_is_judged_in_every_cell(tmp_path: Path) -> None:
    levels = {f"source_{index}": 0.9 - 0.05 * index for index in range(10)}
    truth = Truth(body_gain={source: 0.01 * k for k, source in enumerate(levels)}, level=levels)
    for seed in range(3):
        for name in ("maml", "anil", "nil", "proto"):
            spec = run_spec(name, trained_on=("source_0",), evaluated_on=tuple(levels), seed=seed)
            run = write_run(tmp_path / "runs", spec, levels, n_episodes=600)
            cannot = name in ("nil", "proto")
            write_probes(run, spec, truth, n_episodes=600, few=10, steps=10, cannot_adapt=cannot)
    report(tmp_path)
    assert len(verdicts(tmp_path)) == 5 * 10


def test_episodes_of_any_size_are_judged(tmp_path: Path) -> None:
    study(tmp_path, seeds=1)
    sizes = {
        "n_way": lambda f: 5 + f["episode"].fillna(0).astype("int64") % 7,
        "n_support": lambda f: 3 * f["n_way"],
        "n_query": lambda f: 10 * f["n_way"],
    }
    for name in ("maml", "anil", "nil"):
        changed(tmp_path, name, protocol="meta_dataset", **sizes)
    for path in tmp_path.glob("runs/*/probes.parquet"):
        pd.read_parquet(path).assign(protocol="meta_dataset", **sizes).to_parquet(path)
    text = section(report(tmp_path))
    assert ": not compared" not in text
    judged = verdicts(tmp_path)
    assert (judged["n_way"] == "").all()
    assert judged.groupby(["comparison", "a"])["source"].agg(set).to_dict() == {
        ("methods", "anil"): set(LEVELS),
        ("methods", "nil"): set(LEVELS),
        ("freezing", "head only"): set(LEVELS),
    }
