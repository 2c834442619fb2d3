"""Which folders hold control runs."""

from pathlib import Path

from harness.control.run_spec import CONTROL
from harness.record import read_record
from harness.store import RunFolder


def holds_control_runs(path: Path) -> bool:
    """Whether `path` is the folder of a control experiment, or of one of its runs."""
    spec = RunFolder(path).spec()
    kind = spec.get("kind") if spec else read_record(path).get("kind")
    return bool(kind == CONTROL)
