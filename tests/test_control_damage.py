"""Control runs that are damaged, foreign, outdated or tested twice: said in a sentence, and never counted as others."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from command_line import refused
from control_experiments import needs_entry_points, planned_control
from fake_control_runs import planned_runs, write_control_run, write_experiment
from fake_runs import run_spec, write_run
from harness import cli
from harness.control.declared_margin import declared_margin
from harness.control.finished_runs import gather_runs, read_control_run
from harness.control.paths import FILE, Paths, load_paths, save_paths
from harness.control.pictures import FRAMES
from harness.errors import PlanError, WorkspaceError
from harness.files import write_json
from harness.record import run_folders
from harness.store import RunFolder

pytestmark = needs_entry_points

TWICE = (
    "ControlExperiment.evaluations = [@ControlEvaluation(), @more/ControlEvaluation()]",
    "more/ControlEvaluation.sources = [@Navigation2D()]",
    "more/ControlEvaluation.sampling = @Sampling()",
    "more/ControlEvaluation.n_tasks = 5",
)


def experiment(folder: Path, *lines: str, **record: Any) -> Path:
    specs = planned_runs(folder, "ControlEvaluation.n_tasks = 4", *lines)
    for spec in specs:
        layers = ("head",) if spec.method_name == "anil" else ("head", "hidden1")
        write_control_run(folder / "out" / "runs", spec, adapted=layers, frozen={"head only": 1.0})
    return write_experiment(folder / "out", specs, **record)


def run_of(folder: Path, method: str) -> Path:
    return next(path for path in sorted((folder / "runs").glob(f"{method}-*")))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    write_json(path, value)


def unfit_paths(folder: Path) -> None:
    save_paths(Paths(goals=np.ones((4, 2)), before=np.ones(3), after=np.ones((2, 2))), folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: (run / FILE).write_bytes(b""),
        lambda run: (run / FILE).write_bytes((run / FILE).read_bytes()[:300]),
        lambda run: (run / FILE).write_bytes(b"no archive at all"),
        unfit_paths,
    ],
    ids=["empty", "torn", "foreign", "of another shape"],
)
def test_paths_that_cannot_be_read_are_told_from_none(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    whole = Paths(goals=np.ones((2, 2)), before=np.zeros((2, 3, 9, 2)), after=np.ones((2, 3, 9, 2)))
    assert load_paths(tmp_path) is None
    save_paths(whole, tmp_path)
    found = load_paths(tmp_path)
    assert found is not None
    assert np.array_equal(found.after, whole.after)
    damage(tmp_path)
    with pytest.raises(WorkspaceError, match=r"paths\.npz (cannot be read|holds no paths)"):
        load_paths(tmp_path)


def test_a_picture_that_cannot_be_read_is_named_and_all_else_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = experiment(tmp_path)
    (maml, anil) = (run_of(folder, name) for name in ("maml", "anil"))
    (maml / FILE).write_bytes(b"")
    (anil / FRAMES).write_bytes(b"no picture")
    assert cli.main(["report", str(folder)]) == 0
    page = (folder / "report.md").read_text(encoding="utf-8")
    missing = page.partition("### Not shown")[2]
    assert f"- **{maml.name}:** paths.npz cannot be read (EOFError)" in missing
    assert f"- **{anil.name}:** frames.png cannot be read" in missing
    assert "figures/paths-anil.png" in page
    assert "figures/paths-maml.png" not in page
    capsys.readouterr()
    assert cli.main(["show", str(maml), "--out", str(tmp_path / "show")]) == 0
    assert "Not drawn: paths.npz cannot be read (EOFError)." in capsys.readouterr().out
    assert (tmp_path / "show" / "tasks-navigation2d.png").is_file()


@pytest.mark.parametrize("margin", ["two", None, -1, True, float("nan"), [1]])
def test_a_margin_that_is_no_number_above_zero_is_refused(tmp_path: Path, margin: Any) -> None:
    with pytest.raises(WorkspaceError, match="is damaged: its margin_return is "):
        declared_margin({"margin_return": margin}, tmp_path)
    assert declared_margin({"margin_return": 2}, tmp_path) == 2.0
    assert declared_margin({}, tmp_path) == 1.0


def test_every_command_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = experiment(tmp_path, margin_return="two")
    for command in (
        ["report", str(folder)],
        ["compare", *(str(run_of(folder, m)) for m in ("maml", "anil"))],
    ):
        said = refused(capsys, *command)
        assert f"experiment.json in {folder} is damaged: its margin_return is 'two'" in said


def test_a_lost_record_is_no_declared_margin(tmp_path: Path) -> None:
    folder = experiment(tmp_path)
    assert cli.main(["report", str(folder)]) == 0
    assert "the margin, which was set before" in (folder / "report.md").read_text()
    for place in (folder, folder / "runs"):
        (place / "experiment.json").unlink()
    assert cli.main(["report", str(folder)]) == 0
    assert (
        "the margin, which is not known, as the experiment's record is lost"
        in (folder / "report.md").read_text()
    )


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("train.source.name", lambda spec: spec["train"]["source"].pop("name")),
        ("train.source.fingerprint", lambda spec: spec["train"]["source"].pop("fingerprint")),
        ("train.sampling.trajectories", lambda spec: spec["train"].update(sampling={})),
        ("train.iterations", lambda spec: spec["train"].update(iterations="many")),
        ("method.plugin", lambda spec: spec["method"].pop("plugin")),
        ("seed", lambda spec: spec.update(seed=False)),
        ("evaluations[1].n_tasks", lambda spec: spec["evaluations"][1].pop("n_tasks")),
    ],
)
def test_a_run_whose_spec_lacks_what_is_read_is_left_out(
    tmp_path: Path, place: str, change: Callable[[dict[str, Any]], object]
) -> None:
    run = run_of(experiment(tmp_path), "maml")
    edit(run / "spec.json", change)
    found, (left_out,) = read_control_run(RunFolder(run))
    assert found is None
    assert left_out.reason == f"spec.json is missing, damaged or foreign: see its {place}"


def test_every_command_leaves_it_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = experiment(tmp_path)
    run = run_of(folder, "maml")
    edit(run / "spec.json", lambda spec: spec["train"]["source"].pop("fingerprint"))
    assert cli.main(["report", str(folder)]) == 0
    assert "1 of 2 runs is missing from this report" in (folder / "report.md").read_text(encoding="utf-8")
    assert cli.main(["paper", str(folder), "--out", str(tmp_path / "paper")]) == 0
    assert f"Left out: {run.name}" in capsys.readouterr().out
    assert "cannot be shown" in refused(capsys, "show", str(run), "--out", str(tmp_path / "show"))


def test_probes_of_another_run_are_left_out(tmp_path: Path) -> None:
    folder = experiment(tmp_path)
    run = run_of(folder, "maml")
    shutil.copy(run_of(folder, "anil") / "probes.parquet", run)
    gathered = gather_runs(run_folders(folder / "runs"))
    assert set(gathered.probes["method"]) == {"anil"}
    assert len(gathered.probes) == 2 * 2 * 4  # conditions, sources, tasks: each once
    (left_out,) = gathered.without_probes
    assert (left_out.run_id, left_out.reason) == (
        run.name,
        "probes.parquet and spec.json disagree about run_id, method",
    )


def test_two_configurations_are_never_averaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the record is lost, the folder has the runs of all commands, also with other settings."""
    folder = experiment(tmp_path)
    for spec in planned_runs(tmp_path, "ControlEvaluation.n_tasks = 4", "ControlExperiment.seeds = (1,)"):
        write_control_run(folder / "runs", spec)
    (folder / "runs" / "experiment.json").unlink()
    assert cli.main(["report", str(folder)]) == 0  # another seed is no other configuration
    assert set(pd.read_csv(folder / "returns.csv")["n_seeds"]) == {2}
    outdated = planned_runs(
        tmp_path,
        "ControlEvaluation.n_tasks = 4",
        "ControlRegime.iterations = 5",
        "ControlExperiment.seeds = (2,)",
    )
    write_control_run(folder / "runs", outdated[0])
    said = refused(capsys, "report", str(folder))
    assert "Two configurations share one name" in said
    assert "train.iterations (4, 5)" in said


