"""`harness retry DIR` and `harness clean DIR`: the failed runs again, and room on the disk."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from harness.errors import WorkspaceError
from harness.files import explained
from harness.lease import held
from harness.record import CONFIG, earlier_runs, read_record
from harness.standing import FAILED, STOPPED, runs_of_record, standing
from harness.store import RunFolder, run_folders


@dataclass(frozen=True, kw_only=True)
class Waste:
    """Files and folders of one kind that may go, and what it costs to be without them."""

    kind: str
    what: str
    paths: tuple[Path, ...] = field(default=())

    @property
    def n_bytes(self) -> int:
        """On the disk, of all of them."""
        return sum(_size(path) for path in self.paths)


def settings_of(folder: Path) -> tuple[Path, str, bool]:
    """(config file, command, whether it was a demo) of the last `harness run` in `folder`.

    Raises WorkspaceError where the folder has none.
    """
    record, config = read_record(folder), folder / "runs" / CONFIG
    if not record or not config.is_file():
        raise WorkspaceError(
            f"{folder} has no runs/{CONFIG}, which says what was run: start with `harness run CONFIG --out {folder}`."
        )
    command = str(record.get("command", ""))
    return config, command, "--demo" in command.split()


def wasted(folder: Path) -> list[Waste]:
    """What may go, by kind; every kind is there, also without anything."""
    runs = run_folders(folder / "runs")
    record = read_record(folder)
    known = {*(run.path.name for run in runs_of_record(folder)), *earlier_runs(record)} if record else None
    states = {run: standing(run).state for run in runs}
    unused = [run for run in runs if known is not None and run.path.name not in known]
    unused = [run for run in unused if run.spec().get("run_id") == run.path.name]  # nothing that is no run
    failed = [run for run in runs if states[run] in (FAILED, STOPPED) and run not in unused]
    done = [run for run in runs if run.is_done and run not in unused]
    return [
        Waste(
            kind="failed",
            what="runs that failed or stopped. Left here, they resume from their checkpoints; deleted, they begin anew",
            paths=_folders(failed),
        ),
        Waste(
            kind="unused",
            what="runs of other settings with their results, which the report does not use",
            paths=_folders(unused),
        ),
        Waste(
            kind="checkpoints",
            what="networks of finished runs; `harness show` and new probes need them",
            paths=tuple(path for run in done for path in sorted(run.path.glob("*.pt"))),
        ),
    ]


def clean(folder: Path, kinds: Sequence[str], console: Console) -> None:
    """Delete what is of `kinds` and what interrupted writes have left; for no kind, say what there is.

    Raises WorkspaceError where there is no experiment, or something cannot be deleted.
    """
    runs_of_record(folder)

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    with held(folder / "runs", say):
        clean_held(folder, kinds, say)


def clean_held(folder: Path, kinds: Sequence[str], say: Callable[[str], None]) -> None:
    """As `clean`, in a folder that nobody else works in."""
    left = [path for path in (folder / "runs").rglob(".*.partial") if path.is_file()]
    _delete(left)
    for waste in wasted(folder):
        found = f"{len(waste.paths)} ({_said(waste.n_bytes)})"
        if waste.kind in kinds:
            for path in waste.paths:
                say(f"Deleting {path}")
            _delete(waste.paths)
            say(f"Deleted {waste.kind}: {found}.")
        else:
            say(f"--{waste.kind}: {found}: {waste.what}.")


def _folders(runs: Iterable[RunFolder]) -> tuple[Path, ...]:
    return tuple(run.path for run in runs)


def _delete(paths: Iterable[Path]) -> None:
    for path in paths:
        with explained(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(_size(inside) for inside in path.iterdir())
    return path.lstat().st_size


def _said(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.1f} MB"
