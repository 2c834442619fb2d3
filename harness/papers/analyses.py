"""What the experiments in some folders measured beside accuracies and returns, for the tables of the analyses."""

from collections.abc import Sequence
from pathlib import Path

from harness.leaderboard.merging import runs_of
from harness.papers.measured import Measured, Place, longest
from harness.papers.similarities import measured_layers, measured_networks
from harness.papers.speed import measured_speedups
from harness.record import read_record
from harness.report.gather import FinishedRun
from harness.results import ACROSS_COLUMNS
from harness.store import LeftOut, read_tables


def measured_analyses(
    folders: Sequence[Path], runs: Sequence[FinishedRun]
) -> tuple[dict[Place, Measured], list[LeftOut]]:
    """Of each place the longest training; and what of the comparisons of networks could not be read.

    runs: all finished runs in `folders`. Networks and clocks are compared within an experiment alone.
    """
    found, left_out = measured_layers(runs), list[LeftOut]()
    for folder in folders:
        ids = {run.path.name for run in runs_of(folder)}
        own = [run for run in runs if run.run_id in ids]
        names = [name for name in read_record(folder).get("across", ()) if Path(name).name == name]
        across, missing = read_tables([folder / "runs" / name for name in names], ACROSS_COLUMNS)
        left_out += missing
        found += [*measured_networks(own, across), *measured_speedups(own)]
    return longest(found), left_out
