"""What the report's section on reuse says of what was not compared, not measured or cannot be read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fake_runs import run_spec, write_run
from harness.report.reuse_verdicts import Judging
from reuse_studies import LEVELS, changed, report, section, study, verdicts


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


def test_what_cannot_adapt_is_named_with_the_reason_once(tmp_path: Path) -> None:
    study(tmp_path, seeds=1)
    text = section(report(tmp_path))
    assert text.count("nil has no inner loop, so it cannot adapt.") == 1
    (line,) = [line for line in text.splitlines() if "no inner loop" in line]
    for probe in ("freeze", "similarity", "movement", "gradient_flow"):
        assert probe in line
