"""Control experiments from the gin file to the report: plan, identity, runs that resume, statistics, mistakes."""

import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from control_experiments import needs_entry_points, planned_control, write_control
from harness.cli import main
from harness.config import load_experiment
from harness.control.experiment import ControlExperiment
from harness.control.meta_training import MetaTraining, Update
from harness.control.planning import plan_control
from harness.control.policy_probe import POLICY_PROBE_COLUMNS
from harness.control.run_spec import outer_component, outer_of
from harness.control.run_worker import execute_control
from harness.control.task_rows import TASK_COLUMNS
from harness.control.trust_region import TrustRegion
from harness.errors import ConfigError, PlanError, WorkspaceError
from harness.files import write_json
from harness.node_pools import offer_of
from harness.ray_worker import Driver
from harness.record import read_record
from harness.resources import Resources
from harness.schedule import Schedule
from harness.store import Workspace
from harness_datasets.navigation2d import PointSimulator

pytestmark = needs_entry_points

COMPUTE = ("ControlExperiment.compute = @Compute()",)


def silent(progress: object) -> None:
    """Nobody watches."""


def test_a_report_says_by_which_code_its_runs_were_made_and_where_that_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(write_control(tmp_path)), "--backend", "serial", "--out", "out"]) == 0
    written = Path("out/report.md").read_text(encoding="utf-8")
    record = read_record(Path("out"))
    assert f"| experiment started | {record['started']} |" in written
    assert "| harness commit | " in written.partition("## Made with")[2]
    (run,) = [path for path in Path("out/runs").glob("anil-*") if path.is_dir()]
    write_json(run / "provenance.json", [{"plugins": {"control source swamp": "a" * 64}}])
    write_json(Path("out/runs/experiment.json"), {**record, "plugins": {"control source swamp": "b" * 64}})
    assert main(["report", "out"]) == 0
    again = Path("out/report.md").read_text(encoding="utf-8")
    assert f"**The code of control source swamp that the run {run.name} began with" in again


def test_an_experiment_runs_to_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["run", str(write_control(tmp_path)), "--backend", "serial", "--out", "out"]
    assert main(command) == 0
    report = Path("out/report.md").read_text(encoding="utf-8")
    beside = report.partition("## Beside the paper")[2]
    assert "| ANIL (anil) | published | 363.2 ± 14.8 | -120.9 ± 6.3 | -20.1 ± 2.3 |" in beside
    here = pd.read_csv("out/returns.csv").set_index(["method", "source"])["after"]["anil", "navigation2d"]
    assert f"|  | here | not run | not run | {here:.1f} |" in beside
    assert "4 updates of 2 tasks, each of 3 trajectories of 8 steps, mlp of 8 units, 1 seed." in beside
    assert "harness run gin/halfcheetah_velocity.gin: about 18 h of one core" in beside
    assert "| anil against maml | far | " in report.partition("## Verdicts")[2]
    table = pd.read_csv("out/returns.csv")
    assert sorted(zip(table["method"], table["source"], strict=True)) == [
        (method, source) for method in ("anil", "maml") for source in ("far", "navigation2d")
    ]
    for picture in ("curves-navigation2d.png", "paths-maml.png", "tasks-all.png"):
        assert (Path("out/figures") / picture).stat().st_size > 1000
    rows = pd.concat(pd.read_parquet(path) for path in Path("out/runs").glob("*/episodes.parquet"))
    assert list(rows.columns) == list(TASK_COLUMNS)
    assert len(rows) == 2 * 2 * 3
    for _, same in rows.groupby(["source", "episode"]):
        assert len(set(same["task"])) == 1  # every method met the same task
    before = {path: path.stat().st_mtime_ns for path in Path("out/runs").glob("*/episodes.parquet")}
    assert main(command) == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}  # done runs are kept
    assert main([*command, "--fresh"]) == 0
    assert not before.items() & {path: path.stat().st_mtime_ns for path in before}.items()
    assert main(["status", "out"]) == 0
    assert main(["plan", str(tmp_path / "tiny.gin"), "--out", "out"]) == 0
    Path("out/report.md").unlink()
    assert main(["report", "out"]) == 0
    again = Path("out/report.md").read_text(encoding="utf-8")
    assert again.partition("## Cost")[0] == report.partition("## Cost")[0]
    assert Path("out/report.html").stat().st_size > 10_000


