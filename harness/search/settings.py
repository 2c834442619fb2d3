"""What an experiment says of its search: which values are tried, and how."""

import re
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, ClassVar

from harness.errors import ConfigError, did_you_mean, named_choices
from harness.parameters import check_fields, check_whole
from harness.search.ranges import Range, read_range
from harness.search.written import written
from harness.seeds import counter_rng

OF_EXPERIMENT = ("network", "images", "compute", "max_way")
"""Parameters of Experiment that a search may vary: the others say what is run and reported, not how it learns."""

SEARCHES = ("GridSearch", "RandomSearch", "TuneSearch")
NOT_SEARCHED = (*SEARCHES, "Evaluation", "Dissimilarity", "AcrossTrainings", "Resources")
"""Classes whose parameters change no training."""

MOST_TRIALS = 1000
"""More than these are taken for a mistake: a grid grows with every list that is added."""

Values = Mapping[str, str]
"""Of a trial: binding -> value as gin text."""

Rounds = Generator[list[Values], Sequence[float | None], None]
"""Trials, round after round; it is sent the accuracies of each round's, None for a trial that has none."""

_BINDING = re.compile(r"(?:[\w.]+/)*(?:[\w.]+\.)?\w+")


@dataclass(frozen=True, kw_only=True)
class Search(ABC):
    """Choose hyperparameters on validation episodes, for each method and regime by itself.

    Trial k gives every binding a value. Each method and regime is trained with it on one seed and predicts
    `n_episodes` episodes of each validation source's valid split, none of which selected a checkpoint; the trial of the
    highest mean accuracy is chosen, the first of equal ones. No trial reads a test class. The experiment then runs with
    the chosen values on all its seeds.

    seed: of all trials, and of what is drawn; None for the experiment's first. n_episodes: None for the regime's
    `validation_episodes`.
    """

    seed: int | None = None
    n_episodes: int | None = None

    kind: ClassVar[str]
    """What the search is called, in words."""

    @property
    @abstractmethod
    def bindings(self) -> tuple[str, ...]:
        """What is varied: names of parameters or macros as `--set` takes them."""

    @property
    @abstractmethod
    def n_trials(self) -> int:
        """How many there are in all."""

    @abstractmethod
    def rounds(self, seed: int) -> Rounds:
        """The trials, in one round where they do not depend on what others score. `seed` is the one to draw with.

        The same seed and accuracies give the same trials.
        """

    def check(self) -> None:  # noqa: B027  most need nothing
        """Raises ConfigError where what it needs is not installed. Imports nothing."""

    def __post_init__(self) -> None:
        check_fields(self)
        for name, low in (("seed", 0), ("n_episodes", 1)):
            if getattr(self, name) is not None:
                check_whole(f"{type(self).__name__}.{name}", getattr(self, name), low=low)


@dataclass(frozen=True, kw_only=True)
class GridSearch(Search):
    """Try every combination. grid: binding -> list of values; the last binding changes fastest."""

    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    kind: ClassVar[str] = "grid search"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names("GridSearch.grid", self.grid, "{'MAML.inner_lr': [0.1, 0.5]}")
        for name, values in self.grid.items():
            if not isinstance(values, list | tuple) or not values:
                raise ConfigError(
                    f"GridSearch.grid: {name!r} must have a list of at least one value, such as [0.1, 0.5]; "
                    f"got {values!r}."
                )
        texts = self._texts
        for name, options in texts.items():
            twice = next((text for text in options if options.count(text) > 1), None)
            if twice is not None:
                raise ConfigError(f"GridSearch.grid: {name!r} lists {twice} twice: remove one.")
        if self.n_trials > MOST_TRIALS:
            raise ConfigError(
                f"GridSearch.grid makes {self.n_trials:,} trials, more than {MOST_TRIALS:,}: list fewer values, or use "
                "@RandomSearch(), which has a budget of trials."
            )

    @property
    def bindings(self) -> tuple[str, ...]:
        """The keys of the grid."""
        return tuple(self.grid)

    @property
    def n_trials(self) -> int:
        """The product of the lists' lengths."""
        return prod(map(len, self.grid.values()))

    def rounds(self, seed: int) -> Rounds:  # noqa: ARG002  nothing is drawn
        """The product of the lists, at once."""
        yield [dict(zip(self.bindings, values, strict=True)) for values in product(*self._texts.values())]

    @property
    def _texts(self) -> dict[str, list[str]]:
        return {
            name: [written(f"GridSearch.grid: {name!r}", v) for v in vs] for name, vs in self.grid.items()
        }


@dataclass(frozen=True, kw_only=True)
class RangeSearch(Search):
    """Try values from ranges. trials: the budget. ranges: binding -> range (see `harness.search.ranges`)."""

    trials: int = 20
    ranges: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        check_whole(f"{name}.trials", self.trials, low=1, high=MOST_TRIALS)
        _check_names(f"{name}.ranges", self.ranges, "{'MAML.inner_lr': ('log_uniform', 0.01, 1.0)}")
        for binding, value in self.ranges.items():
            read_range(f"{name}.ranges: {binding!r}", value)

    @property
    def bindings(self) -> tuple[str, ...]:
        """The keys of the ranges."""
        return tuple(self.ranges)

    @property
    def n_trials(self) -> int:
        """The budget."""
        return self.trials

    @property
    def read_ranges(self) -> dict[str, Range]:
        """Of each binding."""
        return {name: read_range(name, value) for name, value in self.ranges.items()}


@dataclass(frozen=True, kw_only=True)
class RandomSearch(RangeSearch):
    """Try values drawn at random.

    The value of a binding in trial k depends on the seed, the binding and k alone: a larger budget adds trials and
    changes none, and another range changes its own values only.
    """

    kind: ClassVar[str] = "random search"

    def rounds(self, seed: int) -> Rounds:
        """All at once: draws from counters, pure in the seed."""
        yield [
            {
                name: found.draw(counter_rng(seed, f"search/{name}", k))
                for name, found in self.read_ranges.items()
            }
            for k in range(self.trials)
        ]


def _check_names(place: str, value: object, example: str) -> None:
    """Raises ConfigError unless `value` is a mapping from names that may be searched."""
    if not isinstance(value, Mapping) or not value:
        raise ConfigError(f"{place} is empty or no dictionary: write, for example, {example}; got {value!r}.")
    for name in value:
        if not isinstance(name, str) or not _BINDING.fullmatch(name):
            raise ConfigError(
                f"{place}: {name!r} is no name of a parameter, such as 'MAML.inner_lr', or of a macro, such as "
                "'inner_steps'."
            )
        owner, _, parameter = name.rpartition("/")[2].rpartition(".")
        cls = owner.rpartition(".")[2]
        if cls in NOT_SEARCHED or (cls == "Experiment" and parameter not in OF_EXPERIMENT):
            raise ConfigError(
                f"{place}: {name!r} cannot be searched: it says what is run, tested or reported, not how anything is "
                f"learnt. Of Experiment these can: {named_choices(OF_EXPERIMENT)}."
                f"{did_you_mean(parameter, OF_EXPERIMENT) if cls == 'Experiment' else ''}"
            )
