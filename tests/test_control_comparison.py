"""`harness compare` and `harness show` on control tasks: paired by task and seed, in units of return."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from command_line import refused
from control_experiments import needs_entry_points
from fake_control_runs import planned_runs, write_control_run, write_experiment
from fake_runs import run_spec, write_run
from harness import cli
from harness.comparison.differences import differences
from harness.comparison.sides import read_sides
from harness.control.pictures import FRAMES
from harness.store import RunFolder

pytestmark = needs_entry_points

TASKS = "ControlEvaluation.n_tasks = 30"


def experiment(folder: Path, name: str, *lines: str, ahead: float = 0.0, margin: float = 2.0) -> Path:
    specs = planned_runs(folder, TASKS, *lines)
    for spec in specs:
        write_control_run(folder / name / "runs", spec, ahead=ahead + 0.4 * (spec.method_name == "anil"))
    return write_experiment(folder / name, specs, margin_return=margin)


def run_of(folder: Path, method: str) -> Path:
    return next(path for path in sorted((folder / "runs").glob(f"{method}-*")))


def test_two_runs_are_paired_by_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = experiment(tmp_path, "x")
    a, b = (run_of(place, method) for method in ("maml", "anil"))
    assert cli.main(["compare", str(a), str(b), "--out", str(tmp_path / "c")]) == 0
    said = capsys.readouterr().out
    table = pd.read_csv(tmp_path / "c" / "comparison.csv").set_index("source")
    frames = [pd.read_parquet(path / "episodes.parquet").set_index(["source", "episode"]) for path in (a, b)]
    for source in ("navigation2d", "far"):
        own = [frame.loc[source, "return_after"].to_numpy() for frame in frames]
        test, row = stats.ttest_rel(*own), table.loc[source]
        assert row["mean"] == pytest.approx(float(np.mean(own[0] - own[1])), rel=1e-4)
        assert row["p_differ"] == pytest.approx(min(1.0, 2 * test.pvalue), rel=1e-3)  # Holm, two rows alike
        difference = own[0] - own[1]
        assert row["d"] == pytest.approx(difference.mean() / difference.std(ddof=1), rel=1e-3)
        equal = max(
            stats.ttest_1samp(difference, -2, alternative="greater").pvalue,
            stats.ttest_1samp(difference, 2, alternative="less").pvalue,
        )
        assert row["p_equivalent"] == pytest.approx(equal, abs=1e-6)
        assert row["said"] == "equally good, up to the margin; B is better within it"
    page = (tmp_path / "c" / "comparison.md").read_text(encoding="utf-8")
    assert "return after adaptation, not discounted, on the very same tasks" in page
    assert "the margin, 2 units of return" in page
    assert "about these two policies" in page
    assert f"{table.loc['far', 'mean']:+.2f}" in said
    assert (tmp_path / "c" / "comparison.png").stat().st_size > 1000


def test_the_margin_is_the_users_or_what_the_experiments_declared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = experiment(tmp_path, "a", margin=0.1)
    b = experiment(tmp_path, "b", "ControlRegime.iterations = 5", margin=0.5)
    out = ("--out", str(tmp_path / "c"))
    assert "declare margins of 0.1 and 0.5 units of return" in refused(
        capsys, "compare", str(a), str(b), *out
    )
    assert "a number of units of return above 0" in refused(
        capsys, "compare", str(a), str(b), *out, "--margin", "-1"
    )
    assert cli.main(["compare", str(a), str(b), *out, "--margin", "3"]) == 0
    page = (tmp_path / "c" / "comparison.md").read_text(encoding="utf-8")
    assert "the margin, 3 units of return" in page
    assert "They differ in train.iterations (4, 5)." in page
    table = pd.read_csv(tmp_path / "c" / "comparison.csv")
    assert sorted(set(table["method"])) == ["anil", "maml"]
    assert len(table) == 2 * 2


def test_what_was_not_measured_alike_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = experiment(tmp_path, "a")
    out = ("--out", str(tmp_path / "c"))
    sampled = experiment(tmp_path, "b", "Sampling.trajectories = 5")
    assert "they differ in 'sampling'" in refused(capsys, "compare", str(plain), str(sampled), *out)
    longer = experiment(tmp_path, "d", "Navigation2D.horizon = 9")
    said = refused(capsys, "compare", str(plain), str(longer), *out)
    assert "have no test task in common" in said
    assert "one seed, source and horizon" in said
    elsewhere = experiment(tmp_path, "e", "far/Navigation2D.goal_range = 3.0")
    assert "they differ in 'fingerprint'" in refused(capsys, "compare", str(plain), str(elsewhere), *out)
    images = write_run(tmp_path / "images" / "runs", run_spec("maml"), 0.5).path
    mixed = refused(capsys, "compare", str(images), str(run_of(plain, "maml")), *out)
    assert "returns and accuracies are not compared" in mixed
    assert "are the same runs" in refused(capsys, "compare", str(plain), str(plain), *out)
    assert not (tmp_path / "c").exists()


def test_that_networks_differ_is_said(tmp_path: Path) -> None:
    a, b = experiment(tmp_path, "a"), experiment(tmp_path, "b", "MLP.hidden = (8, 9)")
    said = read_sides(a, b).differing
    assert (
        "network: mlp, hidden 8, initial_std 1, min_std 1e-06 in A, mlp, hidden 8 9, initial_std 1, min_std 1e-06 in B"
        in said
    )


def test_seeds_that_disagree_count(tmp_path: Path) -> None:
    """The error of a difference over seeds is that of the seeds' means where it is the larger."""
    seeds = "ControlExperiment.seeds = 3"
    a = experiment(tmp_path, "a", seeds)
    specs = planned_runs(tmp_path, TASKS, seeds, "ControlRegime.iterations = 5")
    for spec in specs:
        write_control_run(tmp_path / "b" / "runs", spec, ahead=float(spec.seed) * 2)
    b = write_experiment(tmp_path / "b", specs)
    sides = read_sides(a, b)
    found = next(
        one
        for one in differences(sides.episodes, 2.0, sides.measure)
        if (one.names["method"], one.names["source"]) == ("maml", "far")
    )
    own = sides.episodes[(sides.episodes["method"] == "maml") & (sides.episodes["source"] == "far")]
    means = own.groupby(["side", "seed"])["return_after"].mean()
    per_seed = (means["A"] - means["B"]).to_numpy()
    p = float(stats.ttest_1samp(per_seed, 0.0).pvalue)
    assert found.mean == pytest.approx(per_seed.mean())
    assert found.p_differ >= p * 0.999
    assert (found.n_seeds, found.n_episodes) == (3, 90)


