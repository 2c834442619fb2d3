"""Which folders hold control runs."""

from pathlib import Path

from harness.control.run_spec import CONTROL
from harness.record import read_record, recorded_runs
from harness.store import RunFolder


def holds_control_runs(path: Path) -> bool:
    """Whether `path` is the folder of a control experiment, or of one of its runs.

    An experiment's record says it; where that is lost, the runs do.
    """
    found = RunFolder(path).spec() or read_record(path)
    if found:
        return bool(found.get("kind") == CONTROL)
    return any(run.spec().get("kind") == CONTROL for run in recorded_runs(path))
