"""What finished runs on control tasks measured, sorted by what a paper's cell is of: the return after adaptation."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.control.finished_runs import read_control_run
from harness.control.task_rows import source_fingerprint
from harness.control.task_statistics import summary
from harness.papers.measured import Measured, Place, longest
from harness.papers.tables import RETURNS
from harness.report.gather import FinishedRun
from harness.spec import digest
from harness.store import LeftOut, RunFolder

DIFFERENT = ("run_id", "training_id", "seed", "evaluations", "probes")
"""Keys of a spec in which runs of one configuration may differ."""


def measured_returns(runs: Iterable[RunFolder]) -> tuple[dict[Place, Measured], list[LeftOut]]:
    """Of each place the longest training, of equally long ones that of most seeds; never the best. And what is missing.

    Only what was tested on the test split of the very tasks that were trained on: the same source and parameters.
    Trainings of the horizon of the published return come before all others.
    """
    found: list[Measured] = []
    groups: dict[str, list[FinishedRun]] = {}
    left_out: list[LeftOut] = []
    for folder in sorted(runs, key=lambda one: one.path.name):
        run, missing = read_control_run(folder)
        left_out += missing
        if run is not None:
            spec = {key: value for key, value in run.spec.items() if key not in DIFFERENT}
            groups.setdefault(digest(spec, 16), []).append(run)
    for key in sorted(groups):
        rows = pd.concat([run.episodes for run in groups[key]], ignore_index=True)
        one = _measured(groups[key][0].spec, rows)
        found += [one] if one else []
    published = {setting.source: setting.horizon for setting in RETURNS.settings}
    comparable = [one for one in found if one.horizon == published.get(one.place[2])]
    return {**longest(found), **longest(comparable)}, left_out


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
        horizon=int(component["params"]["horizon"]),
    )


def _said(spec: Mapping[str, Any], n_seeds: int) -> str:
    """`500 updates of 20 tasks, each of 20 trajectories of 100 steps, mlp of 100 and 100 units, 3 seeds`."""
    train, network = spec["train"], spec["network"]["params"]
    hidden = network.get("hidden")
    units: Sequence[int] = hidden if isinstance(hidden, list) else ()
    horizon = train["source"]["component"]["params"]["horizon"]
    return (
        f"{int(train['iterations']):,} updates of {train['meta_batch']} tasks, each of "
        f"{train['sampling']['trajectories']} trajectories of {horizon} steps, {network.get('name', 'mlp')} of "
        f"{' and '.join(map(str, units))} units, {n_seeds} {'seed' if n_seeds == 1 else 'seeds'}"
    )
