"""Who leads where, by how much on the same episodes, and on which sources the learner was trained."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from harness.errors import ConfigError
from harness.report.panels import Cell, Entry, Panel
from harness.statistics import cell_differences, paired_differences


@dataclass(frozen=True, kw_only=True)
class Gap:
    """An entry's distance from the leader of its source: leader minus entry, on the same episodes, 0..1.

    `refusal` says why there is no distance; then the numbers are NaN.
    """

    method: str
    difference: float
    ci95: float
    n_episodes: int
    refusal: str = ""

    @property
    def clear(self) -> bool:
        """Whether the 95 % interval leaves out zero."""
        return not self.refusal and abs(self.difference) > self.ci95

    def __str__(self) -> str:
        return "not compared" if self.refusal else f"{100 * self.difference:.1f} ± {100 * self.ci95:.1f}"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One source within a panel and regime: its leader, and every other entry's gap, smallest first."""

    source: str
    in_training: bool
    leader: str
    cell: Cell
    above_chance: bool
    gaps: tuple[Gap, ...]

    @property
    def behind(self) -> tuple[Gap, ...]:
        """Entries that are behind beyond their interval."""
        return tuple(gap for gap in self.gaps if gap.clear)

    @property
    def level(self) -> tuple[Gap, ...]:
        """Entries that cannot be told from the leader."""
        return tuple(gap for gap in self.gaps if not gap.clear and not gap.refusal)

    @property
    def refused(self) -> tuple[Gap, ...]:
        """Entries that cannot be compared with the leader."""
        return tuple(gap for gap in self.gaps if gap.refusal)

    def gap_of(self, method: str) -> str:
        """What a table shows for an entry: its gap, `leads`, or a dash."""
        if method == self.leader:
            return "leads"
        return next((str(gap) for gap in self.gaps if gap.method == method), "\N{EN DASH}")


@dataclass(frozen=True, kw_only=True)
class RegimeSummary:
    """All standings of one panel and regime, the leader's accuracy falling."""

    trained_on: str
    methods: tuple[str, ...]
    standings: tuple[Standing, ...]

    @property
    def near(self) -> tuple[Standing, ...]:
        """Sources the learner was trained on (other classes of them)."""
        return tuple(standing for standing in self.standings if standing.in_training)

    @property
    def far(self) -> tuple[Standing, ...]:
        """Sources the learner never saw."""
        return tuple(standing for standing in self.standings if not standing.in_training)


def summarise(panel: Panel, in_training: Mapping[str, frozenset[str]]) -> list[RegimeSummary]:
    """The summary of each regime of a panel. `in_training`: regime -> its sources."""
    found = []
    cells = {
        (str(regime), str(source)): rows
        for (regime, source), rows in panel.episodes.groupby(["trained_on", "source"], observed=True)
    }
    for regime in panel.regimes:
        near = in_training.get(regime, frozenset())
        leaders = [(source, panel.best(source, regime)) for source in panel.sources]
        standings = [
            _standing(panel, cells[regime, source], source, best, source in near)
            for source, best in leaders
            if best
        ]
        standings.sort(key=lambda standing: (-standing.cell.accuracy, standing.source))
        methods = tuple(entry.method for entry in panel.entries if entry.trained_on == regime)
        found.append(RegimeSummary(trained_on=regime, methods=methods, standings=tuple(standings)))
    return found


def _standing(
    panel: Panel, episodes: pd.DataFrame, source: str, leader: Entry, in_training: bool
) -> Standing:
    others = [
        entry
        for entry in panel.entries
        if entry.trained_on == leader.trained_on and entry != leader and (entry, source) in panel.cells
    ]
    known = cell_differences(episodes, leader.method, [entry.method for entry in others])
    gaps = [
        Gap(method=entry.method, **vars(known[entry.method]))
        if entry.method in known
        else _gap(episodes, leader, entry)
        for entry in others
    ]
    cell = panel.cells[leader, source]
    return Standing(
        source=source,
        in_training=in_training,
        leader=leader.method,
        cell=cell,
        above_chance=cell.accuracy - cell.ci95 > panel.chances[source],
        gaps=tuple(sorted(gaps, key=lambda gap: (bool(gap.refusal), gap.difference, gap.method))),
    )


def _gap(episodes: pd.DataFrame, leader: Entry, other: Entry) -> Gap:
    """episodes: of the source and regime of both."""
    rows = episodes[episodes["method"].isin([leader.method, other.method])]
    nothing = float("nan")
    try:
        found = paired_differences(rows, leader.method, other.method)
    except ConfigError as error:
        return Gap(method=other.method, difference=nothing, ci95=nothing, n_episodes=0, refusal=str(error))
    if found.empty:
        reason = "they have no episode in common"
        return Gap(method=other.method, difference=nothing, ci95=nothing, n_episodes=0, refusal=reason)
    row = found.iloc[0]
    return Gap(
        method=other.method,
        difference=float(row["difference"]),
        ci95=float(row["ci95"]),
        n_episodes=int(row["n_episodes"]),
    )
