"""What one gin file asks for. Frozen dataclasses, filled by gin, checked on construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.across_settings import AcrossTrainings
from harness.augmentation import Augmentation
from harness.compute import Compute
from harness.dataset import SPLITS
from harness.distance_settings import Dissimilarity
from harness.episode import EpisodeShape, Shape
from harness.errors import ConfigError
from harness.parameters import check_above, check_choice, check_fields, check_whole
from harness.resizing import RESIZES
from harness.resources import Resources
from harness.search.settings import Search

if TYPE_CHECKING:
    from harness.dataset import Dataset
    from harness.method import Method
    from harness.networks import Network
    from harness.probe import Probe
    from harness.tracking.tracker import Tracker

SELECTIONS = ("last", "best_valid")
SCHEDULES = ("constant", "cosine")
SCALINGS = ("unit", "signed", "source")
MISSING = ("error", "skip")
LONGEST_LABEL = 60


@dataclass(frozen=True, kw_only=True)
class Images:
    """How images reach the network.

    The defaults are Meta-Dataset's. size: pixels, square. channels: 1, 3, or None for 3 if any source of the
    experiment has colour, else 1. scaling: `signed` for [-1, 1], `unit` for [0, 1], `source` for mean 0 and
    standard deviation 1 of each channel over the pool that an image is from. resize: `bilinear` with aligned
    corners, or `antialias`, smoother (see harness.resizing).
    """

    size: int = 84
    channels: int | None = None
    scaling: str = "signed"
    resize: str = "bilinear"

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("Images.size", self.size, low=8)
        check_choice("Images.scaling", self.scaling, SCALINGS)
        check_choice("Images.resize", self.resize, RESIZES)
        if self.channels not in (None, 1, 3):
            raise ConfigError(f"Images.channels must be 1, 3 or None; got {self.channels!r}.")


@dataclass(frozen=True, kw_only=True)
class Regime:
    """What a learner is trained on.

    sources: one is chosen uniformly for each training episode, or for each image of a batch. shape: of the training
    episodes. augmentation: of training images; None for none. iterations: outer updates, none for a method that
    is not trained. meta_batch: episodes an update; a method that trains on batches says itself how large they are.
    learning_rate: Adam's; of no effect on a method with an outer optimiser of its own, as is the schedule.
    schedule: `constant`, or `cosine` down to zero at the last iteration. gradient_clip: largest norm of the
    outer gradient, None for no clipping. validate_every: iterations between validations, the last iteration
    included. validation_episodes: fixed episodes of each validation source's valid split. validation_sources:
    None for the training sources. validation_shape: None for the training shape. snapshots: numbers of updates after
    which the learner is kept, 0 for before the first, so that `Experiment.across` can follow it. selection: `last`,
    or `best_valid` for the checkpoint with the best mean accuracy on the validation episodes. name: None for the
    sources' names joined by "+", or their number where that is long.
    """

    sources: Sequence[Dataset]
    shape: Shape = field(default_factory=EpisodeShape)
    augmentation: Augmentation | None = None
    iterations: int = 60_000
    meta_batch: int = 4
    learning_rate: float = 1e-3
    schedule: str = "constant"
    gradient_clip: float | None = None
    validate_every: int = 500
    validation_episodes: int = 100
    validation_sources: Sequence[Dataset] | None = None
    validation_shape: Shape | None = None
    snapshots: Sequence[int] = ()
    selection: str = "best_valid"
    name: str | None = None

    def __post_init__(self) -> None:
        if not self.sources:
            raise ConfigError("Regime.sources is empty: name at least one source to train on.")
        check_fields(self)
        for field_name in ("iterations", "meta_batch", "validate_every", "validation_episodes"):
            check_whole(f"Regime.{field_name}", getattr(self, field_name), low=1)
        for iteration in self.snapshots:
            check_whole("Regime.snapshots", iteration, low=0)
            if iteration > self.iterations:
                raise ConfigError(
                    f"Regime.snapshots names update {iteration}, but there are {self.iterations} updates: leave it "
                    "out of the list (`--set 'Regime.snapshots = ()'` for none), or raise Regime.iterations."
                )
        if self.learning_rate < 0:
            raise ConfigError(
                f"Regime.learning_rate must be a number of at least 0; got {self.learning_rate!r}."
            )
        check_choice("Regime.schedule", self.schedule, SCHEDULES)
        check_choice("Regime.selection", self.selection, SELECTIONS)
        if not self.validated_on and self.selection != "last":
            raise ConfigError(
                f"Regime.validation_sources is empty, so nothing can be selected by {self.selection!r}: name a "
                "source, or set Regime.selection = 'last'."
            )
        check_above("Regime.gradient_clip", self.gradient_clip, 0, otherwise=", or None for no clipping")
        if self.name == "":
            raise ConfigError("Regime.name must be a name, or None for the names of the sources; got ''.")

    @property
    def label(self) -> str:
        """The regime's name in rows: its own, or its sources', or how many these are where that is long."""
        joined = "+".join(source.name for source in self.sources)
        return self.name or (joined if len(joined) <= LONGEST_LABEL else f"{len(self.sources)}_sources")

    @property
    def validated_on(self) -> Sequence[Dataset]:
        """The sources whose valid split selects the checkpoint."""
        return self.sources if self.validation_sources is None else self.validation_sources


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Which episodes every trained learner is tested on: `n_episodes` of each source."""

    sources: Sequence[Dataset]
    shape: Shape = field(default_factory=EpisodeShape)
    split: str = "test"
    n_episodes: int = 600

    def __post_init__(self) -> None:
        if not self.sources:
            raise ConfigError("Evaluation.sources is empty: name at least one source to evaluate on.")
        check_choice("Evaluation.split", self.split, SPLITS)
        check_whole("Evaluation.n_episodes", self.n_episodes, low=2)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A set of runs and a report: every method × regime × seed, evaluated on every evaluation.

    name: the folder under reports/. title and claim: what the report says it is about. seeds: a list, or a
    number n for seeds 0..n-1. max_way: rows of the head; None for 50, or the largest number of ways in the
    experiment where that is more. The head is drawn whole, so other rows mean another training. For methods that
    train on batches it is at least the number of training classes.
    missing_sources: what to do where a source's raw data is not there, or a split of it has no classes:
    `error`, or `skip` to go on without, which the report says. probes: measured on every trained learner after its
    evaluation, on the same episodes (see `harness.probe`). dissimilarity: None, or how to measure how far each test
    source is from the training sources. across: None, or how to compare the trained networks of a regime with one
    another, across seeds and methods. margin_points: the largest difference in accuracy, in percentage points,
    that does not matter to a verdict on reuse. full_adaptation: the name of the method that adapts everything,
    which the others are judged against; None for the one called `maml`, else the only one of that plugin, where
    there is one. Verdicts change no run. trackers: where else runs are shown (see `harness.tracking`); they change no
    run either. resources: what Ray gives each run, and how long and often it may try. search: None, or how the runs'
    hyperparameters are chosen on validation episodes (see `harness.search.settings`).
    """

    name: str
    methods: Sequence[Method]
    network: Network
    regimes: Sequence[Regime]
    evaluations: Sequence[Evaluation]
    images: Images = field(default_factory=Images)
    compute: Compute = field(default_factory=Compute)
    resources: Resources = field(default_factory=Resources)
    seeds: int | Sequence[int] = (0,)
    max_way: int | None = None
    missing_sources: str = "error"
    probes: Sequence[Probe] = ()
    dissimilarity: Dissimilarity | None = None
    across: AcrossTrainings | None = None
    margin_points: float = 1.0
    full_adaptation: str | None = None
    trackers: Sequence[Tracker] = ()
    search: Search | None = None
    title: str = ""
    claim: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        for what in ("methods", "regimes", "evaluations"):
            if not getattr(self, what):
                raise ConfigError(f"Experiment.{what} is empty: name at least one.")
        check_seeds("Experiment", self.seeds)
        check_choice("Experiment.missing_sources", self.missing_sources, MISSING)
        if not 0 < self.margin_points <= 100:
            raise ConfigError(
                "Experiment.margin_points must be a number of percentage points above 0 and at most 100; got "
                f"{self.margin_points!r}. Declare the largest difference in accuracy that does not matter, such "
                "as 1.0."
            )
        if self.max_way is not None:
            check_whole("Experiment.max_way", self.max_way, low=2)
        check_experiment_name("Experiment", self.name)
        if isinstance(self.resources, Resources) and isinstance(self.compute, Compute):
            _check_gpus(self.resources, self.compute)

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds, one after another."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else tuple(self.seeds)


def _check_gpus(resources: Resources, compute: Compute) -> None:
    """Raises ConfigError where a GPU is asked for that no run would use."""
    if resources.gpus is not None and compute.device == "cpu":
        raise ConfigError(
            f"Resources.gpus is {resources.gpus:g}, but Compute.device is 'cpu', so that no run would use one: set "
            "Experiment.compute = @Compute() and Compute.device = 'cuda', or leave Resources.gpus out."
        )


def check_experiment_name(kind: str, name: str) -> None:
    """Raise ConfigError unless `name` can be that of a folder; `kind` is the class that has it."""
    if not name or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
        raise ConfigError(
            f"{kind}.name names a folder: letters, digits, '-', '_' and '.' only; got {name!r}."
        )


def check_seeds(kind: str, seeds: object) -> None:
    """Raise ConfigError unless `seeds` is their number or a list of them; `kind` is the class that has them."""
    listed = seeds if isinstance(seeds, Sequence) else [seeds]
    whole = all(isinstance(s, int) and not isinstance(s, bool) and s >= 0 for s in listed)
    if not whole or not listed or seeds == 0:
        raise ConfigError(
            f"{kind}.seeds must be a number of at least 1 or a list of whole numbers; got {seeds!r}."
        )
