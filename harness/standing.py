"""Where the runs of an experiment stand, read from its folder alone: `harness status DIR`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cost import duration
from harness.display import shortened
from harness.errors import WorkspaceError
from harness.heartbeat import Beat, read_beat
from harness.narrow_terminal import WIDE, stacked
from harness.record import read_record, recorded_runs, recorded_search, recorded_trials
from harness.search.recorded import RecordedSearch
from harness.store import RunFolder
from harness.wording import counted

DONE, RUNNING, STOPPED, FAILED, WAITING = "done", "running", "stopped", "failed", "waiting"
STANDINGS = (RUNNING, FAILED, STOPPED, WAITING, DONE)
"""In the order in which they are shown. stopped: begun, and nobody works on it."""

IN_FLIGHT = ("training", "evaluating", "probing")

DAMAGED = "was done, but its files are damaged or missing: `harness retry` makes them again"

MOST_SHOWN = 40
"""Lines of a table for a person; what is done is counted first."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One run: one of STANDINGS, its last beat, and why it failed or is not done after all."""

    run_id: str
    state: str
    beat: Beat | None = None
    error: str = ""


def runs_of_record(folder: Path) -> list[RunFolder]:
    """The runs of the last `harness run` in `folder`, begun or not, with the trials of its search before the results.

    Raises WorkspaceError where there is no such folder.
    """
    if not read_record(folder) and not (folder / "runs").is_dir():
        raise WorkspaceError(
            f"{folder} is no folder of an experiment: name one that `harness run` made, such as reports/quickstart."
        )
    if not (folder / "runs").is_dir():
        raise WorkspaceError(
            f"The runs of {folder} are not here, only its report: "
            f"`{read_record(folder).get('command') or 'harness run CONFIG'}` makes them again."
        )
    return list(dict.fromkeys([*recorded_trials(folder), *recorded_runs(folder)]))


def standing(folder: RunFolder) -> Standing:
    """How one run stands."""
    run_id, state = folder.path.name, folder.state
    if folder.is_done:
        return Standing(run_id=run_id, state=DONE)
    if state == FAILED:
        return Standing(run_id=run_id, state=FAILED, error=str(folder.status().get("error", "")))
    if state == DONE:
        return Standing(run_id=run_id, state=STOPPED, error=DAMAGED)
    beat = read_beat(folder)
    if beat and beat.is_fresh and state in IN_FLIGHT:
        return Standing(run_id=run_id, state=RUNNING, beat=beat)
    return Standing(run_id=run_id, state=WAITING if state is None else STOPPED, beat=beat)


def show_status(look: Callable[[], Path], console: Console, *, name: str, every: float | None = None) -> int:
    """Print where the runs stand in the folder that `look` gives, called `name`.

    Looks again `every` so many seconds until none is running.
    Returns 0, or 1 where a run has failed. Raises WorkspaceError where there is no experiment.
    """
    while True:
        folder = look()
        found = [standing(run) for run in runs_of_record(folder)]
        console.print(_counts(found, name, folder), highlight=False, soft_wrap=True)
        if shown := _shown(found):
            search = recorded_search(folder)
            console.print(
                _table(shown, console.width, search)
                if console.width >= WIDE
                else stacked(_block(one, search) for one in shown)
            )
        if every is None or not any(one.state == RUNNING for one in found):
            return int(any(one.state == FAILED for one in found))
        time.sleep(every)


def _counts(found: Sequence[Standing], name: str, folder: Path) -> str:
    counts = {state: sum(one.state == state for one in found) for state in (DONE, *STANDINGS[:-1])}
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    left = [one.beat.progress.seconds_left for one in found if one.state == RUNNING and one.beat]
    longest = max((seconds for seconds in left if seconds is not None), default=None)
    ahead = f"; those running need up to {duration(longest)} for what they do now" if longest else ""
    return f"{name}: {counted(len(found), 'run')}: {said or 'none'}{ahead}.{_of_search(folder)}"


def _of_search(folder: Path) -> str:
    """What is to be known of a search beside its runs."""
    search = recorded_search(folder)
    if search is None:
        return ""
    ahead = "" if read_record(folder).get("runs") else "; the runs with the chosen values come after them"
    return f" {len(search.trial_runs)} of them are trials of a {search.kind}{ahead}."


def _shown(found: Sequence[Standing]) -> list[Standing]:
    """All but what is done, those that a person waits for first, and no more than a screen or two."""
    open_runs = sorted(
        (one for one in found if one.state != DONE), key=lambda one: STANDINGS.index(one.state)
    )
    return open_runs[:MOST_SHOWN]


def _table(shown: Sequence[Standing], width: int, search: RecordedSearch | None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    trial = ("trial",) if search else ()
    for name in ("run", *trial, "standing", "doing", "left", "where"):
        whole = name in ("run", "standing")
        table.add_column(name, justify="right" if name == "left" else "left", overflow="fold", no_wrap=whole)
    for one in shown:
        name = shortened(one.run_id, width - 60)
        number = [Text(search.trials_of(one.run_id))] if search else []
        table.add_row(Text(name), *number, _coloured(one.state), *map(Text, _doing(one)))
    return table


def _block(one: Standing, search: RecordedSearch | None) -> tuple[Text, str]:
    """As a row of `_table`: its name and standing, and the rest."""
    doing, left, where = _doing(one)
    number = search.trials_of(one.run_id) if search else ""
    trial = f"trial {number}" if number else ""
    said = ", ".join(filter(None, (trial, doing, f"{left} left" if left else "", where)))
    return Text.assemble(one.run_id, "  ", _coloured(one.state)), said


def _coloured(state: str) -> Text:
    style = {FAILED: "red", RUNNING: "green", STOPPED: "yellow"}.get(state, "")
    return Text(state, style=style)


def _doing(one: Standing) -> tuple[str, str, str]:
    if one.error:
        return one.error, "", ""
    if one.beat is None:
        return "", "", ""
    progress = one.beat.progress
    left = progress.seconds_left if one.state == RUNNING else None
    doing = f"{progress.state} {progress.done:,}/{progress.total:,}"
    where = f"{one.beat.host}, process {one.beat.process}"
    if one.state == STOPPED:
        where = f"{where}, {duration(max(time.time() - one.beat.at, 0.0))} ago"
    return doing, "" if left is None else duration(left), where
