"""A run by its folder, its id, the beginning of one, or what the terminal has shortened it to."""

from pathlib import Path

from harness.errors import FEW_NAMES, WorkspaceError, did_you_mean
from harness.record import RECORD
from harness.standing import runs_of_record
from harness.store import RunFolder
from harness.wording import first_few


def find_run(name: str, below: Path) -> RunFolder:
    """The run in the folder `name`, or the one of that id, which may be cut short: at its end, or by a … in its middle.

    below: an experiment's folder, or one that holds several.
    Raises WorkspaceError where there is none, or are several.
    """
    folder = Path(name)
    if (folder / "spec.json").is_file():
        return RunFolder(folder)
    there = sorted(
        path.parent for places in ("runs/*", "*/runs/*") for path in below.glob(f"{places}/spec.json")
    )
    found = [path for path in there if path.name == name] or [p for p in there if _may_be(p.name, name)]
    ids = {path.name for path in found}
    if len(ids) > 1:
        raise WorkspaceError(
            f"{name!r} is the beginning of {len(ids)} runs, such as {', '.join(sorted(ids)[:3])}: write more of it."
        )
    if not found:
        if (folder / "runs").is_dir() or (folder / RECORD).is_file():
            ids_there = [run.path.name for run in runs_of_record(folder)]
            raise WorkspaceError(
                f"{name} is the folder of an experiment: name one of its runs, {first_few(ids_there, FEW_NAMES)}."
            )
        hint = did_you_mean(name, [path.name for path in there])
        raise WorkspaceError(
            f"There is no run {name!r}: it is no run's folder, and no run of an experiment in {below} has an id that "
            f"begins so.{hint} Name the run's folder, or where its experiment lies with --below DIR."
        )
    return RunFolder(found[0])


def _may_be(run_id: str, name: str) -> bool:
    """Whether `name` is the beginning of the id, or its beginning and a later part with … between."""
    start, _, later = name.partition("…")
    return run_id.startswith(start) and later in run_id[len(start) :]
