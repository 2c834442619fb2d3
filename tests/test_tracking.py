"""How runs reach their trackers, and that no tracker can harm a run."""

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from command_line import listing, refused
from experiments import write_tiny
from fake_runs import episode_rows, run_spec
from harness import cli, worker
from harness.config import load_experiment
from harness.errors import ConfigError, PlanError
from harness.plan import plan
from harness.progress import Progress, Report
from harness.spec import RunSpec
from harness.store import RunFolder, Workspace
from harness.tracking import following
from harness.tracking.mlflow_store import MLflowStore
from harness.tracking.offline_runs import OfflineRuns
from harness.tracking.run_files import state_before, tracked_run
from harness.tracking.settings import settings
from harness.tracking.tracker import BEGUN, DONE
from tracked import event_points, mlflow_runs, offline_run

ALL = "Experiment.trackers = [@TensorBoard(), @MLflow(), @WeightsAndBiases()]"
ANIL = "Experiment.methods = [@ANIL()]"


def test_settings_are_flat_and_short() -> None:
    flat = settings(
        run_spec("nil", trainer="anil", evaluated_on=("glyphs", "digits"), rates=(1, 2)).to_json()
    )
    assert flat.items() >= {
        "method": "nil", "method.inner_lr": 0.4, "method.rates": "1, 2", "trainer": "anil", "train.sources": "glyphs",
        "train.shape.n_way": 5, "seed": 0, "images.size": 28,
        "evaluations": "100 episodes of glyphs (test), 100 episodes of digits (test)",
    }.items()  # fmt: skip
    assert not [name for name in flat if "fingerprint" in name]
    assert "train.gradient_clip" not in flat
    assert "run_id" not in flat


def test_results_are_those_of_the_leaderboard_and_name_shapes_where_they_must(tmp_path: Path) -> None:
    spec = run_spec()
    folder = RunFolder(tmp_path / spec.run_id)
    assert state_before(folder) == "new"
    folder.begin(spec)
    assert state_before(folder) == BEGUN
    import pandas as pd

    folder.write_episodes(
        pd.concat(
            [
                episode_rows([0.5, 1.0], run_id=spec.run_id),
                episode_rows([0.25, 0.25], run_id=spec.run_id, n_way=10, n_support=10),
                episode_rows([0.5, 0.5], run_id=spec.run_id, source="digits"),
            ]
        )
    )
    assert not tracked_run(folder, {}, BEGUN).is_done
    folder.write_status("done", selected_iteration=3)
    assert state_before(folder) == DONE
    run = tracked_run(folder, {}, DONE)
    assert run.results == pytest.approx(
        {
            "test_accuracy/glyphs_5way_1shot": 0.75,
            "test_ci95/glyphs_5way_1shot": 1.96 * 0.25 / 2**0.5,
            "test_accuracy/glyphs_10way_1shot": 0.25,
            "test_ci95/glyphs_10way_1shot": 0,
            "test_accuracy/digits": 0.5,
            "test_ci95/digits": 0,
        }
    )
    assert run.tested_step == 3


def test_trackers_change_no_run(tmp_path: Path) -> None:
    def run_ids(*bindings: str) -> list[tuple[str, str]]:
        experiment, _ = load_experiment(write_tiny(tmp_path), bindings)
        runs = plan(experiment, data_dir=None, cache=tmp_path / "cache").runs
        return [(run.run_id, run.training_id) for run in runs]

    assert run_ids(ALL) == run_ids()


