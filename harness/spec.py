"""One run, wholly said: what a worker needs and nothing it does not. Identity is the hash of the content."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from harness.augmentation import Augmentation
from harness.compute import Compute
from harness.episode import Shape
from harness.errors import ConfigError
from harness.plugins import Component
from harness.seeds import PROTOCOL_VERSION

OWN_STEPS = "the method's own"
"""The schedule of a training whose method has an outer optimiser of its own."""


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """How pool pixels become network input.

    `size` pixels square; `channels` 1 or 3 (grey is repeated, colour is turned to luminance); `scaling` one of
    experiment.SCALINGS; `resize` one of resizing.RESIZES.
    """

    size: int
    channels: int
    scaling: str
    resize: str


@dataclass(frozen=True, kw_only=True)
class SourceSpec:
    """A source with its parameters and the fingerprint of its raw content.

    `native_size`: pixels a side where all its images are square and of one size, otherwise None.
    """

    name: str
    component: Component
    fingerprint: str
    native_size: int | None = None

    def pool_size(self, images: ImageSpec) -> int:
        """Pixels a side in the pool: never enlarged beyond what the source has."""
        return images.size if self.native_size is None else min(images.size, self.native_size)

    def pool_resize(self, images: ImageSpec) -> str | None:
        """How the pool's images were resized; None where they are as the source has them."""
        return None if self.pool_size(images) == self.native_size else images.resize

    def pool_key(self, split: str, images: ImageSpec) -> str:
        """The name of this source's pool folder: readable first, then a hash of all that makes its pixels."""
        size = self.pool_size(images)
        identity = [canonical(self.component), self.fingerprint, split, size, self.pool_resize(images)]
        return f"{self.name}-{split}-{size}px-{digest(identity, 12)}"


@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """How a learner is trained. The names are those of `experiment.Regime`, which documents them.

    `learns_from`: what an update is made of, see `method.trains_on`; without updates, `iterations` is 0. `schedule`:
    OWN_STEPS, with a `learning_rate` of 0, where the trainer has its own outer optimiser, see `method.OuterStepped`.
    """

    sources: tuple[SourceSpec, ...]
    shape: Shape
    augmentation: Augmentation | None
    iterations: int
    meta_batch: int
    learning_rate: float
    schedule: str
    gradient_clip: float | None
    validate_every: int
    validation_episodes: int
    validation_sources: tuple[SourceSpec, ...]
    validation_shape: Shape
    snapshots: tuple[int, ...] = ()
    learns_from: str = "episodes"


@dataclass(frozen=True, kw_only=True)
class EvaluationSpec:
    """Episodes 0..n_episodes-1 of one source and split: those of the test, or of another `stream`."""

    source: SourceSpec
    split: str
    shape: Shape
    n_episodes: int
    stream: str = ""


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One (method, regime, network, seed): train, select a checkpoint, evaluate, probe.

    `trainer` is the method whose outer loss trains the learner; it differs from `method` for methods that
    only predict differently (NIL on an ANIL-trained network). `probes` are measured on the evaluations' episodes.
    """

    method_name: str
    method: Component
    trainer: Component
    trained_on: str
    network: Component
    batch_norm: str
    max_way: int
    images: ImageSpec
    train: TrainSpec
    selection: str
    evaluations: tuple[EvaluationSpec, ...]
    seed: int
    compute: Compute = field(default_factory=Compute)
    protocol_version: int = PROTOCOL_VERSION
    probes: tuple[Component, ...] = ()

    @cached_property
    def run_id(self) -> str:
        """Readable first, then the hash of the whole spec."""
        return f"{self.method_name}-{self.trained_on}-s{self.seed}-{digest(self._content(), 10)}"

    @cached_property
    def training_id(self) -> str:
        """The hash of what training depends on: runs that share it share one trained learner."""
        keys = ("trainer", "network", "max_way", "images", "train", "seed", "compute", "protocol_version")
        content = self._content()
        return digest({key: content[key] for key in keys}, 16)

    def to_json(self) -> dict[str, Any]:
        """The spec as JSON data, as stored in spec.json."""
        return {"run_id": self.run_id, "training_id": self.training_id, **self._content()}

    def _content(self) -> dict[str, Any]:
        """The spec as JSON data.

        Without `probes` where there are none, `learns_from` for episodes, `training_workers` for one and `stream` for
        the test's: such runs keep their names.
        """
        plain = canonical(self)
        assert isinstance(plain, dict)
        if not self.probes:
            del plain["probes"]
        if self.train.learns_from == "episodes":
            del plain["train"]["learns_from"]
        if self.compute.training_workers == 1:
            del plain["compute"]["training_workers"]
        for evaluation in plain["evaluations"]:
            if not evaluation["stream"]:
                del evaluation["stream"]
        return plain


def kind_of_training(train: Mapping[str, Any]) -> tuple[str, bool]:
    """What a training, as JSON data, learns from, and whether by an optimiser of the method's own.

    Trainings of one regime agree in all else where they agree in this.
    """
    return str(train.get("learns_from", "episodes")), train.get("schedule") == OWN_STEPS


class Launchable(Protocol):
    """What launchers and the store ask of a run, be it on images (`RunSpec`) or on control tasks."""

    @property
    def compute(self) -> Compute:
        """Where it computes."""

    @property
    def run_id(self) -> str:
        """The name of its folder."""

    @property
    def training_id(self) -> str:
        """Equal for runs that share a training."""

    def to_json(self) -> dict[str, Any]:
        """Its content, for spec.json."""


def canonical(value: Any) -> Any:
    """`value` as JSON data that is equal whenever the meaning is equal.

    Raises ConfigError for a value that is no data.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: canonical(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): canonical(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(
        f"A parameter of type {type(value).__name__} cannot be part of a run's identity: {value!r}. "
        "Give it a number, a text, True, False, None, or a list of these."
    )


def digest(value: Any, length: int) -> str:
    """The first `length` hexadecimal digits of the hash of JSON data."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]
