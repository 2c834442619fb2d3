"""The outer gradient of each update: of the meta-batch as a whole, or of its shares, which others may compute."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from torch import Tensor

from harness.learner import Learner
from harness.read_ahead import ReadAhead
from harness.seeds import seed_torch
from harness.shares import ShareSum, share_sizes
from harness.spec import RunSpec
from harness.updates import Updates


@dataclass(frozen=True, kw_only=True)
class Outer:
    """What an update went by. waiting_seconds: for training episodes. workers: who computed it."""

    loss: float
    waiting_seconds: float
    workers: int = 1


Gradient = Callable[[int], Outer]
"""Leaves the gradient of an update in the learner's parameters; called for one update after another."""


@contextmanager
def of_the_whole(spec: RunSpec, updates: Updates, learner: Learner, first: int) -> Iterator[Gradient]:
    """Gradients of whole meta-batches, from update `first` on."""
    indices = range(first * updates.per_update, spec.train.iterations * updates.per_update)
    with ReadAhead(updates.items, indices) as items:

        def gradient(iteration: int) -> Outer:
            began = time.perf_counter()
            batch = list(islice(items, updates.per_update))
            waited = time.perf_counter() - began
            seed_torch(spec.seed, f"train/{iteration}")
            loss = updates.loss(learner, batch)
            loss.backward()  # type: ignore[no-untyped-call]
            return Outer(loss=loss.item(), waiting_seconds=waited)

        yield gradient


class Team(Protocol):
    """The workers that compute the shares of an update, as one of them sees them.

    This one is number `rank` of `size`; share s is computed by number s modulo `size`.
    """

    @property
    def rank(self) -> int:
        """From 0, the run's own worker."""

    @property
    def size(self) -> int:
        """At least 1."""

    def ready(self, iteration: int) -> None:
        """An update is about to begin; who is in the team may change now."""

    def exchange(self, own: Sequence[Tensor], n_shares: int, length: int) -> list[Tensor]:
        """The vectors of all shares, given one's own. Raises TeamLostError where one of the team is gone."""

    def lost(self) -> None:
        """The team is no more; raises TeamLostError where this worker cannot go on without it."""

    def close(self) -> None:
        """The training is over, or stops."""


class TeamLostError(Exception):
    """A worker of the team has gone."""


@dataclass(kw_only=True)
class Alone:
    """A team of one."""

    rank: int = 0
    size: int = 1

    def ready(self, iteration: int) -> None:
        """Nobody joins."""

    def exchange(self, own: Sequence[Tensor], n_shares: int, length: int) -> list[Tensor]:  # noqa: ARG002
        """One's own are all."""
        return list(own)

    def lost(self) -> None:
        """It never is."""

    def close(self) -> None:
        """Nothing is open."""


@dataclass(kw_only=True)
class SharedGradients(AbstractContextManager["SharedGradients"]):
    """Gradients of meta-batches in `Compute.training_workers` shares, by the team that there is at each update.

    Each worker reads the episodes of its own shares alone. An update whose team is lost is computed again by the next.
    """

    spec: RunSpec
    updates: Updates
    learner: Learner
    team: Team = field(default_factory=Alone)
    _sum: ShareSum = field(init=False)
    _reading: ExitStack = field(init=False, default_factory=ExitStack)
    _items: ReadAhead[Any] | None = field(init=False, default=None)
    _seat: tuple[int, int, int] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._sum = ShareSum(self.learner)

    def __exit__(self, *_: object) -> None:
        self._reading.close()
        self.team.close()

    def __call__(self, iteration: int) -> Outer:
        """The gradient of an update."""
        self.team.ready(iteration)
        self._sum.begin()
        waited = 0.0
        while True:
            items = self._from(iteration)
            workers = self.team.size
            own, more = self._own(items, iteration)
            waited += more
            try:
                vectors = self.team.exchange(own, len(self._sizes), self._sum.size)
            except TeamLostError:
                self.team.lost()
                self._sum.undo()
                self._items = None
                continue
            self._seat = (self.team.rank, workers, iteration + 1)
            return Outer(loss=self._sum.take(vectors), waiting_seconds=waited, workers=workers)

    @property
    def _sizes(self) -> list[int]:
        return share_sizes(self.updates.per_update, self.spec.compute.training_workers)

    @property
    def _shares(self) -> range:
        """One's own."""
        return range(self.team.rank, len(self._sizes), self.team.size)

    def _own(self, items: ReadAhead[Any], iteration: int) -> tuple[list[Tensor], float]:
        """One's own vectors, and the seconds spent waiting for episodes."""
        vectors, waited = [], 0.0
        for share in self._shares:
            began = time.perf_counter()
            episodes = list(islice(items, self._sizes[share]))
            waited += time.perf_counter() - began
            seed_torch(self.spec.seed, f"train/{iteration}")
            weight = self._sizes[share] / self.updates.per_update
            vectors.append(self._sum.share(self.updates.loss, episodes, weight))
        return vectors, waited

    def _from(self, iteration: int) -> ReadAhead[Any]:
        """The episodes of one's own shares from an update on; those read ahead already where the seat is the same."""
        seat = (self.team.rank, self.team.size, iteration)
        if self._items is None or seat != self._seat:
            self._reading.close()
            self._items = self._reading.enter_context(ReadAhead(self.updates.items, self._indices(iteration)))
        return self._items

    def _indices(self, first: int) -> Iterator[int]:
        sizes, shares = self._sizes, self._shares
        for update in range(first, self.spec.train.iterations):
            for share in shares:
                begin = update * self.updates.per_update + sum(sizes[:share])
                yield from range(begin, begin + sizes[share])
