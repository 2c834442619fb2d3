"""What one few-shot task is: its shape, what a method sees of it, and what only the scorer knows."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from harness.errors import ConfigError
from harness.parameters import check_fields, check_whole

if TYPE_CHECKING:
    import torch


FIXED, FIXED_WAY, META_DATASET = "fixed", "fixed_way_variable_shot", "meta_dataset"


def has_fixed_way(protocol: str) -> bool:
    """Whether it draws shots for a number of ways that is given, whatever else of Meta-Dataset's is changed."""
    return protocol.startswith(FIXED_WAY)


"""Names of protocols, as they stand in every row: how the episodes of a source are drawn."""

WAYS = ("min_way", "max_way")
"""The parameters that bound a varying number of ways."""

WIDEST_LOG_WEIGHTS = 100
"""Beyond it, all but one class would nearly always have one shot."""


@dataclass(frozen=True, kw_only=True)
class EpisodeShape:
    """How large an episode is: `n_way` classes, `n_shot` support and `n_query` query images of each.

    Raises ConfigError for fewer than two ways, no support or no query images.
    """

    n_way: int = 5
    n_shot: int = 1
    n_query: int = 15

    def __post_init__(self) -> None:
        for name, least in (("n_way", 2), ("n_shot", 1), ("n_query", 1)):
            check_whole(f"EpisodeShape.{name}", getattr(self, name), low=least)

    def __str__(self) -> str:
        return f"{self.n_way}-way {self.n_shot}-shot, {self.n_query} queries a class"

    @property
    def protocol(self) -> str:
        """How the episodes are drawn, as it stands in every row."""
        return FIXED

    @property
    def most_way(self) -> int:
        """The largest number of ways an episode can have."""
        return self.n_way


@dataclass(frozen=True, kw_only=True)
class VariableShape:
    """Episodes of varying size, as Meta-Dataset draws them (Triantafillou et al. 2020, section 3.2, appendix).

    The defaults are its published protocol. min_way, max_way: bounds of the number of classes. max_query:
    largest number of query images a class. max_support: largest support set; max_counted: how many images of
    a class count towards its size. min_log_weight, max_log_weight: bounds of the uniform logarithms of the
    weights by which the support set is shared out among the classes.
    n_way: None, or a fixed number of ways, with varying shots. grouped: draw classes within a group where
    the source has groups (Omniglot's alphabets, ImageNet's hierarchy); a fixed number of ways never does.
    min_way, max_way and grouped mean nothing where n_way is set.

    Raises ConfigError for a bound that leaves nothing to draw.
    """

    min_way: int = 5
    max_way: int = 50
    max_query: int = 10
    max_support: int = 500
    max_counted: int = 100
    min_log_weight: float = -0.6931471805599453  # ln 1/2
    max_log_weight: float = 0.6931471805599453  # ln 2
    n_way: int | None = None
    grouped: bool = True

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("VariableShape.min_way", self.min_way, low=2)
        check_whole("VariableShape.max_way", self.max_way, low=self.min_way)
        if self.n_way is not None:
            check_whole("VariableShape.n_way", self.n_way, low=2)
        check_whole("VariableShape.max_query", self.max_query, low=1)
        check_whole("VariableShape.max_counted", self.max_counted, low=1)
        if self.max_support < self.most_way:
            raise ConfigError(
                f"VariableShape.max_support must be at least {self.most_way}, one image for each of the most "
                f"ways; got {self.max_support}."
            )
        if not 0 <= self.max_log_weight - self.min_log_weight <= WIDEST_LOG_WEIGHTS:
            raise ConfigError(
                f"VariableShape.max_log_weight must be at least min_log_weight, {self.min_log_weight}, and at "
                f"most {WIDEST_LOG_WEIGHTS} above it; got {self.max_log_weight}."
            )

    def __str__(self) -> str:
        ways = self.n_way or f"{self.min_way} to {self.max_way}"
        others = ", ".join(text for name, text in self._differences().items() if name not in WAYS)
        return f"{ways} ways, shots and queries as in Meta-Dataset{' with ' * bool(others)}{others}"

    @property
    def protocol(self) -> str:
        """How the episodes are drawn, as it stands in every row: a name, then what differs from it.

        Meta-Dataset's own protocol has nothing after its name.
        """
        name = META_DATASET if self.n_way is None else FIXED_WAY
        differences = self._differences()
        return f"{name}({', '.join(differences.values())})" if differences else name

    @property
    def most_way(self) -> int:
        """The largest number of ways an episode can have."""
        return self.n_way or self.max_way

    def _differences(self) -> dict[str, str]:
        """Parameter -> `parameter=value`, of those that mean something here and are not Meta-Dataset's."""
        silent = {"n_way"} if self.n_way is None else {"n_way", *WAYS, "grouped"}
        return {
            field.name: f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)
            if field.name not in silent and getattr(self, field.name) != field.default
        }


Shape = EpisodeShape | VariableShape
"""How episodes are drawn; its `protocol` names it in every row."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """All that a method may see of an episode at test time. It holds no query labels and no source name.

    Shapes: `support_x` [n_support, C, H, W] float, `support_y` [n_support] int64 in 0..n_way-1,
    `query_x` [n_query_total, C, H, W] float.
    """

    support_x: torch.Tensor
    support_y: torch.Tensor
    query_x: torch.Tensor
    n_way: int


@dataclass(frozen=True, kw_only=True)
class Episode:
    """A task plus what only the scorer knows.

    `query_y` [n_query_total] int64 in 0..n_way-1; `classes` are the pool's class numbers in label order;
    `index` is the episode's place k in its source's fixed sequence.
    """

    task: Task
    query_y: torch.Tensor
    source: str
    classes: tuple[int, ...]
    index: int

    @property
    def n_values(self) -> int:
        """Its pixel values, support and query together."""
        return self.task.support_x.numel() + self.task.query_x.numel()


@dataclass(frozen=True, kw_only=True)
class Spare:
    """Images of an episode's classes that are in neither its support nor its query set, for probes.

    `x` [n, C, H, W], `y` [n] int64 in 0..n_way-1. n may be 0: an episode can use up its classes.
    """

    x: torch.Tensor
    y: torch.Tensor
