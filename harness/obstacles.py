"""What keeps an experiment from being run on this machine: its cores, its GPU, packages that are not installed."""

from collections.abc import Callable, Iterator

from harness.control.experiment import ControlExperiment
from harness.errors import ConfigError, PlanError
from harness.experiment import Experiment
from harness.local_resources import check_fits_here


def obstacles(
    experiment: Experiment | ControlExperiment,
    *,
    backend: str = "ray",
    workers: int | None = None,
    address: str | None = None,
) -> list[str]:
    """One sentence for each, of a run that `launch.launch` gets with these options."""
    return list(
        _said(
            lambda: check_fits_here(experiment.resources, backend, workers, address),
            *([] if address else [experiment.compute.check_device]),
            *(tracker.check for tracker in getattr(experiment, "trackers", ())),
        )
    )


def check_can_run(
    experiment: Experiment | ControlExperiment, *, backend: str, workers: int | None, address: str | None
) -> None:
    """Raises ConfigError where there is an obstacle, and PlanError, which holds them all, where there are several."""
    found = obstacles(experiment, backend=backend, workers=workers, address=address)
    if found:
        raise ConfigError(found[0]) if len(found) == 1 else PlanError(found)


def _said(*checks: Callable[[], None]) -> Iterator[str]:
    for check in checks:
        try:
            check()
        except ConfigError as problem:
            yield str(problem)
