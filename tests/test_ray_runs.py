"""Runs through Ray: failed, killed, lost and overdue ones, Ctrl-C, a cluster of its own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fake_execute
from experiments import tiny_runs, write_tiny
from harness import ray_runs, ray_session
from harness.attempt import Outcome
from harness.errors import ConfigError
from harness.launch import launch
from harness.progress import Progress, Report
from harness.resources import Resources
from harness.spec import RunSpec
from harness.store import Workspace, run_folders


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(runs=tmp_path / "runs", cache=tmp_path / "cache")


@pytest.fixture
def shared_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ray's workers import what lies beside this file."""
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])))


@pytest.mark.slow
@pytest.mark.usefixtures("shared_modules")
def test_ray_does_not_try_a_diverged_training_again_but_a_killed_one(
    tmp_path: Path, workspace: Workspace
) -> None:
    runs = [run for run in tiny_runs(tmp_path, [2, 4]) if run.method_name != "maml"]
    launch(runs, workspace, workers=1, execute=fake_execute.execute)
    for run in runs:
        error = workspace.folder(run.run_id).status()["error"]
        if run.seed == 2:
            assert "was killed" in error
        elif run.method_name == "anil":
            assert error == "TrainingDivergedError: the loss is nan"
        else:
            assert error.startswith("Its training, shared with anil-")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The addresses of a Ray cluster of its own on this machine, plain and for clients; stopped afterwards."""
    place = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short: socket paths are limited
    port, client, agent = free_ports(3)
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"),
        *("--node-ip-address=127.0.0.1", f"--port={port}", f"--ray-client-server-port={client}"),
        *(f"--dashboard-agent-listen-port={agent}", "--include-dashboard=false", f"--temp-dir={place}"),
        *("--min-worker-port=0", "--max-worker-port=0", "--object-store-memory=100000000"),
        "--disable-usage-stats",
    ]
    log = tmp_path / "cluster.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while "Ray runtime started" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield f"127.0.0.1:{port}", f"ray://127.0.0.1:{client}"
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(place, ignore_errors=True)


def free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.mark.slow
def test_a_running_ray_cluster_does_the_runs(tmp_path: Path, cluster: tuple[str, str]) -> None:
    write_tiny(tmp_path)
    code = "import sys, harness.cli; sys.exit(harness.cli.main())"
    for out, address in zip(("plain", "client"), cluster, strict=True):
        words = ["run", "tiny.gin", "--address", address, "--cache", "cache", "--out", out]
        done = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        states = [folder.state for folder in run_folders(tmp_path / out / "runs")]
        assert states == ["done"] * 3


@pytest.mark.slow
@pytest.mark.usefixtures("shared_modules")
def test_ray_records_failed_and_killed_runs_and_goes_on(tmp_path: Path, workspace: Workspace) -> None:
    runs = tiny_runs(tmp_path, [0, 1, 2])
    seen: list[Progress] = []
    outcomes = launch(runs, workspace, workers=2, on_progress=seen.append, execute=fake_execute.execute)
    for run, outcome in zip(runs, outcomes, strict=True):
        assert outcome.run_id == run.run_id
        assert outcome.state == ("done" if run.seed == 0 else "failed")
        assert workspace.folder(run.run_id).state == outcome.state
        if run.seed == 2:
            assert "was killed (2 times)" in workspace.folder(run.run_id).status()["error"]
    assert seen
    began = {run.method_name: _began(workspace, run) for run in runs if run.seed == 0}
    assert began["nil"] > began["anil"], "the run that shares a training waits for it"
    again = launch(runs[:1], workspace, execute=fake_execute.execute)
    assert again[0].seconds == 0.0


@pytest.fixture
def in_the_background() -> Iterator[None]:
    """As a shell starts what it does not wait for: Ctrl-C ignored, by this process and those it starts."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("shared_modules", "in_the_background")
