"""What one gin file asks for. Frozen dataclasses, filled by gin, checked on construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.dataset import SPLITS
from harness.episode import EpisodeShape
from harness.errors import ConfigError, did_you_mean, named_choices

if TYPE_CHECKING:
    from harness.dataset import Dataset
    from harness.method import Method
    from harness.networks import Network

SELECTIONS = ("last", "best_valid")
SCHEDULES = ("constant", "cosine")
SCALINGS = ("unit", "signed")


def _choice(subject: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(
            f"{subject} must be one of {named_choices(allowed)}; got {value!r}."
            f"{did_you_mean(str(value), allowed)}"
        )


def _at_least(subject: str, value: float, least: float, *, whole: bool = True) -> None:
    wrong_type = isinstance(value, bool) or not isinstance(value, int if whole else (int, float))
    if wrong_type or value < least:
        kind = "a whole number" if whole else "a number"
        raise ConfigError(f"{subject} must be {kind} of at least {least}; got {value!r}.")


@dataclass(frozen=True, kw_only=True)
class Images:
    """How images reach the network.

    size: pixels, square. channels: 1, 3, or None for 3 if any source of the experiment has colour, else 1.
    scaling: `unit` for [0, 1], `signed` for [-1, 1].
    """

    size: int = 28
    channels: int | None = None
    scaling: str = "unit"

    def __post_init__(self) -> None:
        _at_least("Images.size", self.size, 8)
        _choice("Images.scaling", self.scaling, SCALINGS)
        if self.channels not in (None, 1, 3):
            raise ConfigError(f"Images.channels must be 1, 3 or None; got {self.channels!r}.")


@dataclass(frozen=True, kw_only=True)
class Regime:
    """What a learner is trained on.

    sources: one is chosen uniformly for each training episode. shape: of the training episodes.
    iterations: outer updates. meta_batch: episodes an update. learning_rate: Adam's.
    schedule: `constant`, or `cosine` down to zero at the last iteration. gradient_clip: largest norm of the
    outer gradient, None for no clipping. validate_every: iterations between validations, the last iteration
    included. validation_episodes: fixed episodes of each source's valid split. validation_shape: None for
    the training shape. selection: `last`, or `best_valid` for the checkpoint with the best mean accuracy on
    the validation episodes. name: None for the sources' names joined by "+".
    """

    sources: Sequence[Dataset]
    shape: EpisodeShape = field(default_factory=EpisodeShape)
    iterations: int = 60_000
    meta_batch: int = 4
    learning_rate: float = 1e-3
    schedule: str = "constant"
    gradient_clip: float | None = None
    validate_every: int = 500
    validation_episodes: int = 100
    validation_shape: EpisodeShape | None = None
    selection: str = "best_valid"
    name: str | None = None

    def __post_init__(self) -> None:
        if not self.sources:
            raise ConfigError("Regime.sources is empty: name at least one source to train on.")
        _at_least("Regime.iterations", self.iterations, 1)
        _at_least("Regime.meta_batch", self.meta_batch, 1)
        _at_least("Regime.validate_every", self.validate_every, 1)
        _at_least("Regime.validation_episodes", self.validation_episodes, 1)
        _at_least("Regime.learning_rate", self.learning_rate, 0, whole=False)
        _choice("Regime.schedule", self.schedule, SCHEDULES)
        _choice("Regime.selection", self.selection, SELECTIONS)
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise ConfigError(
                f"Regime.gradient_clip must be above 0, or None for no clipping; got {self.gradient_clip!r}."
            )

    @property
    def label(self) -> str:
        """The regime's name in rows: its own, or its sources'."""
        return self.name or "+".join(source.name for source in self.sources)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Which episodes every trained learner is tested on: `n_episodes` of each source."""

    sources: Sequence[Dataset]
    shape: EpisodeShape = field(default_factory=EpisodeShape)
    split: str = "test"
    n_episodes: int = 600

    def __post_init__(self) -> None:
        if not self.sources:
            raise ConfigError("Evaluation.sources is empty: name at least one source to evaluate on.")
        _choice("Evaluation.split", self.split, SPLITS)
        _at_least("Evaluation.n_episodes", self.n_episodes, 2)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A set of runs and a report: every method × regime × seed, evaluated on every evaluation.

    name: the folder under reports/. title and claim: what the report says it is about. seeds: a list, or a
    number n for seeds 0..n-1. max_way: rows of the head; None for the largest number of ways in the
    experiment.
    """

    name: str
    methods: Sequence[Method]
    network: Network
    regimes: Sequence[Regime]
    evaluations: Sequence[Evaluation]
    images: Images = field(default_factory=Images)
    seeds: int | Sequence[int] = (0,)
    max_way: int | None = None
    title: str = ""
    claim: str = ""

    def __post_init__(self) -> None:
        for what in ("methods", "regimes", "evaluations"):
            if not getattr(self, what):
                raise ConfigError(f"Experiment.{what} is empty: name at least one.")
        if not self.seed_list or any(
            isinstance(s, bool) or not isinstance(s, int) or s < 0 for s in self.seed_list
        ):
            raise ConfigError(
                f"Experiment.seeds must be a number of at least 1 or a list of whole numbers; got {self.seeds!r}."
            )
        if (
            not self.name
            or not all(c.isalnum() or c in "-_." for c in self.name)
            or self.name.startswith(".")
        ):
            raise ConfigError(
                f"Experiment.name names a folder: letters, digits, '-', '_' and '.' only; got {self.name!r}."
            )

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds, one after another."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else tuple(self.seeds)
