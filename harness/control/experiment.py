"""What a gin file asks for where the tasks are met by acting: `ControlExperiment` in place of `Experiment`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.compute import Compute
from harness.control.clipped_surrogate import ClippedSurrogate
from harness.control.sampling import Sampling
from harness.control.trust_region import TrustRegion
from harness.dataset import SPLITS
from harness.errors import ConfigError
from harness.experiment import check_experiment_name, check_seeds
from harness.parameters import check_above, check_choice, check_fields, check_whole
from harness.resources import Resources

if TYPE_CHECKING:
    from harness.control.policy_network import MLP
    from harness.control.policy_probe import PolicyProbe
    from harness.control.source import ControlSource
    from harness.inner_loop_method import InnerLoopMethod
    from harness.tracking.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class ControlRegime:
    """What a policy is meta-trained on.

    source: of the training tasks, its split `train`. sampling: trajectories, and what is made of their rewards.
    outer: how the outer step is made, @TrustRegion() or @ClippedSurrogate(). iterations: outer updates. meta_batch:
    tasks an update. name: None for the source's.
    """

    source: ControlSource
    sampling: Sampling = field(default_factory=Sampling)
    outer: TrustRegion | ClippedSurrogate = field(default_factory=TrustRegion)
    iterations: int = 500
    meta_batch: int = 20
    name: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("ControlRegime.iterations", self.iterations, low=1)
        check_whole("ControlRegime.meta_batch", self.meta_batch, low=1)

    @property
    def label(self) -> str:
        """The regime's name in rows."""
        return self.name or self.source.name


@dataclass(frozen=True, kw_only=True)
class ControlEvaluation:
    """Tasks 0 to n_tasks - 1 of `split` of each source, acted on before and after adaptation."""

    sources: Sequence[ControlSource]
    sampling: Sampling = field(default_factory=Sampling)
    split: str = "test"
    n_tasks: int = 40

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.sources:
            raise ConfigError("ControlEvaluation.sources is empty: name at least one source to evaluate on.")
        check_choice("ControlEvaluation.split", self.split, SPLITS)
        check_whole("ControlEvaluation.n_tasks", self.n_tasks, low=2)


@dataclass(frozen=True, kw_only=True)
class ControlExperiment:
    """Every method × regime × seed, each tested on every evaluation that its policy can act in, and a report.

    name, title, claim, seeds, resources, trackers: as of `Experiment`; with Resources.cpus of several, bodies move in
    as many threads, to the same bits. compute: of policies, which learn several times faster on a GPU where there are
    many tasks and trajectories; bodies and points move on the CPU. probes: measured on every trained policy after its
    evaluation, on the same tasks. margin_return: the largest difference in return that does not matter to a verdict
    on reuse.
    """

    name: str
    methods: Sequence[InnerLoopMethod]
    network: MLP
    regimes: Sequence[ControlRegime]
    evaluations: Sequence[ControlEvaluation]
    resources: Resources = field(default_factory=Resources)
    compute: Compute = field(default_factory=Compute)
    seeds: int | Sequence[int] = (0,)
    probes: Sequence[PolicyProbe] = ()
    margin_return: float = 1.0
    trackers: Sequence[Tracker] = ()
    title: str = ""
    claim: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        for what in ("methods", "regimes", "evaluations"):
            if not getattr(self, what):
                raise ConfigError(f"ControlExperiment.{what} is empty: name at least one.")
        check_seeds("ControlExperiment", self.seeds)
        check_above("ControlExperiment.margin_return", self.margin_return, 0)
        check_experiment_name("ControlExperiment", self.name)
        if isinstance(self.compute, Compute) and isinstance(self.resources, Resources):
            _check_compute(self.compute)
            _check_resources(self.resources, on_gpu=self.compute.device == "cuda")

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds, one after another."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else tuple(self.seeds)


def _check_compute(compute: Compute) -> None:
    """Raises ConfigError for what would have no effect on a policy."""
    if compute.precision != "float32":
        raise ConfigError(
            f"Compute.precision is {compute.precision!r}, which is for convolutions; a policy has none: leave it out."
        )
    if compute.training_workers > 1:
        raise ConfigError(
            f"Compute.training_workers is {compute.training_workers}, and the training of a policy is not shared: "
            "leave it out; several runs still go on at the same time."
        )


def _check_resources(resources: Resources, *, on_gpu: bool) -> None:
    """Raises ConfigError for what would have no effect."""
    if resources.evaluation_shards > 1:
        raise ConfigError(
            f"Resources.evaluation_shards is {resources.evaluation_shards}, and a run on control tasks is not shared: "
            "its test tasks are simulated side by side. Leave it out; several runs still go on at the same time."
        )
    if resources.gpus is not None and not on_gpu:
        raise ConfigError(
            f"Resources.gpus is {resources.gpus}, and policies are computed on the CPU: leave it out, or set "
            "ControlExperiment.compute = @Compute() and Compute.device = 'cuda'."
        )
