"""Asking the command line, in tests."""

from pathlib import Path

import pytest

from harness import cli
from harness.config import load_experiment
from harness.plan import plan
from harness.store import RunFolder


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a refused command says on stderr."""
    assert cli.main(arguments) == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return shown.err


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def finish_all(runs: Path) -> None:
    """Mark all runs of tiny.gin as done."""
    experiment, _ = load_experiment(Path("tiny.gin"))
    for run in plan(experiment, data_dir=None, cache=Path("cache")).runs:
        folder = RunFolder(runs / run.run_id)
        folder.begin(run)
        folder.write_status("done", training_seconds=0.5, evaluation_seconds=0.25)
        folder.episodes.write_bytes(b"made up, PAR1")
