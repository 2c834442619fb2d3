"""The leaderboard files beside a control experiment's report: ranks and returns after adaptation."""

from pathlib import Path

from harness.control.finished_runs import GatheredRuns, told_apart
from harness.files import write_aside, write_text
from harness.leaderboard.groups import ranked_groups
from harness.leaderboard.rendering import latex, long_frame
from harness.leaderboard.scores import RETURN


def write_rankings(gathered: GatheredRuns, folder: Path) -> None:
    """leaderboard.csv, .parquet and .tex: what `harness leaderboard` makes of this experiment alone."""
    tasks = told_apart(gathered.tasks)
    varying = [name for name in RETURN.conditions if name in tasks and tasks[name].nunique() > 1]
    groups = ranked_groups(tasks, group_by=varying, score=RETURN)
    frame = long_frame(groups)
    write_text(
        folder / "leaderboard.csv", frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    )
    write_aside(folder / "leaderboard.parquet", lambda aside: frame.to_parquet(aside, index=False))
    write_text(folder / "leaderboard.tex", latex(groups))