def test_a_run_is_shown_with_its_best_and_worst_tasks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = experiment(tmp_path, "reports/x")
    run = run_of(place, "maml")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(run / FRAMES)
    assert cli.main(["show", run.name[:12], "--source", "far"]) == 0
    said = capsys.readouterr().out
    rows = pd.read_parquet(run / "episodes.parquet")
    far = rows[rows["source"] == "far"].sort_values("return_after")
    best = next(line for line in said.splitlines() if line.strip().startswith("best "))
    worst = next(line for line in said.splitlines() if line.strip().startswith("worst "))
    for line, row in ((best, far.iloc[-1]), (worst, far.iloc[0])):
        assert line.split()[1] == str(row["episode"])
        assert line.split()[-1] == f"{row['return_after']:.1f}"
        assert row["task"] in line
    assert "4 updates of 2 tasks" in said
    assert "trust_region (" in said
    out = tmp_path / "show" / run.name
    for name in ("curve.png", "tasks-far.png", "paths.png", FRAMES):
        assert (out / name).stat().st_size > 50
    table = pd.read_csv(out / "tasks-far.csv")
    assert table["return_after"].is_monotonic_decreasing
    assert len(table) == 30
    assert "was not tested on 'fra'. Did you mean 'far'?" in refused(
        capsys, "show", str(run), "--source", "fra"
    )


def test_a_run_that_is_not_whole_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(experiment(tmp_path, "x"), "anil")
    out = ("--out", str(tmp_path / "s"))
    spec = (run / "spec.json").read_text()
    (run / "episodes.parquet").write_bytes(b"PAR1 torn PAR1")
    assert "episodes.parquet cannot be read" in refused(capsys, "show", str(run), *out)
    (run / "spec.json").write_text('{"kind": "control", "method_name": "anil", "train": []}')
    assert "cannot be shown" in refused(capsys, "show", str(run), *out)
    (run / "spec.json").write_text(spec)
    RunFolder(run).write_status("failed", error="DynamicsError: it fell")
    assert cli.main(["show", str(run), *out]) == 0
    assert "It is not finished (DynamicsError: it fell)" in capsys.readouterr().out
    assert not (tmp_path / "s").exists()
