"""After the runs: the distances between an experiment's sources, once for each regime, kept beside the probe's run."""

from collections.abc import Callable, Iterator
from pathlib import Path

from harness.distance_settings import Dissimilarity
from harness.files import write_aside
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
    import torch

    from harness.distances import measure_distances
    from harness.worker import THREADS

    settings, failed = planned.experiment.dissimilarity, []
    for run in probe_runs(planned):
        assert settings is not None
        path: Path = workspace.runs / distance_file(run, settings)
        if path.exists():
            continue
        if not workspace.folder(run.run_id).is_done:
            failed.append(
                f"No distances of sources for {run.trained_on}: the run {run.run_id} has not finished."
            )
            continue
        torch.set_num_threads(THREADS)
        frame = measure_distances(run, workspace, settings, say)
        write_aside(path, lambda aside, frame=frame: frame.to_parquet(aside, index=False))  # type: ignore[misc]
    return failed
