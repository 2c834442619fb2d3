"""Two runs, checkpoints or experiments side by side."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from command_line import refused
from fake_runs import run_spec, write_run
from harness import cli
from harness.comparison.differences import A_BETTER, B_BETTER, OPEN, differences
from harness.comparison.sides import read_sides
from harness.errors import ConfigError, WorkspaceError
from harness.files import make_folder, write_json
from harness.store import RunFolder

SOURCES = ("glyphs", "digits")


def one(folder: Path, method: str, level: float, **values: object) -> Path:
    return write_run(folder / "runs", run_spec(method, evaluated_on=SOURCES, **values), level).path  # type: ignore[arg-type]


def test_two_runs_are_paired_by_episode(tmp_path: Path) -> None:
    a, b = one(tmp_path / "x", "maml", 0.7), one(tmp_path / "x", "anil", 0.6)
    found = differences(read_sides(a, b).episodes, 1.0)
    assert [d.names["source"] for d in found] == ["digits", "glyphs"]
    frames = [pd.read_parquet(path / "episodes.parquet").set_index(["source", "episode"]) for path in (a, b)]
    for d in found:
        own = [frame.loc[d.names["source"], "accuracy"] for frame in frames]  # type: ignore[index]
        assert d.mean == pytest.approx(float((own[0] - own[1]).mean()))
        p = float(ttest_rel(own[0], own[1]).pvalue)
        assert d.p_differ >= p
        assert d.said == A_BETTER
        assert (d.n_episodes, d.n_seeds) == (100, 1)
        assert d.low < d.mean < d.high


def test_equality_and_doubt_are_told_apart(tmp_path: Path) -> None:
    a, b = one(tmp_path / "x", "maml", 0.7), one(tmp_path / "x", "anil", 0.7)
    sides = read_sides(a, b).episodes
    assert {d.said for d in differences(sides, 0.01)} == {OPEN}
    assert all(d.said.startswith("equally good, up to the margin") for d in differences(sides, 5.0))
    with pytest.raises(ConfigError, match="margin of equivalence is 0"):
        differences(sides, 0)


def test_episodes_whose_sizes_the_protocol_draws_are_compared(tmp_path: Path) -> None:
    sides = []
    for name, level in (("maml", 0.7), ("anil", 0.6)):
        run = RunFolder(one(tmp_path / name, name, level))
        rows = pd.read_parquet(run.episodes)
        ways = 5 + rows["episode"] % 7
        run.write_episodes(
            rows.assign(protocol="meta_dataset", n_way=ways, n_support=3 * ways, n_query=10 * ways)
        )
        sides.append(run.path)
    found = differences(read_sides(*sides).episodes, 1.0)
    assert [(d.names["source"], d.n_episodes, d.said) for d in found] == [
        (source, 100, A_BETTER) for source in sorted(SOURCES)
    ]


def test_p_values_are_corrected_for_the_rows(tmp_path: Path) -> None:
    a, b = one(tmp_path / "x", "maml", 0.7), one(tmp_path / "x", "anil", 0.705)
    both = read_sides(a, b).episodes
    alone = {
        d.names["source"]: d.p_differ for s in SOURCES for d in differences(both[both["source"] == s], 1.0)
    }
    together = {d.names["source"]: d.p_differ for d in differences(both, 1.0)}
    assert all(together[s] >= alone[s] for s in SOURCES)
    assert min(together.values()) == pytest.approx(2 * min(alone.values()))
    assert {d.said for d in differences(both, 0.01)} <= {OPEN, B_BETTER}


def test_a_checkpoint_stands_for_its_run_and_experiments_for_what_they_share(tmp_path: Path) -> None:
    a, b = one(tmp_path / "x", "maml", 0.7), one(tmp_path / "y", "maml", 0.6, inner_steps=5)
    (a / "checkpoint.pt").write_bytes(b"")
    assert read_sides(a / "checkpoint.pt", b).names == (a.name, b.name)
    one(tmp_path / "x", "anil", 0.7)
    sides = read_sides(tmp_path / "x", tmp_path / "y")
    assert sides.names == ("x", "y")
    assert sides.differing == ("method.params.inner_steps (1, 5)", "trainer.params.inner_steps (1, 5)")
    assert {d.names["method"] for d in differences(sides.episodes, 1.0)} == {"maml"}
    one(tmp_path / "z", "nil", 0.6)
    one(tmp_path / "z", "boil", 0.6)
    with pytest.raises(
        ConfigError, match=r"have no method and training in common: x has 'anil, trained on glyphs'"
    ):
        read_sides(tmp_path / "x", tmp_path / "z")


def test_what_cannot_be_compared_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = one(tmp_path / "x", "maml", 0.7)
    with pytest.raises(ConfigError, match="are the same runs: a run is not compared with itself"):
        read_sides(a, tmp_path / "x")
    one(tmp_path / "x", "anil", 0.6)
    with pytest.raises(ConfigError, match=rf"{a} has no run that {tmp_path / 'x'} has not"):
        read_sides(tmp_path / "x", a)
    with pytest.raises(WorkspaceError, match="There is no run, checkpoint or experiment at"):
        read_sides(a, tmp_path / "gone")
    unfinished = write_run(tmp_path / "x" / "runs", run_spec("anil", evaluated_on=SOURCES))
    unfinished.write_status("training")
    with pytest.raises(
        WorkspaceError,
        match=r"Nothing has finished in .*: not finished \(training\)\): `harness run` carries on",
    ):
        read_sides(a, unfinished.path)
    other = one(tmp_path / "y", "maml", 0.7, seed=1)
    said = refused(capsys, "compare", str(a), str(other), "--out", str(tmp_path / "out"))
    assert "have no test episode in common: A has the seeds [0], B [1]" in said
    assert not (tmp_path / "out").exists()


def test_a_run_is_not_compared_with_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = tmp_path / "x", tmp_path / "y"
    for folder, level in ((x, 0.7), (y, 0.5)):
        one(folder, "maml", 0.7, seed=1)
        one(folder, "anil", level, seed=0, inner_lr=level)
    sides = read_sides(x, y)
    assert set(sides.episodes["method"]) == {"anil"}
    assert [run.split("-")[0] for run in sides.shared_runs] == ["maml"]
    assert cli.main(["compare", str(x), str(y), "--out", str(tmp_path / "out")]) == 0
    said = f"Both have these runs, which are left out as nothing is compared with itself: {sides.shared_runs[0]}."
    assert said in " ".join(capsys.readouterr().out.split())
    assert said in (tmp_path / "out" / "comparison.md").read_text(encoding="utf-8").replace("\\", "")
    for seed in (0, 1):
        one(tmp_path / "v", "nil", 0.5, seed=seed)
        one(tmp_path / "w", "nil", 0.5, seed=seed + 1)
    assert "have no test episode in common" in refused(
        capsys, "compare", str(tmp_path / "v"), str(tmp_path / "w"), "--out", str(tmp_path / "none")
    )


def test_a_report_without_its_runs_is_said_with_the_command_that_makes_them(tmp_path: Path) -> None:
    a, copied = one(tmp_path / "x", "maml", 0.7), tmp_path / "copied"
    record = {"name": "copied", "command": "harness run many.gin", "runs": [f"maml-s{n}" for n in range(40)]}
    make_folder(copied)
    write_json(copied / "experiment.json", record)
    with pytest.raises(WorkspaceError) as found:
        read_sides(a, copied)
    assert str(found.value) == (
        f"The runs of {copied} are not here, only their report: `harness run many.gin` makes them."
    )


def test_a_folder_in_which_much_has_failed_is_said_in_one_sentence(tmp_path: Path) -> None:
    a = one(tmp_path / "x", "maml", 0.7)
    for method in ("anil", "nil", "boil", "reptile", "knn"):
        write_run(tmp_path / "y" / "runs", run_spec(method, evaluated_on=SOURCES)).write_status("training")
    with pytest.raises(
        WorkspaceError, match=r"^Nothing has finished in .*; and 2 more\): `harness run` carries on"
    ):
        read_sides(a, tmp_path / "y")


def test_other_data_is_refused_and_other_conditions_are_said(tmp_path: Path) -> None:
    a, b = one(tmp_path / "x", "maml", 0.7), one(tmp_path / "x", "anil", 0.6)
    rows = pd.read_parquet(b / "episodes.parquet")
    rows.assign(network="resnet12", batch_norm="support").to_parquet(b / "episodes.parquet")
    sides = read_sides(a, b)
    assert sides.differing[:2] == (
        "network: conv4 in A, resnet12 in B",
        "batch norm: transductive in A, support in B",
    )
    assert any(clause.startswith("method.plugin") for clause in sides.differing)
    assert len(differences(sides.episodes, 1.0)) == 2
    rows.assign(fingerprint="1" * 8).to_parquet(b / "episodes.parquet")
    with pytest.raises(ConfigError, match="cannot be compared: they differ in 'fingerprint'"):
        differences(read_sides(a, b).episodes, 1.0)


def test_the_command_writes_a_page_its_numbers_and_a_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(3):
        one(tmp_path / "x", "maml", 0.7, seed=seed)
        one(tmp_path / "y", "maml", 0.6, seed=seed, inner_steps=5)
    out = tmp_path / "out"
    arguments = ["compare", str(tmp_path / "x"), str(tmp_path / "y"), "--out", str(out), "--margin", "2"]
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "A: x" in shown
    assert "300 of 3 seeds" in shown
    page = (out / "comparison.md").read_text(encoding="utf-8")
    assert "smaller than the margin, 2 points" in page
    frame = pd.read_csv(out / "comparison.csv")
    assert frame["mean"].between(0.08, 0.12).all()
    assert np.isfinite(frame["d"]).all()
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(before) == {"comparison.md", "comparison.csv", "comparison.png", "comparison.svg"}
    assert cli.main(arguments) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
