"""A training by several workers: how they find one another, and how they exchange the shares of an update.

The first one is the run's own. It waits for nobody: it computes all shares itself, admits who has arrived before the
next update, gives them the state as it is, and goes on alone where the others are lost, from the update in hand. It
alone validates and writes. Workers meet at a store that it keeps; shares travel over gloo, also those of GPUs, as gloo
tells of a lost worker where nccl ends the process.
"""

import io
import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from harness import plugins
from harness.learner import Learner
from harness.method import Trainable
from harness.outer_gradients import SharedGradients, TeamLostError
from harness.outer_steps import new_optimiser
from harness.spec import RunSpec
from harness.store import Workspace
from harness.training import take_step
from harness.updates import Updates
from harness.worker import fresh_learner, settle, training_updates

SILENCE = timedelta(minutes=10)
"""A worker that has sent nothing for so long is lost with its machine; of one whose process dies it is known at once.
Where the first one validates for longer, the others come anew after it."""

CONNECT = timedelta(seconds=30)
"""Those who have answered connect at once: one that does not by then has died since, and the others do without it."""

ANSWER_SECONDS = 10.0
"""How long the first one waits for those it calls, and for those whom a newcomer makes it call again."""

POLL_SECONDS = 0.02

STAY, GATHER = 0.0, 1.0
"""What the first one says with each update: go on, or come to the store again after it."""

Address = tuple[str, int]


@dataclass(kw_only=True)
class _Wire:
    """A team of one moment, connected."""

    group: Any
    rank: int
    size: int

    def broadcast(self, tensor: Tensor, source: int) -> None:
        """From one to all, in place. Raises TeamLostError."""
        try:
            self.group.broadcast(tensor, source).wait()
        except RuntimeError as problem:
            raise TeamLostError(str(problem)) from problem

    def exchange(
        self, own: Sequence[Tensor], n_shares: int, length: int, word: float
    ) -> tuple[list[Tensor], float]:
        """The vectors of all shares, and the first one's word."""
        mine = iter(own)
        vectors = []
        for share in range(n_shares):
            source = share % self.size
            vector = torch.empty(length + 1, dtype=own[0].dtype)
            if source == self.rank:
                vector[0], vector[1:] = word, next(mine)
            self.broadcast(vector, source)
            vectors.append(vector)
        return [vector[1:] for vector in vectors], float(vectors[0][0])


def _connected(store: Any, number: int, rank: int, size: int, host: str) -> _Wire:
    """Raises TeamLostError where one of the team does not come within CONNECT."""
    options = dist.ProcessGroupGloo._Options()  # type: ignore[attr-defined]
    options._devices = [dist.ProcessGroupGloo.create_device(hostname=host)]
    options._timeout = CONNECT
    try:
        prefixed = dist.PrefixStore(f"wire/{number}", store)  # type: ignore[attr-defined]
        group = dist.ProcessGroupGloo(prefixed, rank, size, options)
        group._set_default_timeout(SILENCE)
    except RuntimeError as problem:
        raise TeamLostError(str(problem)) from problem
    return _Wire(group=group, rank=rank, size=size)


@dataclass(kw_only=True)
class LeadingTeam:
    """The team as the run's own worker sees it. host: its address. call: has others `take_part` at an address."""

    learner: Learner
    optimiser: torch.optim.Optimizer
    host: str
    call: Callable[[Address], AbstractContextManager[object]]
    rank: int = 0
    size: int = 1
    _stack: ExitStack = field(default_factory=ExitStack)
    _store: Any = None
    _wire: _Wire | None = None
    _gathering: bool = False
    _seen: int = 0
    _number: int = 0

    def ready(self, iteration: int) -> None:
        """Call others at the first update; admit those who have arrived."""
        if self._store is None:
            self._store = dist.TCPStore(  # type: ignore[attr-defined]
                self.host, 0, is_master=True, wait_for_workers=False
            )
            self._stack.enter_context(self.call((self.host, self._store.port)))
        if self._gathering:
            self._await(lambda: self._store.add("arrivals", 0) >= self._seen + self.size)
            self._drop()
        arrived = int(self._store.add("arrivals", 0))
        if arrived > self._seen and self._wire is None:
            self._admit(range(self._seen + 1, arrived + 1), iteration)
            self._seen = arrived

    def exchange(self, own: Sequence[Tensor], n_shares: int, length: int) -> list[Tensor]:
        """See `Team`."""
        if self._wire is None:
            return list(own)
        self._gathering = int(self._store.add("arrivals", 0)) > self._seen
        vectors, _ = self._wire.exchange(own, n_shares, length, GATHER if self._gathering else STAY)
        return vectors

    def lost(self) -> None:
        """Go on alone; who is still there comes again."""
        self._drop()

    def close(self) -> None:
        """The training is over, or stops."""
        if self._store is not None:
            self._store.set("over", "yes")
        self._drop()
        self._stack.close()

    def _drop(self) -> None:
        self._wire, self._gathering, self.size = None, False, 1

    def _admit(self, arrivals: Sequence[int], iteration: int) -> None:
        """Form a team with those of the arrivals that answer, and give them the state."""
        self._number += 1
        number = self._number
        for arrival in arrivals:
            self._store.set(f"call/{arrival}", str(number))
        answers = {arrival: f"here/{number}/{arrival}" for arrival in arrivals}
        self._await(lambda: self._store.check(list(answers.values())))
        there = [arrival for arrival, key in answers.items() if self._store.check([key])]
        self._store.set(f"team/{number}", json.dumps(there))
        if not there:
            return
        try:
            wire = _connected(self._store, number, 0, 1 + len(there), self.host)
            _send_state(wire, self.learner, self.optimiser, iteration)
        except TeamLostError:
            return
        self._wire, self.size = wire, wire.size

    def _await(self, reached: Callable[[], bool]) -> None:
        end = time.monotonic() + ANSWER_SECONDS
        while not reached() and time.monotonic() < end:
            time.sleep(POLL_SECONDS)


