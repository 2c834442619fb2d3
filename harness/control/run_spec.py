"""One run on control tasks, wholly said; its identity is the hash of its content, as that of other runs is."""

from dataclasses import dataclass, field
from typing import Any

from harness import plugins
from harness.compute import Compute
from harness.control.clipped_surrogate import ClippedSurrogate
from harness.control.sampling import Sampling
from harness.control.source import ControlSource
from harness.control.trust_region import TrustRegion
from harness.errors import WorkspaceError
from harness.plugins import Component
from harness.spec import canonical, digest

CONTROL = "control"
"""`kind` of such a run's spec.json, and of its experiment's record; others have none."""

CONTROL_PROTOCOL_VERSION = 5
"""As `seeds.PROTOCOL_VERSION`, of control tasks alone: their rows never meet those of images."""

OUTER = {"trust_region": TrustRegion, "clipped_surrogate": ClippedSurrogate}


@dataclass(frozen=True, kw_only=True)
class ControlSourceSpec:
    """A source with its parameters and the fingerprint of what moves in it."""

    name: str
    component: Component
    fingerprint: str

    @property
    def horizon(self) -> int:
        """Steps of a trajectory, at most."""
        return int(self.component.params["horizon"])


@dataclass(frozen=True, kw_only=True)
class ControlTrainSpec:
    """How a policy is meta-trained; names as of `ControlRegime`, which documents them. outer: a key of OUTER, with its
    parameters.
    """

    source: ControlSourceSpec
    sampling: Sampling
    outer: Component
    iterations: int
    meta_batch: int


@dataclass(frozen=True, kw_only=True)
class ControlEvaluationSpec:
    """Tasks 0 to n_tasks - 1 of one source and split."""

    source: ControlSourceSpec
    split: str
    sampling: Sampling
    n_tasks: int


@dataclass(frozen=True, kw_only=True)
class ControlRunSpec:
    """One (method, regime, network, seed): meta-train a policy, and let it adapt to test tasks.

    Of the method only what training depends on is in `training_id`, so that a method which adapts longer at test takes
    over the training of its sibling. compute: where its policy computes; bodies and points move on the CPU.
    """

    method_name: str
    method: Component
    trained_on: str
    network: Component
    train: ControlTrainSpec
    evaluations: tuple[ControlEvaluationSpec, ...]
    seed: int
    protocol_version: int = CONTROL_PROTOCOL_VERSION
    compute: Compute = field(default_factory=Compute)
    probes: tuple[Component, ...] = ()

    @property
    def run_id(self) -> str:
        """Readable first, then the hash of the whole spec."""
        return f"{self.method_name}-{self.trained_on}-s{self.seed}-{digest(self._content(), 10)}"

    @property
    def training_id(self) -> str:
        """The hash of what training depends on."""
        content = self._content()
        keys = ("kind", "method", "network", "train", "seed", "compute", "protocol_version")
        kept = {key: content[key] for key in keys if key in content}
        at_test = ("name", "test_inner_lr", "test_inner_steps")
        params = {key: value for key, value in content["method"]["params"].items() if key not in at_test}
        return digest({**kept, "method": {**content["method"], "params": params}}, 16)

    @property
    def work(self) -> float:
        """What the run costs beside others: steps to simulate and to learn from, where no trajectory ends early."""
        train, params = self.train, self.method.params
        steps = int(params["inner_steps"])
        at_test = steps if params["test_inner_steps"] is None else int(params["test_inner_steps"])
        tasks = train.iterations * train.meta_batch
        total = tasks * train.sampling.trajectories * train.source.horizon * (steps + 1)
        for each in self.evaluations:
            total += each.n_tasks * each.sampling.trajectories * each.source.horizon * (at_test + 1)
        return float(total)

    def to_json(self) -> dict[str, Any]:
        """The spec as JSON data, as stored in spec.json."""
        return {"run_id": self.run_id, "training_id": self.training_id, **self._content()}

    def _content(self) -> dict[str, Any]:
        plain = canonical(self)
        assert isinstance(plain, dict)
        if self.compute == Compute():
            del plain["compute"]
        else:
            plain["compute"] = {"device": self.compute.device}
        if not self.probes:
            del plain["probes"]
        return {"kind": CONTROL, **plain}


def outer_component(outer: TrustRegion | ClippedSurrogate) -> Component:
    """The outer step's settings as plain data."""
    name = next(name for name, cls in OUTER.items() if type(outer) is cls)
    return Component(plugin=name, params=dict(vars(outer)))


def outer_of(component: Component) -> TrustRegion | ClippedSurrogate:
    """The settings that `outer_component` described."""
    made: TrustRegion | ClippedSurrogate = OUTER[component.plugin](**component.params)
    return made


def source_of(spec: ControlSourceSpec) -> ControlSource:
    """The source that a spec describes. Raises WorkspaceError where what moves here is not what was planned."""
    source: ControlSource = plugins.build(plugins.CONTROL_SOURCES, spec.component)
    if source.fingerprint() != spec.fingerprint:
        raise WorkspaceError(
            f"{spec.name} is {source.fingerprint()} here and was planned as {spec.fingerprint}: install the same "
            "versions of MuJoCo and Gymnasium on all machines, and run the same command again."
        )
    return source
