"""What may stand side by side: a panel holds only rows that were measured alike.

Rows of different shape, split, batch norm policy, image size or protocol version are never ranked together;
each combination is a panel with its own table and figure.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.episode import FIXED, FIXED_WAY, META_DATASET, has_fixed_way
from harness.statistics import leaderboard, with_shots

PANEL_KEYS = (
    "protocol_version",
    "protocol",
    "batch_norm",
    "image_size",
    "precision",
    "split",
    "n_way",
    "shots",
)
"""What all rows of a panel share."""

ENTRY_CONDITIONS = ("selection", "adaptation_steps")
"""Conditions that may differ within a panel; where one method has several, its label says which."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of a panel's table: a method as labelled, and the regime it was trained on."""

    method: str
    trained_on: str


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Mean accuracy and half its 95 % interval, 0..1."""

    accuracy: float
    ci95: float
    n_episodes: int
    n_seeds: int

    def __str__(self) -> str:
        return f"{100 * self.accuracy:.1f} ± {100 * self.ci95:.1f}"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Results that may be compared.

    heading: for a person, `5-way 1-shot, test split`. chances: the accuracy of guessing
    on each source, 0..1. sources: by mean accuracy, highest first. entries: by
    regime and method. cells: what was measured. episodes: its rows, with the entry's label for `method`.
    """

    heading: str
    chances: dict[str, float]
    sources: tuple[str, ...]
    entries: tuple[Entry, ...]
    cells: dict[tuple[Entry, str], Cell]
    episodes: pd.DataFrame

    @property
    def regimes(self) -> tuple[str, ...]:
        """What the entries were trained on, sorted."""
        return tuple(sorted({entry.trained_on for entry in self.entries}, key=natural))

    @property
    def guessing(self) -> str:
        """What guessing gets: `20.0 %`, or from which share to which."""
        low, high = (f"{100 * end(self.chances.values()):.1f}" for end in (min, max))
        return f"{low} %" if low == high else f"{low} to {high} % from source to source"

    def best(self, source: str, regime: str | None = None) -> Entry | None:
        """The entry with the highest mean on `source`, of one regime or of all; None where there is none."""
        found = [e for e in self.entries if (e, source) in self.cells and regime in (None, e.trained_on)]
        return max(found, key=lambda e: self.cells[e, source].accuracy, default=None)


def panels(episodes: pd.DataFrame) -> list[Panel]:
    """`episodes` sorted into panels, in the order of PANEL_KEYS. Raises ConfigError as `leaderboard` does."""
    frame = labelled(with_shots(episodes.assign(ways=episodes["n_way"])))
    varying = [key for key in PANEL_KEYS if frame[key].nunique() > 1]
    return [_panel(group, varying) for _, group in frame.groupby(list(PANEL_KEYS), sort=True, dropna=False)]


def natural(name: str) -> tuple[tuple[bool, int, str], ...]:
    """A sort key that puts `maml9` before `maml10`."""
    return tuple(
        (part.isdigit(), int(part or 0) if part.isdigit() else 0, part)
        for part in re.split(r"([0-9]+)", name)
    )


def labelled(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with its methods renamed where one name stands for several rows of a panel.

    `maml` becomes `maml [adaptation steps 10]` where MAML was also measured with another number of steps.
    Works on episodes with `shots` and on leaderboards.
    """
    names = frame["method"].astype("string")
    place = ["method", "trained_on", *PANEL_KEYS]
    suffix = pd.Series("", index=frame.index, dtype="string")
    varying = [column for column in ENTRY_CONDITIONS if frame[column].nunique() > 1]
    several = {
        column: frame.groupby(place, dropna=False)[column].transform("nunique") > 1 for column in varying
    }
    if not any(rows.any() for rows in several.values()):  # as it mostly is, and there are very many texts
        return frame.assign(method=names)
    for column, rows in several.items():
        said = ", " + column.replace("_", " ") + " " + frame[column].astype("string")
        suffix = suffix.mask(rows, suffix + said)
    return frame.assign(method=names.mask(suffix != "", names + " [" + suffix.str.slice(2) + "]"))


def heading(values: Mapping[Any, Any], varying: Sequence[str]) -> str:
    """`5-way 1-shot, test split`, and those conditions that vary between panels."""
    extra = {
        "batch_norm": f"{values['batch_norm']} batch norm",
        "image_size": f"{values['image_size']} px",
        "precision": f"{values['precision']} convolutions",
        "protocol_version": f"protocol version {values['protocol_version']}",
    }
    parts = [
        _shape(values),
        f"{values['split']} split",
        *(said for key, said in extra.items() if key in varying),
    ]
    return ", ".join(parts)


def _shape(values: Mapping[Any, Any]) -> str:
    protocol, ways, shots = values["protocol"], values["n_way"], values["shots"]
    if protocol == FIXED:
        return f"{ways}-way {shots:g}-shot"
    if has_fixed_way(protocol):
        changed = protocol.removeprefix(FIXED_WAY).strip("()")
        return f"{ways}-way, shots as in Meta-Dataset{f' with {changed}' if changed else ''}"
    return "Meta-Dataset's episodes" if protocol == META_DATASET else f"{protocol} episodes"


def by_accuracy(board: pd.DataFrame) -> tuple[str, ...]:
    """The sources of a leaderboard, highest mean over its rows first."""
    means = board.groupby("source")["accuracy"].mean()
    return tuple(sorted(means.index, key=lambda source: (-means[source], source)))


def _panel(frame: pd.DataFrame, varying: Sequence[str]) -> Panel:
    board = leaderboard(frame)
    guessing = 1 / frame["ways"].astype("float64")
    cells = {
        (Entry(method=row["method"], trained_on=row["trained_on"]), str(row["source"])): Cell(
            **{name: row[name] for name in ("accuracy", "ci95", "n_episodes", "n_seeds")}
        )
        for row in board.to_dict("records")
    }
    entries = {entry for entry, _ in cells}
    first = {key: frame[key].iloc[0] for key in PANEL_KEYS}
    return Panel(
        heading=heading(first, varying),
        chances={
            str(source): float(value) for source, value in guessing.groupby(frame["source"]).mean().items()
        },
        sources=by_accuracy(board),
        entries=tuple(sorted(entries, key=lambda e: (natural(e.trained_on), natural(e.method)))),
        cells=cells,
        episodes=frame,
    )
