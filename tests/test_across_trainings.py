"""Similarity between trainings: the same network is the same, each training counts once, and the report says it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from experiments import prepared, write_tiny
from harness.across_settings import AcrossTrainings
from harness.across_stage import across_files, measure_missing, trained_by, trainings
from harness.across_trainings import Network, measure_across, pairs
from harness.config import load_experiment
from harness.errors import ConfigError
from harness.plan import Plan
from harness.report.album import Album
from harness.report.reuse_across import Shown, across_missing, across_section, with_kinds
from harness.request import Request
from harness.results import ACROSS_COLUMNS
from harness.store import Workspace
from harness.worker import execute
from harness.workflow import run
from real_runs import silent

SETTINGS = (
    "Experiment.across = @AcrossTrainings()",
    "AcrossTrainings.n_images = 60",
    "Experiment.seeds = 2",
    "Evaluation.sources = [@Glyphs(), @Digits()]",
)
Prepare = Callable[..., tuple[Plan, Workspace]]


@pytest.fixture
def planned(tmp_path: Path) -> Prepare:
    def make(*more: str) -> tuple[Plan, Workspace]:
        return prepared(tmp_path, *SETTINGS, *more)

    return make


def request_for(config: Path) -> Request:
    return Request(
        config=config, bindings=(), out=config.parent / "out", workers=None, backend="serial", address=None,
        fresh=False, data_dir=None, cache=config.parent / "cache",
    )  # fmt: skip


def test_a_training_that_several_methods_share_counts_once(planned: Prepare) -> None:
    made, _ = planned()
    (regime,) = trainings(made.runs)
    found = trainings(made.runs)[regime]
    assert sorted((run.method_name, run.seed) for run in found) == [
        ("anil", 0), ("anil", 1), ("maml", 0), ("maml", 1),
    ]  # fmt: skip
    only_nil = [run for run in made.runs if run.method_name == "nil"]
    assert {trained_by(run) for run in trainings(only_nil)[regime]} == {"anil"}


@pytest.mark.parametrize("batch_norm", ["transductive", "support", "running"])
def test_a_network_is_as_itself_and_unlike_another(planned: Prepare, batch_norm: str) -> None:
    made, workspace = planned(f"Conv4.batch_norm = '{batch_norm}'")
    one, other = (run for run in made.runs if run.method_name == "maml")
    for spec in (one, other):
        execute(spec, workspace, silent)
    frame = measure_across([one, one, other], workspace, AcrossTrainings(n_images=60), lambda _: None)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == dict(ACROSS_COLUMNS)
    assert set(frame["layer"]) == {"conv1", "conv2", "conv3", "conv4"}
    assert (frame["images"] == 60).all()
    cka = frame[(frame["quantity"] == "cka") & frame["value"].notna()]
    itself, others = cka[cka["seed_b"] == cka["seed_a"]], cka[cka["seed_b"] != cka["seed_a"]]
    assert len(itself) >= 4
    np.testing.assert_allclose(itself["value"], 1, atol=1e-6)
    assert (others["value"] < 0.999).all()
    again = measure_across([one, one, other], workspace, AcrossTrainings(n_images=60), lambda _: None)
    pd.testing.assert_frame_equal(frame, again)


def test_what_is_there_is_not_measured_again_and_other_trainings_are(planned: Prepare) -> None:
    made, workspace = planned("Experiment.methods = [@MAML()]")
    said: list[str] = []
    (reason,) = measure_missing(made, workspace, said.append)
    assert "have not finished" in reason
    for spec in made.runs:
        execute(spec, workspace, silent)
    assert measure_missing(made, workspace, said.append) == []
    assert len(said) == 2
    assert measure_missing(made, workspace, said.append) == []
    assert len(said) == 2
    more, _ = planned("Experiment.methods = [@MAML()]", "Experiment.seeds = 3")
    assert dict(across_files(more)).keys() != dict(across_files(made)).keys()
    alone, _ = planned("Experiment.methods = [@MAML()]", "Experiment.seeds = 1")
    assert not list(across_files(alone))


def test_a_snapshot_is_compared_with_its_own_training_alone(planned: Prepare) -> None:
    made, _ = planned("Experiment.methods = [@MAML()]")
    one, other = made.runs
    learner = torch.nn.Identity()
    networks = [
        Network(spec=spec, learner=learner, updates=updates)  # type: ignore[arg-type]
        for spec, updates in ((one, None), (other, None), (one, 0), (one, 5), (other, 0))
    ]
    assert list(pairs(networks)) == [(0, 1), (2, 0), (3, 0), (4, 1)]


def test_fresh_compares_again_and_so_does_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = write_tiny(tmp_path, *SETTINGS, "Experiment.methods = [@MAML()]")
    assert run(request_for(config), Console(quiet=True)) == 0
    (path,) = (tmp_path / "out" / "runs").glob("across-*.parquet")
    kept = pd.read_parquet(path)
    kept.assign(value=0.123).to_parquet(path, index=False)
    assert run(replace(request_for(config), fresh=True), Console(quiet=True)) == 0
    pd.testing.assert_frame_equal(pd.read_parquet(path), kept)
    path.write_bytes(path.read_bytes()[:50])
    assert run(request_for(config), Console(quiet=True)) == 0
    pd.testing.assert_frame_equal(pd.read_parquet(path), kept)


def test_a_training_is_followed_by_its_snapshots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first update all seeds differ; after the last, the snapshot is the network itself."""
    monkeypatch.chdir(tmp_path)
    more = (
        "Regime.snapshots = [4, 0, 2]",
        "Regime.selection = 'last'",
        "Experiment.seeds = 1",
        "NIL.name = 'anil_nil'",
    )
    config = write_tiny(tmp_path, *SETTINGS, "Experiment.methods = [@ANIL(), @NIL()]", *more)
    assert run(request_for(config), Console(quiet=True)) == 0
    folders = [path for path in (tmp_path / "out" / "runs").iterdir() if path.is_dir()]
    assert len(folders) == 2
    for folder in folders:  # NIL takes over ANIL's training, and its snapshots with it
        assert sorted(path.name for path in folder.glob("snapshot-*.pt")) == [
            f"snapshot-00000{k}.pt" for k in (0, 2, 4)
        ]
    table = pd.read_parquet(tmp_path / "out" / "across.parquet")
    assert set(table["updates_a"].dropna()) == {0, 2, 4}
    assert table[table["updates_a"].isna()]["adapted"].all()
    table = table[~table["adapted"]]
    cka = table[table["quantity"] == "cka"].dropna(subset="value").groupby("updates_a")["value"]
    assert cka.min()[4] == pytest.approx(1, abs=1e-6)
    assert cka.max()[0] < 0.99999
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "**anil in the course of training on glyphs (1 seed)**" in text
    assert re.search(
        r"\*\*After 0 updates:\*\* CKA with the trained network, mean over sources: conv1 [01]\.", text
    )
    assert re.search(
        r"\*\*Before and after adapting everything:\*\* CKA of conv4, mean over sources, seed 0: "
        r"-?[01]\.\d\d after 0 updates, .* and -?[01]\.\d\d in the tested network\.",
        text,
    )


