"""What a report is written without, or why it is not written at all."""

from collections.abc import Sequence
from pathlib import Path

from harness.report.gather import Gathered
from harness.store import LeftOut, RunFolder, run_folders

MOST_OTHERS = 10
"""Folders beside the runs that are named."""


def other_folders(place: Path, runs: Sequence[RunFolder]) -> list[LeftOut]:
    """Folders below `place` that are not among the runs to be reported: of other settings, or from elsewhere."""
    known = {run.path.name for run in runs}
    names = [
        run.path.name for run in (run_folders(place) if place.is_dir() else []) if run.path.name not in known
    ]
    reason = "not among the runs of the last `harness run` here"
    others = [LeftOut(run_id=name, reason=reason) for name in names[:MOST_OTHERS]]
    if len(names) > MOST_OTHERS:
        others.append(LeftOut(run_id=f"{len(names) - MOST_OTHERS} more folders", reason=reason))
    return others


def named(left_out: Sequence[LeftOut], most: int) -> str:
    """`a: why; b: why; and 3 more`."""
    more = [f"and {len(left_out) - most} more"] if len(left_out) > most else []
    return "; ".join([*(f"{run.run_id}: {run.reason}" for run in left_out[:most]), *more])


def missing_runs(folders: Sequence[RunFolder], left_out: Sequence[LeftOut]) -> str:
    """A sentence on those of the runs to be reported that have no results; empty where there are none."""
    if not left_out:
        return ""
    verb = "is" if len(left_out) == 1 else "are"
    return (
        f"{len(left_out)} of {len(folders)} runs {verb} missing from this report ({named(left_out, 2)}), and with them "
        "the comparisons and verdicts that need them."
    )


def nothing_to_report(
    folders: list[RunFolder], gathered: Gathered, command: str, trials: Sequence[RunFolder]
) -> str:
    """Why there is nothing to report, and what to do."""
    command = command or "harness run CONFIG"
    if not folders and any(trial.path.is_dir() for trial in trials):
        done = sum(trial.is_done for trial in trials)
        return (
            f"The search is not over ({done} of {len(trials)} runs of trials are done), so that nothing is chosen, "
            f"run and reported yet: `{command}` carries on."
        )
    if not any(folder.path.is_dir() for folder in folders):
        return f"The runs of this report are not here, so nothing was written: `{command}` makes them."
    return f"No run has finished ({named(gathered.left_out, 3)}), so nothing was written: `{command}` carries on."
