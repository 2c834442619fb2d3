"""After the runs: the distances between an experiment's sources, once for each regime, kept beside the probe's run."""

from collections.abc import Callable, Iterator
from functools import partial

import pandas as pd

from harness.after_runs import measure_once
from harness.distance_settings import Dissimilarity
from harness.plan import Plan
from harness.spec import RunSpec, canonical, digest
from harness.store import Workspace


def probe_runs(planned: Plan) -> Iterator[RunSpec]:
    """The run of each regime whose trained body measures the distances: the method asked for, the first seed."""
    settings = planned.experiment.dissimilarity
    if settings is None:
        return
    method = settings.method or planned.experiment.methods[0].name
    seed = planned.experiment.seed_list[0]
    yield from (run for run in planned.runs if run.method_name == method and run.seed == seed)


def distance_file(run: RunSpec, settings: Dissimilarity) -> str:
    """Where the distances lie below runs/: another setting is another file."""
    return f"{run.run_id}/distances-{digest(canonical(settings), 8)}.parquet"


def measure_missing(planned: Plan, workspace: Workspace, say: Callable[[str], object]) -> list[str]:
    """Measure what is not there yet; the reasons why some probes could not be used."""
    settings = planned.experiment.dissimilarity
    if settings is None:
        return []

    def table(run: RunSpec) -> pd.DataFrame:
        from harness.distances import measure_distances

        return measure_distances(run, workspace, settings, say)

    reasons = (
        measure_once(
            workspace,
            distance_file(run, settings),
            [run],
            partial(table, run),
            f"No distances of sources for {run.trained_on}",
        )
        for run in probe_runs(planned)
    )
    return [reason for reason in reasons if reason]
