"""What `harness compare` is given: a run, a checkpoint of one, or an experiment -> the episodes of two sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.control.recognising import refuse_control_runs
from harness.errors import ConfigError, WorkspaceError, named_choices
from harness.leaderboard.merging import runs_of
from harness.report.gather import FinishedRun, differences_of, read_run
from harness.report.panels import natural
from harness.statistics import with_shots
from harness.store import RunFolder

A, B = "A", "B"
MOST_SETTINGS = 6
"""Settings of two trainings that are named where they differ."""

MAY_DIFFER = ("network", "batch_norm", "image_size", "precision", "selection", "adaptation_steps")
"""Columns that two sides may differ in, since the episodes are the same nonetheless; it is said."""


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Two sides to be paired.

    episodes: columns of results.EPISODE_COLUMNS, `shots`, and `side`, A or B; of two single runs, the columns method
    and trained_on say `a against b`. names: what each side is. differing: clauses on the conditions they differ in.
    """

    episodes: pd.DataFrame
    names: tuple[str, str]
    differing: tuple[str, ...]


def read_sides(a: Path, b: Path) -> Sides:
    """Read both. Two single runs are compared whatever they are; of experiments, the methods that both have.

    Raises WorkspaceError for what is no run, checkpoint or experiment, or has not finished; ConfigError for two sides
    that are one, or have no method in common.
    """
    found = (_read(a), _read(b))
    if {run.run_id for run in found[0]} == {run.run_id for run in found[1]}:
        raise ConfigError(f"{a} and {b} are the same runs: name two different ones.")
    single = all(len(runs) == 1 for runs in found)
    names = (found[0][0].run_id, found[1][0].run_id) if single else (_name(a, b), _name(b, a))
    frames = [
        pd.concat([run.episodes for run in runs], ignore_index=True).assign(side=side)
        for runs, side in zip(found, (A, B), strict=True)
    ]
    if single:
        for column in ("method", "trained_on"):
            values = [str(frame[column].iloc[0]) for frame in frames]
            said = values[0] if values[0] == values[1] else " against ".join(values)
            frames = [frame.assign(**{column: said}) for frame in frames]
    else:
        _refuse_nothing_in_common(frames, names)
    both = with_shots(pd.concat(frames, ignore_index=True))
    shared = both.groupby(["method", "trained_on"], observed=True)["side"].transform("nunique") == 2
    return Sides(
        episodes=both, names=names, differing=(*_differing(both[shared]), *_trained_otherwise(*found, single))
    )


def _read(path: Path) -> list[FinishedRun]:
    """The finished runs at a path. Raises WorkspaceError where there are none."""
    folder = path.parent if path.is_file() and path.suffix == ".pt" else path
    if not folder.is_dir():
        raise WorkspaceError(
            f"There is no run, checkpoint or experiment at {path}: name a folder below runs/, a checkpoint.pt in one, "
            "or a folder that `harness run` made."
        )
    refuse_control_runs(folder, "compare")
    is_run = (folder / "spec.json").is_file()
    read = [read_run(one) for one in ([RunFolder(folder)] if is_run else runs_of(folder))]
    runs = [run for run, _ in read if run is not None]
    if not runs:
        reasons = (
            "; ".join(f"{one.run_id}: {one.reason}" for _, left in read for one in left[:1])
            or "it has no runs"
        )
        raise WorkspaceError(f"Nothing has finished in {path} ({reasons}): `harness run` carries on.")
    return runs


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


def _differing(both: pd.DataFrame) -> list[str]:
    """`network: conv4 in A, resnet12 in B` for every condition that differs."""
    clauses = []
    for column in MAY_DIFFER:
        values = [
            ", ".join(sorted(map(str, both.loc[both["side"] == side, column].unique()), key=natural))
            for side in (A, B)
        ]
        if values[0] != values[1]:
            clauses.append(f"{column.replace('_', ' ')}: {values[0]} in A, {values[1]} in B")
    return clauses
