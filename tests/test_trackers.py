"""What each tracker writes of a run, read again: nothing twice, nothing left out, nothing stale."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.tracking.event_files import EventFiles
from harness.tracking.mlflow_store import MLflowStore
from harness.tracking.offline_runs import OfflineRuns
from harness.tracking.tracker import BEGUN, DONE, Log
from tracked import RUN, event_points, event_settings, expected, mlflow_runs, moment, offline_run


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of MLflow's, which takes seconds to make."""
    folder = tmp_path_factory.mktemp("database")
    MLflowStore(folder, "tiny")
    return folder / "mlflow.db"


@pytest.fixture
def folder(tmp_path: Path, database: Path) -> Path:
    """A folder of results, with an empty database of MLflow's."""
    (tmp_path / "mlflow").mkdir()
    shutil.copy(database, tmp_path / "mlflow")
    return tmp_path


def tensorboard(folder: Path) -> Log:
    return EventFiles(folder / "tensorboard")


def mlflow(folder: Path) -> Log:
    return MLflowStore(folder / "mlflow", "tiny")


def wandb(folder: Path) -> Log:
    return OfflineRuns(folder, "tiny")


def events(folder: Path) -> object:
    return event_points(folder / "tensorboard" / RUN)


def metrics(folder: Path) -> object:
    ((_, points),) = mlflow_runs(folder / "mlflow")
    return points


LIVE = pytest.mark.parametrize(("opened", "read"), [(tensorboard, events), (mlflow, metrics)])


@LIVE
def test_a_curve_is_logged_as_it_grows(
    folder: Path, opened: Callable[[Path], Log], read: Callable[[Path], object]
) -> None:
    log = opened(folder)
    log.update(moment())
    log.update(moment(0, 2))
    assert read(folder) == expected(0, 2, done=False)
    for run in (moment(0, 2), moment(0, 2, 4), moment(0, 2, 4, done=True), moment(0, 2, 4, done=True)):
        log.update(run)
    log.close()
    assert read(folder) == expected(0, 2, 4)


@LIVE
def test_what_is_carried_on_is_logged_once(
    folder: Path, opened: Callable[[Path], Log], read: Callable[[Path], object]
) -> None:
    log = opened(folder)
    log.update(moment(0, 2, 4))
    log.update(moment(0, 2, 4, state="interrupted"))
    log.close()
    for steps in ((0, 2), (0, 2, 4), (0, 2, 4, 6)):  # resumed from the checkpoint before the last line
        log = opened(folder)
        log.update(moment(*steps, before=BEGUN))
        assert {k for k, _ in read(folder)["training/loss"]} >= set(steps)  # type: ignore[index]
        log.close()
    log = opened(folder)
    log.update(moment(0, 2, 4, 6, before=BEGUN, done=True))
    log.close()
    assert read(folder) == expected(0, 2, 4, 6)
    before = {path: path.read_bytes() for path in folder.rglob("*tfevents*")}
    log = opened(folder)
    log.update(moment(0, 2, 4, 6, before=DONE, done=True))
    log.close()
    assert read(folder) == expected(0, 2, 4, 6)
    assert before == {path: path.read_bytes() for path in folder.rglob("*tfevents*")}


@LIVE
def test_a_run_that_begins_anew_replaces_what_was_logged_of_it(
    folder: Path, opened: Callable[[Path], Log], read: Callable[[Path], object]
) -> None:
    opened(folder).update(moment(0, 2, 4, done=True))
    opened(folder).update(moment(0, 2))
    assert read(folder) == expected(0, 2, done=False)


@LIVE
def test_a_run_that_was_done_before_is_logged_whole(
    folder: Path, opened: Callable[[Path], Log], read: Callable[[Path], object]
) -> None:
    opened(folder).update(moment(0, 2, 4, before=DONE, done=True))
    assert read(folder) == expected(0, 2, 4)


def test_tensorboard_has_the_settings_and_the_time_of_the_training(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tensorboard(tmp_path).update(moment(0, 2, 4, before=BEGUN))
    place = tmp_path / "tensorboard" / RUN
    assert event_settings(place) == moment().settings
    found = EventAccumulator(str(place))
    found.Reload()
    first, *others = (event.wall_time for event in found.Scalars("training/loss"))
    assert [other - first for other in others] == pytest.approx([1.0, 2.0], abs=1e-5)


def test_mlflow_has_a_run_of_that_name_with_its_settings_and_its_end(folder: Path) -> None:
    log = mlflow(folder)

    def status(state: str, **values: bool) -> str:
        log.update(moment(0, 2, state=state, before=BEGUN, **values))
        ((run, _),) = mlflow_runs(folder / "mlflow")
        return str(run.info.status)

    assert [status(state) for state in ("training", "failed", "training", "interrupted", "evaluating")] == [
        "RUNNING", "FAILED", "RUNNING", "KILLED", "RUNNING",
    ]  # fmt: skip
    assert status("done", done=True) == "FINISHED"
    ((run, _),) = mlflow_runs(folder / "mlflow")
    assert run.info.run_name == RUN
    assert run.data.params == {name: str(value) for name, value in moment().settings.items()}


def test_mlflow_takes_every_name_of_a_source(folder: Path) -> None:
    from dataclasses import replace

    mlflow(folder).update(replace(moment(0, done=True), results={"test_accuracy/a+b": 0.5}))
    assert metrics(folder)["test_accuracy/a_b"] == [(2, 0.5)]  # type: ignore[index]


def test_weights_and_biases_gets_each_finished_run_once(tmp_path: Path) -> None:
    def files() -> list[Path]:
        return sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"))

    def logged(before: str, *steps: int, done: bool = True) -> None:
        log = wandb(tmp_path)
        log.update(moment(*steps[:-1], before=before))
        for _ in range(2):
            log.update(moment(*steps, before=before, done=done))
        log.close()

    logged(BEGUN, 0, 2, 4, done=False)
    assert not files()
    logged(BEGUN, 0, 2, 4)
    (file,) = files()
    run, points, summary = offline_run(file)
    assert (run.display_name, run.run_id, run.project) == (RUN, "0123456789", "tiny")
    assert {item.key: item.value_json for item in run.config.update}.items() >= {
        ("method.inner_lr", "0.5"), ("method", '"maml"'),
    }  # fmt: skip
    assert points == {name: found for name, found in expected(0, 2, 4).items() if "training" in name}
    assert summary.items() >= {"test_accuracy/glyphs": 0.75, "test_ci95/glyphs": 0.125}.items()
    before = file.read_bytes()
    logged(DONE, 0, 2, 4)
    assert files() == [file]
    assert file.read_bytes() == before
    logged("new", 0, 2)
    (file,) = files()
    assert [k for k, _ in offline_run(file)[1]["training/loss"]] == [0, 2]
