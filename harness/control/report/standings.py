"""Who gets the most after adaptation, training by training and source by source, and how far the others are behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.control.task_rows import source_fingerprint
from harness.control.task_statistics import CELL, differences
from harness.nested import half_width
from harness.report.gather import FinishedRun


@dataclass(frozen=True, kw_only=True)
class Behind:
    """A method's distance from the leader, in return after adaptation, on the tasks that both met."""

    method: str
    difference: float
    ci95: float

    @property
    def is_clear(self) -> bool:
        """Whether the 95 % interval leaves out zero."""
        return abs(self.difference) > self.ci95

    def __str__(self) -> str:
        return f"{self.difference:.1f} ± {self.ci95:.1f}"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One cell of `task_statistics.CELL`: its methods' rows of `summary`, the best after adaptation first.

    behind: the others, nearest first; a method that shares no task with the leader is not in it.
    """

    cell: tuple[Any, ...]
    in_training: bool
    rows: tuple[Mapping[str, Any], ...]
    behind: tuple[Behind, ...]

    @property
    def leader(self) -> str:
        """The method with the highest mean return after adaptation."""
        return str(self.rows[0]["method"])

    @property
    def trained_on(self) -> str:
        """The regime."""
        return str(self.cell[0])


def standings(tasks: pd.DataFrame, found: pd.DataFrame, runs: Sequence[FinishedRun]) -> list[Standing]:
    """Of all cells: by training, its own source first. found: the `summary` of `tasks`."""
    trained = {(run.trained_on, _trained_fingerprint(run)) for run in runs}
    made = []
    for cell, rows in found.groupby(CELL, sort=True):
        trained_on, source, split, horizon = cell
        place = {"source": source, "split": split, "horizon": horizon}
        ranked = sorted(rows.to_dict("records"), key=lambda row: (-row["after"], row["method"]))
        own = tasks[tasks["trained_on"] == trained_on]
        behind = []
        for row in ranked[1:]:
            for where, mean in differences(own, str(ranked[0]["method"]), str(row["method"])):
                if where == place:
                    behind.append(
                        Behind(method=str(row["method"]), difference=mean.mean, ci95=half_width(mean))
                    )
        made.append(
            Standing(
                cell=tuple(cell),
                in_training=(trained_on, _fingerprint(own, place)) in trained,
                rows=tuple({str(key): value for key, value in row.items()} for row in ranked),
                behind=tuple(sorted(behind, key=lambda one: (one.difference, one.method))),
            )
        )
    return sorted(made, key=lambda one: (one.trained_on, not one.in_training, one.cell))


def _trained_fingerprint(run: FinishedRun) -> str:
    source = run.spec["train"]["source"]
    component = source["component"]
    return source_fingerprint(component["plugin"], component["params"], source["fingerprint"])


def _fingerprint(tasks: pd.DataFrame, place: Mapping[str, Any]) -> str:
    """That of the tasks of one cell: a source of the training's name may have other parameters, and the reverse."""
    own = tasks[(tasks["source"] == place["source"]) & (tasks["split"] == place["split"])]
    return str(own["fingerprint"].iloc[0])


def where(cell: Sequence[Any], cells: Sequence[Sequence[Any]]) -> str:
    """A cell's name: its source, and what else several of `cells` do not share: split, horizon, training."""
    trained_on, source, split, horizon = cell
    several = [len({one[place] for one in cells}) > 1 for place in range(len(CELL))]
    same_source = {one[3] for one in cells if one[1] == source}
    more = [str(split)] if several[2] else []
    more += [f"{horizon} steps"] if len(same_source) > 1 else []
    more += [f"trained on {trained_on}"] if several[0] else []
    return ", ".join([str(source), *more])
