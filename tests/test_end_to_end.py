"""`harness run`, as a user runs it: the same numbers serial, with Ray, and after being killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from experiments import write_tiny
from harness.results import LEADERBOARD_COLUMNS

HARNESS = [sys.executable, "-c", "import sys, harness.cli; sys.exit(harness.cli.main())"]
QUICK = Path(__file__).resolve().parents[1] / "gin" / "omniglot_quick.gin"
LONG_ENOUGH_TO_KILL = ("--set", "Regime.iterations = 400", "--set", "Regime.validate_every = 20")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    env = {**os.environ, "HARNESS_CACHE": str(folder / "cache"), "COLUMNS": "200"}
    return subprocess.Popen(
        [*HARNESS, *arguments],
        cwd=folder,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # so that killing it can take its Ray processes along
    )


def run(folder: Path, *arguments: str) -> str:
    process = start(folder, "run", *arguments)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def kill_when_training(process: subprocess.Popen[str], runs: Path) -> None:
    """kill -9 to everything, once a run has a checkpoint but none is finished."""
    deadline = time.monotonic() + 300
    while not list(runs.glob("*/checkpoint.pt")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not list(runs.glob("*/episodes.parquet"))


def episodes(out: Path) -> pd.DataFrame:
    """Everything measured but the time it took."""
    frames = [pd.read_parquet(path) for path in sorted(out.glob("runs/*/episodes.parquet"))]
    return pd.concat(frames).drop(columns="seconds").reset_index(drop=True)


def same_bits_every_way(folder: Path, *command: str) -> pd.DataFrame:
    """Serial, two Ray workers, and both of them killed and resumed; returns what all of them measured."""
    run(folder, *command, "--backend", "serial", "--out", "serial")
    run(folder, *command, "--workers", "2", "--out", "ray")
    for name, how in (("killed", ("--backend", "serial")), ("killed_ray", ("--workers", "2"))):
        process = start(folder, "run", *command, *how, "--out", name)
        kill_when_training(process, folder / name / "runs")
        run(folder, *command, *how, "--out", name)
    expected = episodes(folder / "serial")
    board = (folder / "serial" / "leaderboard.csv").read_bytes()
    for other in ("ray", "killed", "killed_ray"):
        pd.testing.assert_frame_equal(episodes(folder / other), expected, check_exact=True)
        assert (folder / other / "leaderboard.csv").read_bytes() == board
    return expected


@pytest.mark.slow
def test_serial_ray_killed_and_resumed_give_the_same_bits(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    measured = same_bits_every_way(tmp_path, "tiny.gin", *LONG_ENOUGH_TO_KILL)
    assert len(measured) == 3 * 3
    board = (tmp_path / "serial" / "leaderboard.csv").read_text().splitlines()
    assert board[0].split(",") == list(LEADERBOARD_COLUMNS)


@pytest.mark.slow
def test_real_omniglot_gives_the_same_bits_every_way(tmp_path: Path, data_dir: Path) -> None:
    measured = same_bits_every_way(
        tmp_path,
        str(QUICK),
        *("--data", str(data_dir), "--set", "Regime.iterations = 30", "--set", "Regime.validate_every = 3"),
        *("--set", "Regime.validation_episodes = 5", "--set", "Evaluation.n_episodes = 20"),
    )
    assert len(measured) == 3 * 20
    assert set(measured.source) == {"omniglot"}


@pytest.mark.slow
def test_real_omniglot_is_learned(tmp_path: Path, data_dir: Path) -> None:
    """A minute of ANIL on real characters: far above chance on characters never seen."""
    run(
        tmp_path,
        str(QUICK),
        *("--data", str(data_dir), "--backend", "serial", "--out", "out"),
        *("--set", "Experiment.methods = [@ANIL(), @NIL()]"),
        *("--set", "Regime.iterations = 120", "--set", "Regime.validate_every = 60"),
        *("--set", "Regime.validation_episodes = 20", "--set", "Evaluation.n_episodes = 100"),
    )
    board = pd.read_csv(tmp_path / "out" / "leaderboard.csv").set_index("method")
    assert board.accuracy["anil"] > 0.75
    assert board.accuracy["nil"] > 0.75
    assert set(board.source) == {"omniglot"}
    assert set(board.n_episodes) == {100}
