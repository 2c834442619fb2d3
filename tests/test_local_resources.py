"""What `Experiment.resources` means without a cluster, and what is in the way of a run on this machine."""

from pathlib import Path
from typing import Any

import pytest

from command_line import refused
from experiments import tiny_runs, write_tiny
from harness import cli, local_resources, ray_runs, workflow
from harness.errors import ConfigError
from harness.launch import launch
from harness.local_resources import check_fits_here, cores_for_ray, without_effect
from harness.obstacles import obstacles
from harness.resources import Resources
from harness.store import Workspace

ASKED = ("--set", "Experiment.resources = @Resources()", "--set")


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_resources, "cores_here", lambda: 2)


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize(
    ("most", "workers", "cpus", "cores"),
    [
        (6, None, 1, 2),  # two at a time
        (1, None, 1, 1),  # no more workers than runs
        (6, None, 2, 2),  # one at a time
        (6, None, 0.5, 2),  # four at a time
        (6, None, 1.5, 2),
        (6, 4, 1, 4),  # as many as were asked for, whatever the machine has
        (6, 4, 2, 8),
        (3, 4, 1, 3),
    ],
)
def test_so_many_cores_ray_has(most: int, workers: int | None, cpus: float, cores: int) -> None:
    assert cores_for_ray(most, workers, Resources(cpus=cpus)) == cores


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize(("workers", "cores"), [(None, 2), (4, 6)])
def test_a_launch_on_this_machine_counts_the_cores_of_each_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int | None, cores: int
) -> None:
    given: list[float] = []

    def started(_workspace: Workspace, cores: float, *_: Any) -> None:
        given.append(cores)
        raise ConfigError("enough")

    monkeypatch.setattr(ray_runs, "ray_started", started)
    place = Workspace(runs=tmp_path / "runs", cache=tmp_path / "cache")
    with pytest.raises(ConfigError, match="enough"):
        launch(tiny_runs(tmp_path), place, workers=workers, resources=Resources(cpus=2))
    assert given == [cores]


@pytest.mark.usefixtures("two_cores")
def test_more_cores_than_the_machine_has_are_refused_unless_the_workers_are_named() -> None:
    with pytest.raises(ConfigError, match=r"Resources\.cpus = 64 asks for more cores a run than the 2 that"):
        check_fits_here(Resources(cpus=64), "ray", None, None)
    check_fits_here(Resources(cpus=2), "ray", None, None)
    check_fits_here(Resources(cpus=64), "ray", 1, None)
    check_fits_here(Resources(cpus=64), "ray", None, "first:6379")
    check_fits_here(Resources(cpus=64), "serial", None, None)


def test_what_the_serial_backend_does_not_heed_is_said() -> None:
    assert without_effect(Resources(hours=1), "ray") == ""
    assert without_effect(Resources(), "serial") == ""
    assert without_effect(Resources(hours=1), "serial").startswith("Note: Resources.hours has no effect")
    both = without_effect(Resources(cpus=2, hours=1), "serial")
    assert both.startswith("Note: Resources.cpus and Resources.hours have no effect")
    assert without_effect(Resources(cpus=2), "serial", moves_bodies=True) == ""


def test_a_serial_run_says_so_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny(tmp_path)

    def enough(*_: Any) -> None:
        raise ConfigError("enough")

    monkeypatch.setattr(workflow, "_launch_all", enough)
    run = ("run", "tiny.gin", "--cache", "cache", "--backend", "serial", *ASKED, "Resources.hours = 2")
    assert cli.main(list(run)) == 2
    assert "Note: Resources.hours has no effect with --backend serial" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ((*ASKED, "Resources.cpus = 4096"), "Resources.cpus = 4096 asks for more cores"),
        (
            ("--set", "Experiment.compute = @Compute()", "--set", "Compute.device = 'cuda'"),
            "PyTorch finds no NVIDIA GPU",
        ),
        (("--set", "Experiment.trackers = [@MLflow()]"), "MLflow"),
    ],
)
def test_a_plan_says_what_a_run_here_would_be_refused_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("harness.tracking.tracker.find_spec", lambda _name: None)
    monkeypatch.chdir(tmp_path)
    write_tiny(tmp_path)
    common = ["tiny.gin", "--cache", "cache", *settings]
    assert cli.main(["plan", *common]) == 0
    (line,) = (
        line for line in capsys.readouterr().out.splitlines() if line.startswith("Not on this machine:")
    )
    assert said in line
    assert line.removeprefix("Not on this machine: ") in refused(capsys, "run", *common)


def test_a_run_is_refused_for_all_of_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    write_tiny(tmp_path)
    gpu = ("--set", "Experiment.compute = @Compute()", "--set", "Compute.device = 'cuda'")
    shown = refused(capsys, "run", "tiny.gin", *ASKED, "Resources.cpus = 4096", *gpu)
    assert shown.count("\n  - ") == 2


def test_a_cluster_has_its_own_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.config import load_experiment

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    write_tiny(tmp_path, "Experiment.compute = @Compute()", "Compute.device = 'cuda'")
    experiment, _ = load_experiment(tmp_path / "tiny.gin")
    assert len(obstacles(experiment)) == 1
    assert obstacles(experiment, address="first:6379") == []
