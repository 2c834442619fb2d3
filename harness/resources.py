"""What Ray gives each run, and how long and how often a run may try."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.errors import ConfigError
from harness.parameters import check_above, check_fields, check_whole, fit

CHECKPOINT_SECONDS = 60.0
"""A killed training loses at most about this much work, where nothing else is said."""

SMALLEST = 1e-4
"""Of a resource, that Ray counts."""

NOT_CUSTOM = {
    "CPU": "use Resources.cpus",
    "GPU": "use Resources.gpus",
    "memory": "start fewer runs at a time with Resources.cpus",
    "object_store_memory": "leave it out, as runs share little through Ray",
}
"""What Ray itself counts by these names, and what to write instead."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """`Experiment.resources = @Resources()`. Changes no number and no run's id; but for what is said, for the backend
    `ray` alone.

    cpus: cores that Ray reserves for a run, which computes on one, so that as many runs go on at a time as fit into the
    machine's cores or the cluster's, unless --workers says how many; bodies of control tasks move on all of them, with
    the backend `serial` too. gpus: of GPUs, a share of one (0.25) lets
    several runs use it; None for one where Compute.device is `cuda`, and none else. custom: amounts of a
    cluster's own resources by name, such as `{'big_memory': 1}`. hours: wall clock from the start of a run to
    its end in one try; a run that takes longer is stopped, having saved its state, and counts as failed;
    None for no limit. retries: how many times a run is tried again, from its checkpoint, whose process or
    machine was lost. What a run raises itself is not tried again. evaluation_shards: parts of a run's test
    episodes that are done at the same time where the cluster has room, each with as much as a run gets.
    checkpoint_seconds: between two checkpoints of a training, beside those that validations leave; with the backend
    `serial` too.
    """

    cpus: float = 1.0
    gpus: float | None = None
    custom: Mapping[str, float] = field(default_factory=dict)
    hours: float | None = None
    retries: int = 1
    evaluation_shards: int = 1
    checkpoint_seconds: float = CHECKPOINT_SECONDS

    def __post_init__(self) -> None:
        check_fields(self)
        check_above("Resources.hours", self.hours, 0)
        check_above("Resources.checkpoint_seconds", self.checkpoint_seconds, 0)
        _check_amount("Resources.cpus", self.cpus)
        if self.gpus is not None:
            _check_amount("Resources.gpus", self.gpus)
        check_whole("Resources.retries", self.retries, low=0)
        check_whole("Resources.evaluation_shards", self.evaluation_shards, low=1)
        _check_custom(self.custom)
        if self.gpus is not None and self.gpus > 1 and self.gpus % 1:
            raise ConfigError(
                f"Resources.gpus is {self.gpus}: a share of one GPU, or a whole number of them."
            )

    def options(self, *, on_gpu: bool) -> dict[str, Any]:
        """As Ray's tasks take them, of a run that computes on a GPU or not."""
        found: dict[str, Any] = {"num_cpus": self.cpus}
        if on_gpu:
            found["num_gpus"] = 1 if self.gpus is None else self.gpus
        if self.custom:
            found["resources"] = dict(self.custom)
        return found


def _check_amount(parameter: str, amount: float) -> None:
    """Raises ConfigError for less than Ray counts."""
    check_above(parameter, amount, 0)
    if amount < SMALLEST:
        raise ConfigError(
            f"{parameter} must be at least {SMALLEST}, the least that Ray counts; got {amount!r}."
        )


def _check_custom(custom: object) -> None:
    """Raises ConfigError unless these are amounts by names of a cluster's own resources."""
    if not isinstance(custom, Mapping):
        raise ConfigError(
            f"Resources.custom must have amounts by name, such as {{'big_memory': 1}}; got {custom!r}."
        )
    for name, amount in custom.items():
        if not isinstance(name, str) or not name or name in NOT_CUSTOM:
            known = NOT_CUSTOM.get(str(name), "write it as it stands in `ray start --resources`")
            raise ConfigError(
                f"Resources.custom names {name!r}, which is no resource of a cluster's own: {known}."
            )
        parameter = f"Resources.custom[{name!r}]"
        _check_amount(parameter, fit(parameter, float, amount))
