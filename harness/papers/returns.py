"""What finished runs on control tasks measured, sorted by what a paper's cell is of: the return after adaptation."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.control.task_rows import TASK_COLUMNS, source_fingerprint
from harness.control.task_statistics import summary
from harness.papers.measured import Measured, Place, longest
from harness.spec import digest
from harness.store import LeftOut, RunFolder, read_tables

DIFFERENT = ("run_id", "training_id", "seed", "evaluations", "probes")
"""Keys of a spec in which runs of one configuration may differ."""


def measured_returns(runs: Iterable[RunFolder]) -> tuple[dict[Place, Measured], list[LeftOut]]:
    """Of each place the longest training, of equally long ones that of most seeds; never the best. And what is missing.

    Only what was tested on the test split of the very tasks that were trained on: the same source and parameters.
    """
    found: list[Measured] = []
    groups: dict[str, list[RunFolder]] = {}
    left_out: list[LeftOut] = []
    for run in sorted(runs, key=lambda one: one.path.name):
        if run.is_done:
            spec = {key: value for key, value in run.spec().items() if key not in DIFFERENT}
            groups.setdefault(digest(spec, 16), []).append(run)
        else:
            left_out.append(LeftOut(run_id=run.path.name, reason=run.state or "not begun"))
    for key in sorted(groups):
        rows, damaged = read_tables([run.episodes for run in groups[key]], TASK_COLUMNS)
        left_out += damaged
        one = _measured(groups[key][0].spec(), rows)
        found += [one] if one else []
    return longest(found), left_out


def _measured(spec: Mapping[str, Any], rows: pd.DataFrame) -> Measured | None:
    train = spec["train"]
    source = train["source"]
    name, component = str(source["name"]), source["component"]
    trained = source_fingerprint(component["plugin"], component["params"], source["fingerprint"])
    own = rows[(rows["split"] == "test") & (rows["source"] == name) & (rows["fingerprint"] == trained)]
    # Two evaluations may have the same tasks: those with more trajectories count.
    own = own.sort_values("trajectories", ascending=False, kind="stable").drop_duplicates(["seed", "episode"])
    if not len(own):
        return None
    row = summary(own.assign(trained_on=name)).iloc[0]
    return Measured(
        place=(str(spec["method_name"]), name, name, None, None),
        mean=float(row["after"]),
        sd=float(row["seed_sd"]),
        half=float(row["after_ci95"]),
        n_seeds=int(row["n_seeds"]),
        n_episodes=int(row["n_tasks"]),
        budget=int(train["iterations"]) * int(train["meta_batch"]),
        trained=_said(spec, int(row["n_seeds"])),
    )


def _said(spec: Mapping[str, Any], n_seeds: int) -> str:
    """`500 updates of 20 tasks, each of 20 trajectories of 100 steps, mlp of 100 and 100 units, 3 seeds`."""
    train, network = spec["train"], spec["network"]["params"]
    units: Sequence[int] = network.get("hidden", ())
    horizon = train["source"]["component"]["params"]["horizon"]
    return (
        f"{int(train['iterations']):,} updates of {train['meta_batch']} tasks, each of "
        f"{train['sampling']['trajectories']} trajectories of {horizon} steps, {network.get('name', 'mlp')} of "
        f"{' and '.join(map(str, units))} units, {n_seeds} {'seed' if n_seeds == 1 else 'seeds'}"
    )