def test_the_tested_network_changes_as_the_probe_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same number by another way: the probe `similarity` on the same episodes."""
    monkeypatch.chdir(tmp_path)
    more = (
        "Regime.snapshots = [0]",
        "AcrossTrainings.n_episodes = 3",
        "Experiment.probes = [@Similarity()]",
        "Similarity.n_episodes = 3",
    )
    config = write_tiny(tmp_path, *SETTINGS, "Experiment.methods = [@MAML(), @ANIL()]", *more)
    assert run(request_for(config), Console(quiet=True)) == 0
    table = pd.read_parquet(tmp_path / "out" / "across.parquet")
    adapted = table[table["adapted"]]
    assert set(adapted["seed_a"]) == {0}
    assert set(adapted["layer"]) == {"conv1", "conv2", "conv3", "conv4", "head"}
    final = adapted[adapted["updates_a"].isna()].set_index(["method_a", "source", "layer"])["value"]
    probes = pd.concat(pd.read_parquet(path) for path in (tmp_path / "out" / "runs").glob("*/probes.parquet"))
    own = probes[(probes["quantity"] == "pooled_cka") & (probes["seed"] == 0)]
    own = own[(own["condition"] == "everything")]
    expected = own.set_index(["method", "source", "layer"])["value"].dropna()
    assert len(expected) >= 12
    for key, value in expected.items():
        assert final[key] == pytest.approx(value, rel=1e-4), key
    before = adapted[adapted["updates_a"] == 0].set_index(["method_a", "source", "layer"])["value"]
    assert (before.dropna() != final.reindex(before.dropna().index)).any()


def test_nothing_adapts_where_nobody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    more = ("Regime.snapshots = [0]", "AcrossTrainings.n_episodes = 0", "Experiment.seeds = 1")
    config = write_tiny(tmp_path, *SETTINGS, "Experiment.methods = [@MAML()]", *more)
    assert run(request_for(config), Console(quiet=True)) == 0
    table = pd.read_parquet(tmp_path / "out" / "across.parquet")
    assert set(table["updates_a"]) == {0}
    assert not table["adapted"].any()


@pytest.mark.parametrize("wrong", ["[-1]", "[5]", "[1.5]"])
def test_snapshots_beyond_the_training_are_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"Regime\.snapshots"):
        load_experiment(write_tiny(tmp_path, f"Regime.snapshots = {wrong}"))


def test_too_few_images_to_ask_for_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"AcrossTrainings\.n_images"):
        AcrossTrainings(n_images=3)


def test_a_whole_run_compares_and_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = write_tiny(tmp_path, *SETTINGS, "Experiment.methods = [@MAML(), @ANIL()]")
    assert run(request_for(config), Console(quiet=True)) == 0
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    section = text.partition("### Similarity between trainings")[2].partition("###")[0]
    assert "**Trained on glyphs (4 trainings)**" in section
    table = pd.read_parquet(tmp_path / "out" / "across.parquet")
    kinds = with_kinds(table)
    assert set(kinds["kind"]) == {
        "two of maml, other seeds", "two of anil, other seeds", "anil and maml, one seed", "anil and maml, other seeds",
    }  # fmt: skip
    own = kinds[(kinds["kind"] == "two of maml, other seeds") & (kinds["layer"] == "conv4")]
    (value,) = own.loc[(own["quantity"] == "cka") & (own["source"] == "glyphs"), "value"]
    assert f"{value:.2f} (glyphs)" in section
    (file,) = (tmp_path / "out" / "runs").glob("across-*.parquet")
    file.unlink()
    from harness.workflow import report

    report(tmp_path / "out", Console(quiet=True))
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "**Similarity between trainings:** it was not measured." in text
    assert not (tmp_path / "out" / "across.parquet").exists()


def test_what_could_not_be_compared_is_said(tmp_path: Path) -> None:
    row = {
        "trained_on": "glyphs", "source": "digits", "split": "test", "layer": "conv4", "method_a": "maml", "seed_a": 0,
        "updates_a": None, "adapted": False,
        "method_b": "maml", "seed_b": 1, "quantity": "svcca", "value": float("nan"), "images": 60, "reason": "Too few.",
        "protocol_version": 3, "image_size": 28, "batch_norm": "transductive",
    }  # fmt: skip
    frame = pd.DataFrame([row]).astype(ACROSS_COLUMNS)
    (said,) = across_missing(frame)
    assert (said.lead, said.text) == (
        "SVCCA between trainings on glyphs",
        "1 value is missing, on digits. Too few.",
    )
    shown = Shown(sources={"glyphs": ("digits",)}, near={"glyphs": frozenset()})
    assert across_section(frame, shown, Album(folder=tmp_path)).blocks == ()
