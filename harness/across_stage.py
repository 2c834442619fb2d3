"""After the runs: how alike the trainings of each regime are, measured once for the trainings that there are."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pandas as pd

from harness.after_runs import measure_once
from harness.plan import Plan
from harness.spec import RunSpec, canonical, digest
from harness.store import Workspace


def trainings(runs: Sequence[RunSpec]) -> dict[str, list[RunSpec]]:
    """Regime -> a run of each of its trainings: that of the method which trained it, where it is among them."""
    found: dict[str, dict[str, RunSpec]] = {}
    for run in runs:
        of_regime = found.setdefault(run.trained_on, {})
        if run.training_id not in of_regime or run.method == run.trainer:
            of_regime[run.training_id] = run
    return {regime: list(own.values()) for regime, own in found.items()}


def trained_by(run: RunSpec) -> str:
    """The name of the method that trained the run's learner."""
    return (
        run.method_name
        if run.method == run.trainer
        else str(run.trainer.params.get("name", run.trainer.plugin))
    )


def across_files(planned: Plan) -> Iterator[tuple[str, list[RunSpec]]]:
    """Where the comparisons of a regime lie below runs/, and the trainings compared: another set is another file."""
    settings = planned.experiment.across
    for runs in trainings(planned.runs).values() if settings is not None else ():
        if len(runs) > 1 or runs[0].train.snapshots:
            identity = [canonical(settings), sorted(run.run_id for run in runs)]
            yield f"across-{digest(identity, 12)}.parquet", runs


def measure_missing(planned: Plan, workspace: Workspace, say: Callable[[str], object]) -> list[str]:
    """Measure what is not there yet; the reasons why some trainings could not be compared."""

    def table(runs: list[RunSpec]) -> pd.DataFrame:
        from harness.across_trainings import measure_across

        assert planned.experiment.across is not None
        return measure_across(runs, workspace, planned.experiment.across, say)

    reasons = (
        measure_once(
            workspace, name, runs, partial(table, runs), f"No comparison of trainings on {runs[0].trained_on}"
        )
        for name, runs in across_files(planned)
    )
    return [reason for reason in reasons if reason]
