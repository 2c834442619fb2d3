"""The files of a run, as trackers see them."""

from collections.abc import Mapping

import pandas as pd

from harness.control.recognising import holds_control_runs
from harness.errors import WorkspaceError
from harness.store import RunFolder, read_episodes
from harness.tracking.settings import Setting
from harness.tracking.tracker import BEGUN, DONE, NEW, TrackedRun


def state_before(folder: RunFolder) -> str:
    """What there is of a run: NEW, BEGUN or DONE."""
    return DONE if folder.is_done else BEGUN if folder.path.is_dir() else NEW


def tracked_run(folder: RunFolder, settings: Mapping[str, Setting], before: str) -> TrackedRun:
    """The run in `folder` as it is now.

    Raises ConfigError or WorkspaceError for results that do not belong together, OSError for files that cannot be read.
    """
    done = folder.is_done  # asked first: what is read after that is whole
    status, is_control = folder.status(), holds_control_runs(folder.path)
    results = _returns if is_control else _accuracies
    return TrackedRun(
        run_id=folder.path.name,
        settings=settings,
        before=before,
        state=status.get("state"),
        curve=folder.curve(),
        results=results(folder) if done else {},
        tested_step=int(status.get("iterations" if is_control else "selected_iteration") or 0),
    )


def _accuracies(folder: RunFolder) -> dict[str, float]:
    """Mean accuracy and half its 95 % interval, of each source; and of each shape where one source has several."""
    from harness.statistics import leaderboard

    board = leaderboard(read_episodes([folder])[0])
    several = board.duplicated(["source", "split"], keep=False)
    found: dict[str, float] = {}
    for row, ambiguous in zip(board.to_dict("records"), several, strict=True):
        shape = ""
        if ambiguous:
            ways = "" if pd.isna(row["n_way"]) else f"_{row['n_way']}way"
            shape = f"{ways}_{row['protocol']}" if pd.isna(row["shots"]) else f"{ways}_{row['shots']:g}shot"
        for column in ("accuracy", "ci95"):
            found[f"{row['split']}_{column}/{row['source']}{shape}"] = float(row[column])
    return found


def _returns(folder: RunFolder) -> dict[str, float]:
    """Mean return before and after adaptation, and half the 95 % interval of the latter, of each source."""
    from harness.control.finished_runs import read_control_run, told_apart
    from harness.control.task_statistics import summary

    run, missing = read_control_run(folder)
    if run is None:
        raise WorkspaceError(f"{folder.path}: {missing[0].reason}")
    found: dict[str, float] = {}
    for row in summary(told_apart(run.episodes)).to_dict("records"):
        for name, column in (("return_before", "before"), ("return_after", "after"), ("ci95", "after_ci95")):
            found[f"{row['split']}_{name}/{row['source']}"] = float(row[column])
    return found
