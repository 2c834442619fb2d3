"""What `harness compare` is given: a run, a checkpoint of one, or an experiment -> the episodes of two sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.comparison.measures import ACCURACY, RETURN, Measure
from harness.control.declared_margin import declared_margin
from harness.control.finished_runs import read_control_run, told_apart
from harness.control.recognising import holds_control_runs
from harness.errors import ConfigError, WorkspaceError, named_choices
from harness.leaderboard.merging import runs_of
from harness.record import read_record
from harness.report.gather import FinishedRun, differences_of, read_run
from harness.report.panels import natural
from harness.report.unreported import named
from harness.statistics import with_shots
from harness.store import LeftOut, RunFolder

A, B = "A", "B"
MOST_SETTINGS = 6
"""Settings of two trainings that are named where they differ."""

DEFAULT_MARGIN = 1.0
"""Of what does not matter, in points or units of return, where neither the user nor an experiment says."""


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Two sides to be paired.

    episodes: columns of results.EPISODE_COLUMNS and `shots`, or those of tasks of control, and `side`, A or B; of two
    single runs, the columns method and trained_on say `a against b`. names: what each side is. differing: clauses on
    the conditions they differ in. shared_runs: that both had, and neither has here, as a run is not compared with
    itself. measure: what they are compared in. margins: that their experiments declared.
    """

    episodes: pd.DataFrame
    names: tuple[str, str]
    differing: tuple[str, ...]
    shared_runs: tuple[str, ...] = ()
    measure: Measure = ACCURACY
    margins: tuple[float, ...] = ()


def read_sides(a: Path, b: Path) -> Sides:
    """Read both. Two single runs are compared whatever they are; of experiments, the methods that both have.

    Raises WorkspaceError for what is no run, checkpoint or experiment, or has not finished; ConfigError for two sides
    that are one, have no method in common, or are about images and about control tasks.
    """
    folders = (_folder(a), _folder(b))
    measure = _measure(a, b, [holds_control_runs(folder) for folder in folders])
    found = (_read(folders[0], a, measure), _read(folders[1], b, measure))
    found, shared_runs = _told_from(*found, a, b)
    single = all(len(runs) == 1 for runs in found)
    names = (found[0][0].run_id, found[1][0].run_id) if single else (_name(a, b), _name(b, a))
    frames = [
        pd.concat([_rows(run, measure) for run in runs], ignore_index=True).assign(side=side)
        for runs, side in zip(found, (A, B), strict=True)
    ]
    if single:
        for column in ("method", "trained_on"):
            values = [str(frame[column].iloc[0]) for frame in frames]
            said = values[0] if values[0] == values[1] else " against ".join(values)
            frames = [frame.assign(**{column: said}) for frame in frames]
    else:
        _refuse_nothing_in_common(frames, names)
    both = pd.concat(frames, ignore_index=True)
    both = with_shots(both) if measure is ACCURACY else both
    shared = both.groupby(["method", "trained_on"], observed=True)["side"].transform("nunique") == 2
    return Sides(
        episodes=both,
        names=names,
        shared_runs=shared_runs,
        differing=(*_differing(both[shared], measure), *_trained_otherwise(*found, single)),
        measure=measure,
        margins=tuple(dict.fromkeys(map(_margin, folders))) if measure is RETURN else (),
    )


def _told_from(
    ours: Sequence[FinishedRun], theirs: Sequence[FinishedRun], a: Path, b: Path
) -> tuple[tuple[list[FinishedRun], list[FinishedRun]], tuple[str, ...]]:
    """Both sides without the runs that both have, and these runs. Raises ConfigError where a side has no others."""
    shared = {run.run_id for run in ours} & {run.run_id for run in theirs}
    left = tuple([run for run in runs if run.run_id not in shared] for runs in (ours, theirs))
    if not all(left):
        whole = " and ".join(str(path) for path, own in zip((a, b), left, strict=True) if not own)
        other = "the same runs" if not any(left) else f"no run that {b if not left[0] else a} has not"
        verb = "are" if not any(left) else "has"
        raise ConfigError(
            f"{whole} {verb} {other}: a run is not compared with itself, so name two different ones."
        )
    return (left[0], left[1]), tuple(sorted(shared, key=natural))


