"""Which folders hold control runs."""

from pathlib import Path

from harness.control.run_spec import CONTROL
from harness.errors import WorkspaceError
from harness.record import RECORD, read_record, recorded_runs
from harness.store import RunFolder


def holds_control_runs(path: Path) -> bool:
    """Whether `path` is the folder of a control experiment, or of one of its runs.

    An experiment's record says it; where that is lost, the runs do. Raises WorkspaceError where they are of both kinds.
    """
    found = RunFolder(path).spec() or read_record(path)
    if found:
        return bool(found.get("kind") == CONTROL)
    kinds = {
        spec.get("kind") == CONTROL: run.path.name for run in recorded_runs(path) if (spec := run.spec())
    }
    if len(kinds) > 1:
        raise WorkspaceError(
            f"The runs in {path / 'runs'} are of two kinds, and {RECORD} is not there to say which are meant: "
            f"{kinds[True]} is on control tasks, {kinds[False]} on images. Move those of one kind into another folder."
        )
    return kinds.get(True) is not None
