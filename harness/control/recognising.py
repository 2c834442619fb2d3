"""Which folders hold control runs, and what is said where a command cannot take them."""

from pathlib import Path

from harness.control.run_spec import CONTROL
from harness.errors import WorkspaceError
from harness.record import read_record
from harness.store import RunFolder


def holds_control_runs(path: Path) -> bool:
    """Whether `path` is the folder of a control experiment, or of one of its runs."""
    spec = RunFolder(path).spec()
    kind = spec.get("kind") if spec else read_record(path).get("kind")
    return bool(kind == CONTROL)


def refuse_control_runs(path: Path, command: str) -> None:
    """Raises WorkspaceError where `path` holds control runs, which `harness <command>` does not read."""
    if holds_control_runs(path):
        raise WorkspaceError(
            f"{path} is about control tasks, and `harness {command}` reads accuracies on images only: `harness report` "
            "on the experiment's folder writes report.md, with returns, curves, pictures and its methods in pairs, and "
            "returns.csv; `harness paper` puts its returns beside the published ones."
        )
