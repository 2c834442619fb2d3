"""What one few-shot task is: its shape, what a method sees of it, and what only the scorer knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ConfigError

if TYPE_CHECKING:
    import torch


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
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ConfigError(
                    f"EpisodeShape.{name} must be a whole number of at least {least}; got {value!r}."
                )

    def __str__(self) -> str:
        return f"{self.n_way}-way {self.n_shot}-shot, {self.n_query} queries a class"


@dataclass(frozen=True, kw_only=True)
class VariableShape:
    """Episodes of varying size, as Meta-Dataset draws them (Triantafillou et al. 2020, section 3.2, appendix).

    The defaults are its published protocol. min_way, max_way: bounds of the number of classes. max_query:
    largest number of query images a class. max_support: largest support set; max_counted: how many images of
    a class count towards its size. min_log_weight, max_log_weight: bounds of the uniform logarithms of the
    weights by which the support set is shared out among the classes.
    n_way: None, or a fixed number of ways, with varying shots. grouped: draw classes within a group where
    the source has groups (Omniglot's alphabets, ImageNet's hierarchy); a fixed number of ways never does.
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