def test_testing_twice_on_the_same_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        PlanError, match=r"tests on the test split of navigation2d twice with the same parameters"
    ):
        planned_control(tmp_path, *TWICE)
    planned_control(tmp_path, *TWICE, "more/ControlEvaluation.split = 'valid'")
    sampled = "more/ControlEvaluation.sampling = @more/Sampling()"
    planned_control(tmp_path, *TWICE, sampled, "more/Sampling.trajectories = 9")


def test_what_an_older_version_tested_twice_counts_once(tmp_path: Path) -> None:
    """Task k of a source is the same task, met by the same trajectories."""
    folder = RunFolder(run_of(experiment(tmp_path), "maml"))
    rows = pd.read_parquet(folder.episodes)
    again = rows[rows["source"] == "far"].head(3)
    pd.concat([rows, again]).to_parquet(folder.episodes, index=False)
    edit(
        folder.path / "spec.json",
        lambda spec: spec["evaluations"].append({**spec["evaluations"][1], "n_tasks": 3}),
    )
    edit(folder.path / "status.json", lambda status: status.pop("tables", None))
    run, left_out = read_control_run(folder)
    assert left_out == []
    assert run is not None
    assert run.episodes.groupby("source").size().to_dict() == {"far": 4, "navigation2d": 4}


def test_runs_of_two_kinds_without_a_record_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = experiment(tmp_path)
    (out / "runs" / "experiment.json").unlink()
    (out / "experiment.json").unlink(missing_ok=True)
    image = write_run(out / "runs", run_spec("maml"), 0.5)
    said = refused(capsys, "report", str(out))
    assert "are of two kinds, and experiment.json is not there to say which are meant" in said
    assert f"{image.path.name} on images" in said.replace(" is on", " on")
    assert not (out / "report.md").exists()
