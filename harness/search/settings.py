"""What an experiment says of its search: which values are tried, and how."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, ClassVar

from harness.errors import ConfigError, did_you_mean, named_choices
from harness.parameters import check_fields, check_whole
from harness.search.ranges import read_range
from harness.search.written import written
from harness.seeds import counter_rng

OF_EXPERIMENT = ("network", "images", "compute", "max_way")
"""Parameters of Experiment that a search may vary: the others say what is run and reported, not how it learns."""

NOT_SEARCHED = ("Evaluation", "GridSearch", "RandomSearch", "Dissimilarity", "AcrossTrainings", "Resources")
"""Classes whose parameters change no training."""

MOST_TRIALS = 1000
"""More than these are taken for a mistake: a grid grows with every list that is added."""

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

    @abstractmethod
    def proposals(self, seed: int) -> list[Mapping[str, str]]:
        """Of each trial binding -> value as gin text. `seed` is the one to draw with."""

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
        if (n := prod(map(len, texts.values()))) > MOST_TRIALS:
            raise ConfigError(
                f"GridSearch.grid makes {n:,} trials, more than {MOST_TRIALS:,}: list fewer values, or use "
                "@RandomSearch(), which has a budget of trials."
            )

    @property
    def bindings(self) -> tuple[str, ...]:
        """The keys of the grid."""
        return tuple(self.grid)

    def proposals(self, seed: int) -> list[Mapping[str, str]]:  # noqa: ARG002  nothing is drawn
        """The product of the lists."""
        return [dict(zip(self.bindings, values, strict=True)) for values in product(*self._texts.values())]

    @property
    def _texts(self) -> dict[str, list[str]]:
        return {
            name: [written(f"GridSearch.grid: {name!r}", v) for v in vs] for name, vs in self.grid.items()
        }


@dataclass(frozen=True, kw_only=True)
class RandomSearch(Search):
    """Try values drawn at random.

    trials: the budget, how many there are. ranges: binding -> range (see `harness.search.ranges`).

    The value of a binding in trial k depends on the seed, the binding and k alone: a larger budget adds trials and
    changes none, and another range changes its own values only.
    """

    trials: int = 20
    ranges: Mapping[str, Any] = field(default_factory=dict)

    kind: ClassVar[str] = "random search"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("RandomSearch.trials", self.trials, low=1, high=MOST_TRIALS)
        _check_names("RandomSearch.ranges", self.ranges, "{'MAML.inner_lr': ('log_uniform', 0.01, 1.0)}")
        for name, value in self.ranges.items():
            read_range(f"RandomSearch.ranges: {name!r}", value)

    @property
    def bindings(self) -> tuple[str, ...]:
        """The keys of the ranges."""
        return tuple(self.ranges)

    def proposals(self, seed: int) -> list[Mapping[str, str]]:
        """Draws from counters: pure in the seed."""
        ranges = {name: read_range(name, value) for name, value in self.ranges.items()}
        return [
            {name: found.draw(counter_rng(seed, f"search/{name}", k)) for name, found in ranges.items()}
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
