"""Sources of control tasks that share a name: told apart by what they differ in, and known to be trained on or not."""

from pathlib import Path

import pandas as pd
import pytest

from control_experiments import needs_entry_points
from fake_control_runs import planned_runs, write_control_run, write_experiment
from harness import cli
from harness.control.finished_runs import gather_runs, told_apart
from harness.control.report.freezing import fewer_tasks
from harness.control.report.standings import standings
from harness.control.task_statistics import summary
from harness.record import run_folders
from harness.store import RunFolder

pytestmark = needs_entry_points

SAMPLINGS = (
    "ControlExperiment.evaluations = [@ControlEvaluation(), @more/ControlEvaluation()]",
    "more/ControlEvaluation.sources = [@Navigation2D()]",
    "more/ControlEvaluation.sampling = @more/Sampling()",
    "more/Sampling.trajectories = 9",
    "more/Sampling.discount = 0.9",
)


def written(folder: Path, *lines: str) -> Path:
    specs = planned_runs(folder, *lines)
    for spec in specs:
        write_control_run(folder / "out" / "runs", spec, frozen={"head only": 5.0})
    return write_experiment(folder / "out", specs)


def in_training(folder: Path) -> dict[str, bool]:
    gathered = gather_runs(run_folders(folder / "runs"))
    tasks = told_apart(gathered.tasks)
    return {str(one.cell[1]): one.in_training for one in standings(tasks, summary(tasks), gathered.runs)}


def test_they_are_named_by_what_they_differ_in_alone(tmp_path: Path) -> None:
    gathered = gather_runs(run_folders(written(tmp_path, *SAMPLINGS) / "runs"))
    assert set(told_apart(gathered.tasks)["source"]) == {
        "far",
        "navigation2d [discount 0.99, trajectories 3]",
        "navigation2d [discount 0.9, trajectories 9]",
    }


def test_of_several_parameters_each_has_the_beginning_of_its_fingerprint(tmp_path: Path) -> None:
    lines = ("far/Navigation2D.name = 'navigation2d'",)
    specs = planned_runs(tmp_path, *lines)
    folder = write_control_run(tmp_path / "runs", specs[0])
    tasks = told_apart(gather_runs([folder]).tasks)
    marks = {f"navigation2d [{value[:6]}]" for value in tasks["fingerprint"]}
    assert len(marks) == 2
    assert set(tasks["source"]) == marks


def test_what_was_trained_on_is_known_by_its_content(tmp_path: Path) -> None:
    """Neither by the name that tells two samplings of it apart, nor by one that other tasks have, too."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert in_training(written(tmp_path / "a", *SAMPLINGS)) == {
        "far": False,
        "navigation2d [discount 0.99, trajectories 3]": True,
        "navigation2d [discount 0.9, trajectories 9]": True,
    }
    elsewhere = (
        "ControlRegime.source = @train/Navigation2D()",
        "train/Navigation2D.goal_range = 0.25",
        "far/Navigation2D.goal_range = 0.25",
    )
    assert in_training(written(tmp_path / "b", *elsewhere)) == {"far": True, "navigation2d": False}


def test_the_report_names_them_and_says_whose_probes_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(tmp_path, *SAMPLINGS, "ControlEvaluation.n_tasks = 4")
    (folder / "figures").mkdir()
    for name in ("curves.png", "paths.svg", "tasks-old.png", "mine.png"):
        (folder / "figures" / name).write_bytes(b"of an earlier report")
    assert cli.main(["report", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "maml on navigation2d [discount 0.9, trajectories 9]: return" in said
    page = (folder / "report.md").read_text(encoding="utf-8")
    assert "- **navigation2d, test split:** its probes are left out: it was tested in several ways" in page
    assert "- **maml on far:**" in page.partition("### Freezing")[2]
    assert "- **maml on navigation2d" not in page.partition("### Freezing")[2].partition("## ")[0]
    left = {path.name for path in (folder / "figures").iterdir()}
    assert "mine.png" in left
    assert not left & {"curves.png", "paths.svg", "tasks-old.png"}
    verdicts = pd.read_csv(folder / "verdicts.csv")  # nothing is judged, and yet it is a table
    assert len(verdicts) == 0
    assert {"a", "b", "difference", "verdict"} <= set(verdicts.columns)


def test_what_is_shown_of_a_run_has_names_for_files(tmp_path: Path) -> None:
    run = next((written(tmp_path, *SAMPLINGS) / "runs").glob("maml-*"))
    assert cli.main(["show", str(run), "--out", str(tmp_path / "show")]) == 0
    names = {path.name for path in (tmp_path / "show").glob("tasks-*")}
    assert names == {
        f"tasks-navigation2d-discount-0-99-trajectories-3.{form}" for form in ("csv", "png", "svg")
    }


def test_that_freezing_was_measured_on_fewer_tasks_is_said_where_its_numbers_are(tmp_path: Path) -> None:
    folder = written(tmp_path, "ControlEvaluation.n_tasks = 6")
    for run in run_folders(folder / "runs"):
        _measure_only(run, 4)
    assert cli.main(["report", str(folder)]) == 0
    page = (folder / "report.md").read_text(encoding="utf-8")
    caveat = "Measured on the first 4 of 6 test tasks of a source, so that means are not those of all"
    assert caveat in page.partition("### Within a policy")[2].partition("- **")[0]
    assert caveat in page.partition("### Freezing")[2].partition("| Method")[0]
    gathered = gather_runs(run_folders(folder / "runs"))
    assert fewer_tasks(gathered.probes, gathered.tasks[gathered.tasks["episode"] < 4]) == ""
    tasks = gathered.tasks[(gathered.tasks["source"] == "far") | (gathered.tasks["episode"] < 5)]
    assert "on the first 4 of 5 or the first 4 of 6 test tasks" in fewer_tasks(gathered.probes, tasks)


def _measure_only(run: RunFolder, n: int) -> None:
    rows = pd.read_parquet(run.probes)
    rows[rows["episode"] < n].to_parquet(run.probes, index=False)
