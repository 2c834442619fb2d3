"""What `Experiment.resources` means where no cluster is given: on this machine, or in this process alone."""

import math
import os

from harness.errors import ConfigError
from harness.resources import Resources


def cores_here() -> int:
    """The cores that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores_for_ray(most: int, workers: int | None, resources: Resources) -> int:
    """Of Ray on this machine, which begins as many runs as their `Resources.cpus` fit into that.

    most: tasks that could go on at the same time. workers: so many at the same time, whatever the machine has; None
    for what its cores allow.
    """
    wanted = max(1, math.ceil(min(most, workers or most) * resources.cpus))
    return wanted if workers else min(wanted, cores_here())


def check_fits_here(resources: Resources, backend: str, workers: int | None, address: str | None) -> None:
    """Raises ConfigError where a run asks for more cores than this machine, which is to do it, will ever have free."""
    if backend != "ray" or workers or address or resources.cpus <= cores_here():
        return
    raise ConfigError(
        f"Resources.cpus = {resources.cpus:g} asks for more cores a run than the {cores_here()} that this machine has "
        "for it. Lower it, give the runs to a cluster (--address), or say with --workers how many go on at a time, "
        "whatever the cores."
    )


def without_effect(resources: Resources, backend: str, *, moves_bodies: bool = False) -> str:
    """One sentence on what `backend` does not heed of what is asked for; empty where there is nothing.

    moves_bodies: whether cores count for the backend `serial`, too, as in control tasks.
    """
    if backend != "serial":
        return ""
    default = Resources()
    names = [*([] if moves_bodies else ["cpus"]), "gpus", "custom", "hours", "retries", "evaluation_shards"]
    asked = [f"Resources.{name}" for name in names if getattr(resources, name) != getattr(default, name)]
    if not asked:
        return ""
    verb = "has" if len(asked) == 1 else "have"
    return (
        f"Note: {' and '.join(asked)} {verb} no effect with --backend serial, which runs one after another in this "
        "process and stops none; --backend ray heeds what is asked for."
    )