def test_probes_are_measured_after_the_evaluation_and_are_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    probes = "ControlExperiment.probes = [@PolicyFreeze(), @PolicySimilarity(), @PolicyMovement()]"
    methods = "ControlExperiment.methods = [@MAML(), @NoAdaptation()]"
    config = write_control(tmp_path, probes, methods)
    plain, probed = planned_control(tmp_path, methods)[0], planned_control(tmp_path, methods, probes)[0]
    assert plain.training_id == probed.training_id
    assert plain.run_id != probed.run_id
    assert main(["run", str(config), "--backend", "serial", "--out", "out"]) == 0
    rows = pd.concat(pd.read_parquet(path) for path in Path("out/runs").glob("*/probes.parquet"))
    assert list(rows.columns) == list(POLICY_PROBE_COLUMNS)
    episodes = pd.concat(pd.read_parquet(path) for path in Path("out/runs").glob("*/episodes.parquet"))
    key = ["method", "source", "episode"]
    frozen = rows[(rows["probe"] == "freeze") & (rows["condition"] == "everything")].set_index(key)["value"]
    scored = episodes.set_index(key)["return_after"]
    np.testing.assert_array_equal(frozen.sort_index().to_numpy(), scored.sort_index().to_numpy())
    silent_rows = rows[(rows["method"] == "no_adaptation") & (rows["probe"] == "movement")]
    assert silent_rows["reason"].str.contains("adapts nothing").all()
    report = Path("out/report.md").read_text(encoding="utf-8")
    assert "| Method | Source | nothing | head only | body only | everything |" in report
    assert "CKA before against after" in report
    assert "| no_adaptation | navigation2d | far | " in report.partition("## Other methods")[2]
    assert "## Verdicts" not in report  # what does not adapt says nothing about reuse


