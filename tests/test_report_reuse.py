"""The report's section on reuse: verdicts of a known truth, sentences that are true, and what is missing."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from fake_probes import CONTROLS, Truth, write_probes
from fake_runs import run_spec, write_run
from harness.equivalence import DEFAULT_MARGIN_POINTS, FAILS, HOLDS
from harness.errors import ConfigError
from harness.experiment import Experiment
from harness.report.build import build_report
from harness.report.reuse_text import above, below, listed, signed, similarity_said
from harness.report.reuse_verdicts import REUSE_COLUMNS, Judging
from harness.store import RunFolder

LEVELS = {"glyphs": 0.8, "digits": 0.6, "textures": 0.4}
REUSED = Truth(
    body_gain=dict.fromkeys(LEVELS, 0.0),
    similarity=dict.fromkeys(LEVELS, 0.98),
    control_gain=-0.5,
    level=LEVELS,
)
LEARNT = Truth(
    body_gain={"glyphs": 0.0, "digits": 0.1, "textures": 0.2},
    similarity={"glyphs": 0.98, "digits": 0.8, "textures": 0.6},
    control_gain=0.3,
    level=LEVELS,
)


def study(
    folder: Path, truth: Truth = LEARNT, *, seeds: int = 2, probes: bool = True, few: int = 12, **more
) -> None:
    """maml, anil and nil trained on glyphs; maml gains what the truth says that the body gains."""
    for seed in range(seeds):
        for name, trainer in (("maml", None), ("anil", None), ("nil", "anil")):
            spec = run_spec(name, evaluated_on=tuple(LEVELS), seed=seed, trainer=trainer, **more)
            gain = truth.body_gain if name == "maml" else dict.fromkeys(LEVELS, 0.0)
            levels = {source: level + gain[source] for source, level in LEVELS.items()}
            run = write_run(folder / "runs", spec, levels, n_episodes=400, steps=0 if name == "nil" else 10)
            if probes:
                write_probes(run, spec, truth, n_episodes=100, few=few, steps=3, cannot_adapt=name == "nil")


def report(folder: Path, **changes) -> str:
    given = {"title": "T", "claim": "", "command": "harness run x.gin", **changes}
    return build_report(folder, **given).path.read_text(encoding="utf-8")


def section(text: str) -> str:
    """What is said of reuse alone: the answer in short, and the section."""
    answer = text.partition("### Is it reuse?\n")[2].partition("\n### Accuracy\n")[0]
    return answer + text.partition("## Reuse\n")[2].partition("\n## Results\n")[0]


def verdicts(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "reuse.csv", keep_default_na=False)


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


def test_what_cannot_adapt_is_named_with_the_reason_once(learnt: Path) -> None:
    text = section((learnt / "report.md").read_text())
    assert text.count("nil has no inner loop, so it cannot adapt.") == 1
    (line,) = [line for line in text.splitlines() if "no inner loop" in line]
    for probe in ("freeze", "similarity", "movement", "gradient_flow"):
        assert probe in line


def test_without_probes_the_verdicts_of_methods_stand(tmp_path: Path) -> None:
    study(tmp_path, probes=False)
    text = section(report(tmp_path))
    assert "**anil against maml:**" in text
    assert "### Freezing" not in text
    assert "**Probes:** none was run" in text
    assert set(verdicts(tmp_path)["comparison"]) == {"methods"}


def test_probes_that_cannot_be_read_are_named_and_the_rest_is_there(tmp_path: Path) -> None:
    study(tmp_path, seeds=1)
    (torn,) = tmp_path.glob("runs/anil-*/probes.parquet")
    torn.write_bytes(torn.read_bytes()[:99])
    (foreign,) = tmp_path.glob("runs/nil-*/probes.parquet")
    frame = pd.read_parquet(foreign).assign(seed=7)
    frame.to_parquet(foreign)
    text = section(report(tmp_path))
    assert f"**Probes of {torn.parent.name}:** probes.parquet cannot be read" in text
    assert "probes.parquet and spec.json disagree about seed" in text
    assert "head only against everything in maml" in text
    assert "head only against everything in anil" not in text


def test_a_single_method_has_no_section_and_no_file(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", run_spec("anil"), 0.7)
    (tmp_path / "reuse.csv").write_text("of an earlier report")
    assert "## Reuse" not in report(tmp_path)
    assert not (tmp_path / "reuse.csv").exists()


def changed(folder: Path, method: str, **columns) -> None:
    """Give all episodes of a method other values; a callable gets the frame."""
    for path in folder.glob(f"runs/{method}-*"):
        run = RunFolder(path)
        frame = pd.read_parquet(run.episodes)
        for name, value in columns.items():
            frame[name] = value(frame) if callable(value) else value
        run.write_episodes(frame)


@pytest.mark.parametrize(
    ("column", "value", "where"),
    [
        ("protocol_version", 1, ""),
        ("batch_norm", "support", ""),
        ("fingerprint", lambda f: np.where(f["source"] == "digits", "other", f["fingerprint"]), " on digits"),
    ],
)
def test_what_was_not_measured_alike_is_refused_and_the_rest_is_judged(
    tmp_path: Path, column: str, value, where: str
) -> None:
    study(tmp_path, seeds=1, probes=False)
    changed(tmp_path, "nil", **{column: value})
    text = section(report(tmp_path))
    lines = [
        line for line in text.splitlines() if line.startswith("- **nil against maml, trained on glyphs:**")
    ]
    assert len(lines) == 1
    assert all(f"they differ in '{column}'" in line for line in lines)
    assert f"not compared{where}" in lines[0]
    judged = verdicts(tmp_path).groupby("a")["source"].agg(set).to_dict()
    assert judged["anil"] == set(LEVELS)
    assert judged.get("nil", set()) == (set(LEVELS) - {"digits"} if where else set())


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


def test_a_missing_reference_is_named(tmp_path: Path) -> None:
    study(tmp_path, seeds=1, probes=False)
    text = section(report(tmp_path, judging=Judging(full_adaptation="maml_2")))
    assert "There is no finished run of maml_2." in text
    assert "Nothing could be compared" in text


def test_variants_of_the_reference_are_not_judged(tmp_path: Path) -> None:
    for name in ("maml", "fo_maml", "anil"):
        plugin = "maml" if "maml" in name else name
        spec = run_spec(plugin)
        object.__setattr__(spec, "method_name", name)
        write_run(tmp_path / "runs", spec, 0.7)
    report(tmp_path)
    assert set(verdicts(tmp_path)["a"]) == {"anil"}
    report(tmp_path, judging=Judging(full_adaptation="fo_maml"))
    assert set(verdicts(tmp_path)["b"]) == {"fo_maml"}


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


def test_rows_without_a_value_need_no_shape(tmp_path: Path) -> None:
    study(tmp_path, seeds=1)
    (path,) = tmp_path.glob("runs/nil-*/probes.parquet")
    frame = pd.read_parquet(path)
    shapes = ["n_way", "n_support", "n_query"]
    frame[shapes] = frame[shapes].where(frame["value"].notna())
    frame.to_parquet(path)
    assert "nil has no inner loop, so it cannot adapt." in section(report(tmp_path))


def test_a_probe_that_the_report_does_not_know_is_named(tmp_path: Path) -> None:
    study(tmp_path, seeds=1)
    for path in tmp_path.glob("runs/*/probes.parquet"):
        frame = pd.read_parquet(path)
        frame.assign(probe=frame["probe"].replace("movement", "mine")).to_parquet(path)
    text = section(report(tmp_path))
    assert "**mine:** measured, and not shown here" in text
    assert "movement was not run" in text


def test_what_adapts_the_body_or_nothing_at_all_is_not_judged_as_adapting_less(tmp_path: Path) -> None:
    layers = {"maml": ["conv1", "head"], "anil": ["head"], "boil": ["conv1"], "nil": [], "proto": []}
    for name, adapted in layers.items():
        spec = run_spec(name, evaluated_on=tuple(LEVELS), trainer="anil" if name == "nil" else None)
        write_run(tmp_path / "runs", spec, LEVELS, n_episodes=100, adapted_layers=adapted)
    text = section(report(tmp_path))
    assert set(verdicts(tmp_path)["a"]) == {"anil", "nil"}
    said = "**boil against maml, trained on glyphs:** not compared. boil adapts the body, too"
    assert said in text
    assert "anil adapts the body" not in text
    said = "**proto against maml, trained on glyphs:** not compared. proto learns without an inner loop"
    assert said in text


def test_layers_without_a_similarity_are_named() -> None:
    rows = pd.DataFrame(
        [("conv1", "near", 0.9), ("conv1", "far", 0.8), ("conv2", "near", 0.7), ("head", "near", 0.1)],
        columns=["layer", "source", "mean"],
    )
    said = similarity_said("mean CCA", rows, ["conv1", "conv2", "conv3", "head"])
    assert said is not None
    assert said.text == (
        "the body keeps at least 0.70 wherever it was measured (the least: conv2 on near), but could not be measured "
        "in conv2 on far and conv3 on any source; in the head, 0.10 to 0.10."
    )
    whole = similarity_said("CKA", rows[rows["layer"] == "conv1"], ["conv1", "head"])
    assert whole is not None
    assert "but could not" not in whole.text


def test_bounds_are_rounded_outwards() -> None:
    assert (below(0.939), above(0.931), below(0.0318), above(0.0311)) == ("0.93", "0.94", "0.031", "0.032")
    assert (below(-0.001), above(0.0), below(12.345)) == ("-0.0010", "0.00", "12.34")
    assert [signed(value) for value in (0.0123, -0.0004, -0.02)] == ["+1.2", "0.0", "-2.0"]
    assert listed(["a", "b", "c"]) == "a, b and c"


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
    study(tmp_path, seeds=1, probes=False)
    for name in ("maml", "anil", "nil"):
        ways = lambda frame: 5 + frame["episode"] % 7  # noqa: E731
        changed(tmp_path, name, protocol="meta_dataset", n_way=ways, n_support=lambda f: 3 * f["n_way"])
    report(tmp_path)
    assert (verdicts(tmp_path)["n_way"] == "").all()