def test_ray_tries_a_lost_run_again_and_stops_an_overdue_one(tmp_path: Path, workspace: Workspace) -> None:
    lost, overdue = tiny_runs(tmp_path, [5]), tiny_runs(tmp_path, [3])[:1]
    resources = Resources(cpus=1.25, hours=1 / 3600, retries=1)
    outcomes = launch(lost, workspace, workers=1, resources=Resources(), execute=fake_execute.execute)
    assert [outcome.state for outcome in outcomes] == ["done"] * len(lost)
    (outcome,) = launch(overdue, workspace, workers=1, resources=resources, execute=fake_execute.execute)
    assert outcome.state == "failed"
    assert outcome.error is not None
    assert outcome.error.startswith("It took longer than Resources.hours = 0.0")
    assert outcome.seconds > 0.5
    assert workspace.folder(outcome.run_id).state == "failed"
    never = Resources(custom={"moonlight": 1.0})
    again = tiny_runs(tmp_path, [6])[:1]
    with pytest.raises(ConfigError, match="asks for 1 CPU, 1 moonlight a run, and no node") as caught:
        launch(again, workspace, workers=1, resources=never, execute=fake_execute.execute)
    assert "(1 CPU, 0 moonlight)" in str(caught.value)


@pytest.mark.slow
@pytest.mark.usefixtures("shared_modules")
def test_ray_is_given_no_more_runs_than_can_be_looked_over(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_runs, "MOST_AHEAD", 3)
    monkeypatch.setattr(ray_runs, "AHEAD_A_CORE", 0)
    ahead: list[int] = []
    real = ray_runs._Fleet.landed

    def landed(fleet: Any, report: Report) -> list[Outcome]:
        ahead.append(len(fleet.flying))
        return real(fleet, report)

    monkeypatch.setattr(ray_runs._Fleet, "landed", landed)
    runs = tiny_runs(tmp_path, [0, *range(6, 14)])
    outcomes = launch(runs, workspace, workers=2, execute=fake_execute.execute)
    assert {outcome.state for outcome in outcomes} == {"done"}
    assert max(ahead) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("shared_modules")
def test_ray_goes_on_where_the_board_dies(tmp_path: Path, workspace: Workspace) -> None:
    runs, killed = tiny_runs(tmp_path, [0, 6, 8, 9]), []

    def seen(progress: Progress) -> None:
        if not killed:
            killed.extend(_boards())
            for process in killed:
                os.kill(process, signal.SIGKILL)

    outcomes = launch(runs, workspace, workers=1, on_progress=seen, execute=fake_execute.execute)
    assert killed
    assert {outcome.state for outcome in outcomes} == {"done"}


def _boards() -> list[int]:
    """The boards' processes that descend from this one."""
    parents, boards = {}, []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            process = int(path.name)
            parents[process] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if (path / "cmdline").read_bytes().startswith(b"ray::Board"):
                boards.append(process)

    def descends(process: int) -> bool:
        return process == os.getpid() or (process in parents and descends(parents[process]))

    return [process for process in boards if descends(process)]


def _began(workspace: Workspace, run: RunSpec) -> float:
    return float((workspace.folder(run.run_id).path / "began").read_text())


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C works, also where the tests were started in the background, for which a shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("shared_modules", "interruptible")
def test_ctrl_c_lets_ray_workers_save_their_state(tmp_path: Path, workspace: Workspace) -> None:
    runs = tiny_runs(tmp_path, [3])
    reached = threading.Event()

    def press() -> None:
        if reached.wait(300):  # Ray may take a minute to start a worker on a busy machine
            time.sleep(0.5)
            signal.raise_signal(signal.SIGINT)

    def seen(progress: Progress) -> None:
        reached.set()

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        launch(runs, workspace, workers=1, on_progress=seen, execute=fake_execute.execute)
    states = [workspace.folder(run.run_id).state for run in runs]
    assert states.count("interrupted") == 1, states
    assert set(states) == {"interrupted", None}


def test_the_dashboard_of_a_cluster_is_named(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = types.ModuleType("ray")
    ray.init = lambda **_: types.SimpleNamespace(dashboard_url="first:8265")  # type: ignore[attr-defined]
    ray.shutdown = lambda: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(ray_session, "check_cluster", lambda _address: None)
    workspace.runs.mkdir(parents=True)
    said: list[str] = []
    with ray_session.ray_started(workspace, 1, "ray://first:10001", said.append) as started:
        assert started is ray
    assert said == ["Ray's dashboard, with the cluster's nodes, tasks and memory: http://first:8265"]