@pytest.mark.parametrize(
    ("binding", "said"),
    [
        ("Experiment.trackers = @TensorBoard()", "must be a list, for example [@TensorBoard()]"),
        ("Experiment.trackers = [@MAML()]", "must hold a Tracker, written for example @TensorBoard()"),
        ("Experiment.trackers = [@MLflow]", "holds the class MLflow"),
        ("Experiment.trackers = [@TensorBord()]", "Did you mean 'TensorBoard'?"),
        ("MLflow.experiment = 'mine'", "Add @MLflow() to Experiment.trackers, or remove the line"),
    ],
)
def test_a_mistake_is_found_when_the_config_is_read(tmp_path: Path, binding: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_experiment(write_tiny(tmp_path), [binding])
    assert said in str(caught.value)


def test_a_tracker_named_twice_is_refused(tmp_path: Path) -> None:
    experiment, _ = load_experiment(
        write_tiny(tmp_path), ["Experiment.trackers = [@TensorBoard(), @TensorBoard()]"]
    )
    with pytest.raises(PlanError, match="names TensorBoard twice: remove one"):
        plan(experiment, data_dir=None, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("tracker", "package", "extra"),
    [
        ("TensorBoard", "tensorboard", "tensorboard"),
        ("MLflow", "sqlalchemy", "mlflow"),
        ("WeightsAndBiases", "wandb", "wandb"),
    ],
)
def test_a_missing_package_is_told_before_anything_is_done(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tracker: str, package: str, extra: str,
) -> None:  # fmt: skip
    write_tiny(home, f"Experiment.trackers = [@{tracker}()]")
    monkeypatch.setitem(sys.modules, package, None)
    said = refused(capsys, "run", "tiny.gin", "--backend", "serial")
    assert f"needs the package {package}" in said
    assert f"pip install -c constraints.txt -e '.[{extra}]'" in said
    assert listing(home) == {"tiny.gin"}


@pytest.mark.slow
def test_runs_are_logged_from_the_command_line_and_once_when_they_are_resumed(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(home, ALL)
    command = ["run", "tiny.gin", "--backend", "serial", "--set", ANIL]
    real = worker.execute

    def interrupted(run: RunSpec, workspace: Workspace, report: Report, **named: Any) -> None:
        def stop(progress: Progress) -> None:
            report(progress)
            if progress.done == 2:
                raise KeyboardInterrupt

        real(run, workspace, stop, **named)

    with monkeypatch.context() as patch:
        patch.setattr(worker, "execute", interrupted)
        assert cli.main(command) == 130
    out = home / "reports" / "tiny"
    (run,) = (path for path in (out / "runs").iterdir() if path.is_dir())
    assert event_points(out / "tensorboard" / run.name)["training/loss"] == losses(run)
    assert [k for k, _ in losses(run)] == [2]
    assert [found.info.status for found, _ in mlflow_runs(out / "mlflow")] == ["KILLED"]
    for _ in range(2):
        assert cli.main(command) == 0
        shown = capsys.readouterr().out
        assert "has stopped" not in shown
        assert f"tensorboard --logdir {out}" in shown
        check_logged(out, run)


def check_logged(out: Path, run: Path) -> None:
    """Each tracker has the run once, and in it what the run's files say."""
    events = event_points(out / "tensorboard" / run.name)
    ((found, metrics),) = mlflow_runs(out / "mlflow")
    (file,) = (out / "wandb").glob("offline-run-*/*.wandb")
    _, points, summary = offline_run(file)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == run.name
    for logged in (events, metrics, points):
        assert [k for k, _ in logged["training/loss"]] == [2, 4]
        assert logged["training/loss"] == losses(run)
    whole = tracked_run(RunFolder(run), {}, DONE)
    for name, number in whole.results.items():
        assert events[name] == [(whole.tested_step, pytest.approx(number))]
        assert metrics[name] == [(whole.tested_step, number)]
        assert summary[name] == number


def losses(run: Path) -> list[tuple[int, float]]:
    return [(line["iteration"], pytest.approx(line["loss"])) for line in RunFolder(run).curve()]


@pytest.mark.slow
def test_runs_on_ray_are_logged(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home, "Experiment.trackers = [@TensorBoard()]")
    assert cli.main(["run", "tiny.gin", "--workers", "1", "--set", ANIL]) == 0
    (place,) = (home / "reports" / "tiny" / "tensorboard").iterdir()
    assert [k for k, _ in event_points(place)["training/loss"]] == [2, 4]


@pytest.mark.slow
def test_a_tracker_that_raises_or_hangs_stops_no_run(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError("made to [fail]\nin two lines")

    released = threading.Event()
    monkeypatch.setattr(OfflineRuns, "update", fails)
    monkeypatch.setattr(MLflowStore, "__init__", lambda *_: released.wait())
    monkeypatch.setattr(following, "CLOSE_SECONDS", 3.0)
    write_tiny(home, ALL)
    try:
        assert cli.main(["run", "tiny.gin", "--backend", "serial", "--set", ANIL]) == 0
    finally:
        released.set()
    shown = capsys.readouterr()
    sentence = "WeightsAndBiases has stopped (OSError: made to [fail]); the runs go on."
    assert (shown.out + shown.err).count(sentence) == 1
    assert "MLflow is still busy and was left behind." in shown.out
    (place,) = (home / "reports" / "tiny" / "tensorboard").iterdir()
    assert (place / ".whole").exists()
    assert "Traceback" not in shown.out + shown.err