@pytest.mark.skipif(
    not all(importlib.util.find_spec(package) for package in ("mujoco", "gymnasium")),
    reason="needs pip install -c constraints.txt -e '.[rl]'",
)
def test_a_body_runs_to_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = write_control(
        tmp_path,
        "ControlRegime.source = @HalfCheetahVelocity()",
        "ControlEvaluation.sources = [@HalfCheetahVelocity(), @walker/HalfCheetahVelocity()]",
        "HalfCheetahVelocity.horizon = 6",
        "walker/HalfCheetahVelocity.body = 'walker2d'",
        "walker/HalfCheetahVelocity.name = 'walker'",
        "ControlRegime.iterations = 1",
    )
    assert main(["run", str(config), "--backend", "serial", "--out", "out"]) == 0
    table = pd.read_csv("out/returns.csv")
    assert set(table["source"]) == {"halfcheetah_velocity", "walker"}
    shown = (Path("out/figures") / "frames-maml.png").exists()
    assert ("(figures/frames-maml.png)" in Path("out/report.md").read_text(encoding="utf-8")) == shown


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU here"),
        ),
    ],
)
def test_a_run_that_was_interrupted_gives_the_same_rows(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = "ControlExperiment.probes = [@PolicyFreeze(), @PolicySimilarity(), @PolicyMovement()]"
    run = planned_control(tmp_path, *COMPUTE, f"Compute.device = '{device}'", probes)[0]
    whole, broken = (Workspace(runs=tmp_path / name, cache=tmp_path) for name in ("whole", "broken"))
    execute_control(run, whole, silent)
    update = MetaTraining.update

    def interrupted(self: MetaTraining) -> Update:
        if self.iteration == 2:
            raise KeyboardInterrupt
        return update(self)

    monkeypatch.setattr(MetaTraining, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        execute_control(run, broken, silent, checkpoint_seconds=1e-9)
    folder = broken.folder(run.run_id)
    assert folder.state == "interrupted"
    made: list[int] = []

    def counted(self: MetaTraining) -> Update:
        made.append(self.iteration)
        return update(self)

    monkeypatch.setattr(MetaTraining, "update", counted)
    execute_control(run, broken, silent)
    assert made == [2, 3]
    rows = [
        pd.read_parquet(each.folder(run.run_id).episodes).drop(columns="seconds") for each in (whole, broken)
    ]
    pd.testing.assert_frame_equal(*rows)
    probed = [pd.read_parquet(each.folder(run.run_id).probes) for each in (whole, broken)]
    pd.testing.assert_frame_equal(*probed)
    assert len(probed[0])
    curves = [
        [{**line, "seconds": 0} for line in each.folder(run.run_id).curve()] for each in (whole, broken)
    ]
    assert curves[0] == curves[1]
    assert len(curves[0]) == 1
    status = [each.folder(run.run_id).status()["simulated_steps"] for each in (whole, broken)]
    assert status[0] == status[1]


def test_dynamics_that_break_down_fail_the_run_with_the_task_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    walk = PointSimulator.step

    def broken(self: PointSimulator, actions: Any) -> Any:
        after = walk(self, actions)
        return dataclasses.replace(after, observations=after.observations * np.nan)

    monkeypatch.setattr(PointSimulator, "step", broken)
    command = ["run", str(write_control(tmp_path)), "--backend", "serial", "--out", "out"]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "2 of 2 runs failed" in said
    assert "The dynamics of task 0 of navigation2d/train (goal_x" in said
    assert "3 of 3 trajectories" in said


def test_a_sibling_takes_over_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = planned_control(tmp_path)[0]
    second = planned_control(tmp_path, "MAML.test_inner_steps = 3")[0]
    assert first.training_id == second.training_id
    assert first.run_id != second.run_id
    workspace = Workspace(runs=tmp_path / "runs", cache=tmp_path)
    execute_control(first, workspace, silent)
    monkeypatch.setattr(MetaTraining, "update", None)  # no update is made
    execute_control(second, workspace, silent)
    rows = [pd.read_parquet(workspace.folder(run.run_id).episodes) for run in (first, second)]
    assert [set(each["adaptation_steps"]) for each in rows] == [{1}, {3}]
    np.testing.assert_array_equal(rows[0]["return_before"], rows[1]["return_before"])


@pytest.mark.parametrize(
    ("line", "training"),
    [
        ("ControlRegime.iterations = 5", True),
        ("MAML.inner_lr = 0.2", True),
        ("TrustRegion.max_kl = 0.02\nControlRegime.outer = @TrustRegion()", True),
        ("ControlRegime.outer = @ClippedSurrogate()", True),
        ("MLP.hidden = (9,)", True),
        ("ControlEvaluation.n_tasks = 4", False),
        ("far/Navigation2D.goal_range = 3.0", False),
    ],
)
def test_identity_is_content(tmp_path: Path, line: str, training: bool) -> None:
    plain, changed = planned_control(tmp_path)[0], planned_control(tmp_path, line)[0]
    assert plain.run_id != changed.run_id
    assert (plain.training_id != changed.training_id) == training
    assert plain == planned_control(tmp_path)[0]
    assert json.loads(json.dumps(plain.to_json()))["kind"] == "control"


def test_the_longest_runs_start_first(tmp_path: Path) -> None:
    long, short = planned_control(tmp_path, "ControlRegime.iterations = 9")[0], planned_control(tmp_path)[0]
    assert Schedule([short, long]).first() == [long, short]
    # 4 updates of 2 tasks, 3 trajectories of 8 steps, before and after; 2 evaluations of 3 tasks.
    assert short.work == (4 * 2 + 2 * 3) * 3 * 8 * 2


def test_a_node_of_a_cluster_needs_no_pools_for_a_run(tmp_path: Path) -> None:
    run, place = planned_control(tmp_path)[0], Workspace(runs=tmp_path / "runs", cache=tmp_path / "cache")
    offer = offer_of([run], place.cache, None)
    assert not offer.digests
    driver = Driver(origin=None, version="", execute=None, resources=Resources(), here=False, offer=offer)
    driver.have_pools(run, place)
    assert not place.cache.exists()


def test_the_outer_step_survives_being_plain_data() -> None:
    settings = TrustRegion(max_kl=0.02)
    assert outer_of(outer_component(settings)) == settings


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "ControlExperiment.methods = [@MAMLPlusPlus()]",
            "a method of policies, .*`harness list policy_methods`",
        ),
        ("ControlRegime.source = @Glyphs()", "ControlRegime.source must hold a control source"),
        ("ControlExperiment.compute = 'cuda'", "ControlExperiment.compute must hold a Compute"),
        ("ControlExperiment.resources = 2", "ControlExperiment.resources must hold a Resources"),
        ("ControlRegime.outer = @Sampling()", "ControlRegime.outer must be @TrustRegion"),
        ("Experiment.name = 'both'", "a file is about one of them"),
        ("MLP.hidden = 100", r"MLP.hidden must be a list, for example \(100, 100\); got 100"),
        ("Navigation2D.horizon = 0", "Navigation2D.horizon must be a whole number of at least 1"),
        ("ControlRegime.meta_batch = 0", "ControlRegime.meta_batch must be a whole number of at least 1"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_experiment(write_control(tmp_path, line))


@pytest.mark.parametrize(
    ("binding", "words"),
    [
        (
            "Experiment.seeds = 3",
            "gives values to ControlExperiment, not to Experiment; write ControlExperiment.seeds.",
        ),
        ("Experiment.search = None", "ControlExperiment has no search: leave it out."),
    ],
)
def test_a_setting_of_the_other_kind_of_experiment_is_said_in_this_one_s_words(
    tmp_path: Path, binding: str, words: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load_experiment(write_control(tmp_path), [binding])
    assert str(raised.value).startswith(f"--set {binding!r}: ")
    assert str(raised.value).endswith(words)


def test_all_problems_of_a_plan_come_at_once(tmp_path: Path) -> None:
    experiment, _ = load_experiment(
        write_control(
            tmp_path,
            "ControlExperiment.methods = [@MAML(), @other/MAML()]",
            "ControlEvaluation.sources = [@HalfCheetahVelocity()]",
        )
    )
    assert isinstance(experiment, ControlExperiment)
    with pytest.raises(PlanError) as raised:
        plan_control(experiment)
    assert any(
        problem.startswith("No policy of this experiment can act in halfcheetah_velocity (observations of 17")
        for problem in raised.value.problems
    )
    found = "\n".join(raised.value.problems)
    assert "ControlExperiment.methods has 'maml' twice" in found
    assert "(observations of 2, actions of 2 numbers) can act in none of the evaluated sources" in found


def test_a_source_that_is_another_where_the_run_is_fails_it(tmp_path: Path) -> None:
    run = planned_control(tmp_path)[0]
    other = dataclasses.replace(
        run,
        train=dataclasses.replace(
            run.train, source=dataclasses.replace(run.train.source, fingerprint="navigation2d-0")
        ),
    )
    with pytest.raises(WorkspaceError, match="navigation2d-1 here and was planned as navigation2d-0"):
        execute_control(other, Workspace(runs=tmp_path / "runs", cache=tmp_path), silent)
