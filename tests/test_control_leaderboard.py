"""Leaderboards of control experiments: ranked by the return after adaptation, what was measured alike alone."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from command_line import refused
from control_experiments import needs_entry_points
from fake_control_runs import planned_runs, write_control_run, write_experiment
from fake_runs import run_spec, write_run
from harness import cli
from harness.leaderboard.groups import ranked_groups
from harness.leaderboard.merging import merge
from harness.leaderboard.scores import RETURN

pytestmark = needs_entry_points

METHODS = "ControlExperiment.methods = [@MAML(), @ANIL(), @NoAdaptation()]"
TASKS = "ControlEvaluation.n_tasks = 30"
AHEAD = {"maml": 0.0, "anil": 1.0, "no_adaptation": -9.0}


def experiment(
    folder: Path, name: str, *lines: str, seeds: int = 1, only: Collection[str] = tuple(AHEAD)
) -> Path:
    planned = planned_runs(folder, METHODS, TASKS, f"ControlExperiment.seeds = {seeds}", *lines)
    specs = [spec for spec in planned if spec.method_name in only]
    for spec in specs:
        write_control_run(folder / name / "runs", spec, ahead=AHEAD[spec.method_name])
    return write_experiment(folder / name, specs)


def test_methods_are_ranked_by_return_after_adaptation_in_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = experiment(tmp_path, "x", seeds=2)
    out = tmp_path / "board"
    assert cli.main(["leaderboard", str(place), "--baseline", "maml", "--published", "--out", str(out)]) == 0
    assert "Ahead of the baseline, in units of return" in capsys.readouterr().out
    table = pd.read_csv(out / "leaderboard.csv")
    assert (table.groupby("method")["average_rank_paired"].first()).to_dict() == {
        "anil": 1.0,
        "maml": 2.0,
        "no_adaptation": 3.0,
    }
    rows = pd.concat(pd.read_parquet(path) for path in place.glob("runs/anil-*/episodes.parquet"))
    far = rows[rows["source"] == "far"]
    cell = table.set_index(["method", "source"]).loc[("anil", "far")]
    assert cell["return_after"] == pytest.approx(far["return_after"].mean(), rel=1e-5)
    means = far.groupby("seed")["return_after"].mean()
    of_seeds = stats.t.ppf(0.975, 1) * means.std(ddof=1) / 2**0.5
    within = far["return_after"] - far.groupby("seed")["return_after"].transform("mean")
    of_tasks = stats.t.ppf(0.975, 58) * ((within**2).sum() / 58 / 60) ** 0.5
    assert cell["ci95"] == pytest.approx(max(of_seeds, of_tasks), rel=1e-4)
    assert (cell["n_episodes"], cell["n_seeds"]) == (60, 2)
    page = (out / "leaderboard.md").read_text(encoding="utf-8")
    assert "the difference on the very same tasks" in page
    assert "-20.1 ± 2.3" in page  # as published
    assert "accuracy" not in page.lower()
    assert "Return after adaptation" in (out / "leaderboard.tex").read_text(encoding="utf-8")
    assert len(list((out / "figures").glob("ranks-1-*.png"))) == 1


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        ("Navigation2D.horizon = 9", "horizon", "horizon (8, 9, on far)"),
        ("Sampling.trajectories = 5", "sampling", "sampling (trajectories 3, trajectories 5, on "),
        ("far/Navigation2D.goal_range = 3.0", "fingerprint", "on far)"),
        ("MLP.hidden = (9,)", "network", "network (hidden 8, hidden 9)"),
    ],
)
def test_what_was_not_measured_alike_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, column: str, said: str
) -> None:
    # The training must bear one name and be one, so what differs is the test alone.
    trained = "ControlRegime.source = @train/Navigation2D()\ntrain/Navigation2D.horizon = 8"
    sampled = "ControlRegime.sampling = @train/Sampling()\ntrain/Sampling.trajectories = 3"
    scoped = line if line.startswith("far") else line.replace("Navigation2D", "far/Navigation2D")
    a = experiment(tmp_path, "a", trained, sampled, only=["maml", "anil"])
    b = experiment(tmp_path, "b", trained, sampled, scoped, only=["no_adaptation"])
    message = refused(capsys, "leaderboard", str(a), str(b), "--out", str(tmp_path / "board"))
    assert "Rows that were not measured alike are not ranked together" in message
    assert said in message
    assert f"--group-by {column}" in message
    assert not (tmp_path / "board").exists()
    flags = [flag for name in RETURN.conditions for flag in ("--group-by", name)]
    assert cli.main(["leaderboard", str(a), str(b), *flags, "--out", str(tmp_path / "board")]) == 0
    table = pd.read_csv(tmp_path / "board" / "leaderboard.csv")
    assert table["source"].str.startswith("far [").any() or table["network"].nunique() == 2


def test_images_and_control_are_never_in_one_ranking(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    control = experiment(tmp_path, "x")
    write_run(tmp_path / "images" / "runs", run_spec("maml"), 0.5)
    for order in ((control, tmp_path / "images"), (tmp_path / "images", control)):
        said = refused(capsys, "leaderboard", *map(str, order), "--out", str(tmp_path / "board"))
        assert "returns and accuracies are never in one ranking" in said
        assert len(said.splitlines()) == 1
    assert "is no condition" in refused(capsys, "leaderboard", str(control), "--group-by", "image_size")


def test_one_name_for_two_methods_gets_the_experiments_beside_it(tmp_path: Path) -> None:
    a, b = experiment(tmp_path, "a"), experiment(tmp_path, "b", "MAML.inner_lr = 0.2")
    methods = set(merge([a, b]).episodes["method"])
    assert methods == {"maml (a)", "maml (b)", "anil", "no_adaptation"}
    (group,) = ranked_groups(merge([a, b]).episodes, score=RETURN)
    assert group.methods[0] == "anil"


def test_a_report_has_its_leaderboard_files(tmp_path: Path) -> None:
    place = experiment(tmp_path, "x")
    assert cli.main(["report", str(place)]) == 0
    text, table = pd.read_csv(place / "leaderboard.csv"), pd.read_parquet(place / "leaderboard.parquet")
    assert list(text.columns) == list(table.columns)
    best = text[text["rank_paired"] == 1]
    assert set(best["method"]) == {"anil"}
    assert set(text["horizon"]) == {8}
    assert text["sampling"].str.contains("trajectories 3").all()
    assert text["network"].str.startswith("mlp, hidden 8, initial_std 1").all()
    returns = pd.read_csv(place / "returns.csv").set_index(["method", "source"])["after"]
    for row in text.to_dict("records"):
        assert row["return_after"] == pytest.approx(returns[row["method"], row["source"]], rel=1e-4)
    tex = (place / "leaderboard.tex").read_text(encoding="utf-8")
    assert r"\textbf{" in next(line for line in tex.splitlines() if line.startswith("anil & "))
    assert tex.count(r"\toprule") == 1