def _rows(run: FinishedRun, measure: Measure) -> pd.DataFrame:
    return told_apart(run.episodes) if measure is RETURN else run.episodes


def _measure(a: Path, b: Path, are_control: Sequence[bool]) -> Measure:
    if len(set(are_control)) > 1:
        control, images = (a, b) if are_control[0] else (b, a)
        raise ConfigError(
            f"{control} is about control tasks and {images} about images: returns and accuracies are not compared. "
            "Name two runs or experiments of one kind."
        )
    return RETURN if are_control[0] else ACCURACY


def _margin(folder: Path) -> float:
    """What the experiment at a folder, or of a run's, declares not to matter."""
    experiment = folder.parent.parent if (folder / "spec.json").is_file() else folder
    return declared_margin(read_record(experiment), experiment)


def _folder(path: Path) -> Path:
    """The folder of what is at a path. Raises WorkspaceError where there is nothing."""
    folder = path.parent if path.is_file() and path.suffix == ".pt" else path
    if not folder.is_dir():
        raise WorkspaceError(
            f"There is no run, checkpoint or experiment at {path}: name a folder below runs/, a checkpoint.pt in one, "
            "or a folder that `harness run` made."
        )
    return folder


def _read(folder: Path, path: Path, measure: Measure) -> list[FinishedRun]:
    """The finished runs in a folder. Raises WorkspaceError where there are none."""
    is_run = (folder / "spec.json").is_file()
    reader = read_control_run if measure is RETURN else read_run
    read = [reader(one) for one in ([RunFolder(folder)] if is_run else runs_of(folder))]
    runs = [run for run, _ in read if run is not None]
    if not runs:
        raise WorkspaceError(
            _nothing(folder, path, [one for _, left in read for one in left[:1]], is_run=is_run)
        )
    return runs


def _nothing(folder: Path, path: Path, left_out: Sequence[LeftOut], *, is_run: bool) -> str:
    """Why there is nothing to compare, and what to do."""
    if not is_run and left_out and not any(run.path.is_dir() for run in runs_of(folder)):
        command = read_record(folder).get("command") or "harness run CONFIG"
        return f"The runs of {path} are not here, only their report: `{command}` makes them."
    reasons = named(left_out, 3) or "it has no runs"
    return f"Nothing has finished in {path} ({reasons}): `harness run` carries on."


def _name(path: Path, other: Path) -> str:
    """Its folder's name, with as much of the path as tells it from the other's."""
    parts, others = path.resolve().parts, other.resolve().parts
    depth = next((n for n in range(1, len(parts) + 1) if parts[-n:] != others[-n:]), len(parts))
    return "/".join(parts[-depth:])


def _refuse_nothing_in_common(frames: Sequence[pd.DataFrame], names: tuple[str, str]) -> None:
    keys = ["method", "trained_on"]
    have = [{tuple(map(str, row)) for row in frame[keys].drop_duplicates().to_numpy()} for frame in frames]
    if have[0] & have[1]:
        return
    said = [named_choices(f"{method}, trained on {regime}" for method, regime in own) for own in have]
    raise ConfigError(
        f"The experiments have no method and training in common: {names[0]} has {said[0]}; {names[1]} has {said[1]}. "
        "Compare two of their runs by naming the folders below runs/."
    )


def _trained_otherwise(a: list[FinishedRun], b: list[FinishedRun], single: bool) -> list[str]:
    """Settings in which the trainings of the first pair differ, a few of them."""
    pairs = [(x, y) for x in a for y in b if single or (x.method, x.trained_on) == (y.method, y.trained_on)]
    if not pairs:
        return []
    one, other = pairs[0]
    found = [
        clause
        for key in ("method", "trainer", "train")
        for clause in differences_of(one.spec.get(key), other.spec.get(key), key)
    ]
    return found[:MOST_SETTINGS]


def _differing(both: pd.DataFrame, measure: Measure) -> list[str]:
    """`network: conv4 in A, resnet12 in B` for every condition that differs."""
    clauses = []
    for column in measure.may_differ:
        values = [
            ", ".join(sorted(map(str, both.loc[both["side"] == side, column].unique()), key=natural))
            for side in (A, B)
        ]
        if values[0] != values[1]:
            clauses.append(f"{column.replace('_', ' ')}: {values[0]} in A, {values[1]} in B")
    return clauses