@dataclass(kw_only=True)
class _Member:
    """The team as another worker sees it, until the first one has it come again."""

    wire: _Wire
    gathering: bool = False

    @property
    def rank(self) -> int:
        """From 1."""
        return self.wire.rank

    @property
    def size(self) -> int:
        """With the first one."""
        return self.wire.size

    def ready(self, iteration: int) -> None:
        """Nobody is admitted here."""

    def exchange(self, own: Sequence[Tensor], n_shares: int, length: int) -> list[Tensor]:
        """See `Team`."""
        vectors, word = self.wire.exchange(own, n_shares, length, STAY)
        self.gathering = word == GATHER
        return vectors

    def lost(self) -> None:
        """Whoever is lost, it must come again."""
        raise TeamLostError

    def close(self) -> None:
        """The first one does."""


def take_part(spec: RunSpec, workspace: Workspace, address: Address, host: str) -> None:
    """Compute shares of a training whose first worker keeps its store at `address`, until it is over. host: one's own.

    Raises what the method raises; the first one then goes on without this worker.
    """
    settle()
    trainer = plugins.build(plugins.METHODS, spec.trainer)
    learner = fresh_learner(spec, trainer, plugins.build(plugins.NETWORKS, spec.network))
    updates = training_updates(spec, workspace, trainer)
    assert updates is not None, "a method without updates is not shared"
    try:
        store = dist.TCPStore(  # type: ignore[attr-defined]
            *address, is_master=False, timeout=timedelta(seconds=ANSWER_SECONDS)
        )
        while (wire := _seat(store, host)) is not None:
            if _shared(spec, trainer, learner, updates, wire):
                return
    except dist.DistError:  # the store is gone, and with it the training's first worker
        return


def _shared(spec: RunSpec, trainer: Trainable, learner: Learner, updates: Updates, wire: _Wire) -> bool:
    """Make updates with a team for as long as it lasts; whether that was the training's last one."""
    optimiser = new_optimiser(trainer, spec.train, learner)
    member = _Member(wire=wire)
    try:
        first = _receive_state(wire, learner, optimiser)
        gradients = SharedGradients(spec=spec, updates=updates, learner=learner, team=member)
        with gradients as gradient:
            for iteration in range(first, spec.train.iterations):
                take_step(trainer, spec.train, learner, optimiser, iteration, gradient)
                if member.gathering:
                    return False
    except TeamLostError:
        return False
    return True


def _seat(store: Any, host: str) -> _Wire | None:
    """Arrive, and wait to be called; None where the training is over. Raises dist.DistError where the store is gone."""
    while True:
        me = store.add("arrivals", 1)
        if not _until(store, f"call/{me}"):
            return None
        number = int(store.get(f"call/{me}"))
        store.set(f"here/{number}/{me}", "yes")
        if not _until(store, f"team/{number}"):
            return None
        team = json.loads(store.get(f"team/{number}"))
        if me in team:
            try:
                return _connected(store, number, 1 + team.index(me), 1 + len(team), host)
            except TeamLostError:
                continue


def _until(store: Any, key: str) -> bool:
    """Wait for a key; False where the training is over before it comes."""
    while not store.check([key]):
        if store.check(["over"]):
            return False
        time.sleep(POLL_SECONDS)
    return True


def _send_state(wire: _Wire, learner: Learner, optimiser: torch.optim.Optimizer, iteration: int) -> None:
    buffer = io.BytesIO()
    state = {"learner": learner.state_dict(), "optimiser": optimiser.state_dict(), "iteration": iteration}
    torch.save(state, buffer)
    content = torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)
    wire.broadcast(torch.tensor([len(content)]), 0)
    wire.broadcast(content, 0)


def _receive_state(wire: _Wire, learner: Learner, optimiser: torch.optim.Optimizer) -> int:
    length = torch.zeros(1, dtype=torch.int64)
    wire.broadcast(length, 0)
    content = torch.empty(int(length), dtype=torch.uint8)
    wire.broadcast(content, 0)
    state = torch.load(io.BytesIO(content.numpy().tobytes()), map_location="cpu", weights_only=True)
    learner.load_state_dict(state["learner"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["iteration"])
