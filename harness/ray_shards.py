"""A run's evaluation by several Ray workers: the run's own does a part, and whatever the others have not begun.

So it never waits for room in the cluster, only for parts that are being done: a cluster of one core, or with no GPU to
spare, does them all in the run's own worker. What a lost worker had begun is done there too.
"""

import contextlib
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from harness import plugins
from harness.errors import ConfigError
from harness.ray_session import keeping_its_core, ray_here
from harness.ray_worker import Driver, heed_interrupts
from harness.run_evaluation import Part, Rows, RunEvaluation, Tell
from harness.spec import RunSpec
from harness.store import Workspace

COUNT_SECONDS = 0.5
"""Between two notes on the board of how far a part is, and between two looks at whether one has landed."""


@dataclass(frozen=True, kw_only=True)
class Shards:
    """A `run_evaluation.Share` in parts of their own Ray tasks.

    workspace: as the driver has it. board: where workers agree on who does which.
    """

    ray: Any
    workspace: Workspace
    board: Any
    driver: Driver

    def __call__(self, evaluation: RunEvaluation, tell: Tell) -> Rows:
        """The rows of all episodes, in order."""
        work = _Work(evaluation=evaluation, ray=self.ray, board=self.board, tell=tell)
        on_gpu = evaluation.spec.compute.device == "cuda"
        work.parts += evaluation.parts(self.driver.resources.evaluation_shards)
        task = self.ray.remote(max_retries=0)(_part_in_worker).options(
            **self.driver.resources.options(on_gpu=on_gpu)
        )
        state = self.ray.put({name: value.cpu() for name, value in evaluation.learner.state_dict().items()})
        for number, part in enumerate(work.parts[1:], start=1):
            order = _Order(
                run=evaluation.spec, workspace=self.workspace, work=work.name, number=number, part=part
            )
            work.flying[task.remote(order, state, self.board, self.driver)] = number
        try:
            return work.done()
        finally:
            for reference in work.flying:
                self.ray.cancel(reference)


@dataclass(frozen=True, kw_only=True)
class _Order:
    """A part for another worker."""

    run: RunSpec
    workspace: Workspace
    work: str
    number: int
    part: Part


@dataclass(kw_only=True)
class _Work:
    """One evaluation, in parts. name: no other's, nor that of an earlier try. flying: task -> number of its part."""

    evaluation: RunEvaluation
    ray: Any
    board: Any
    tell: Tell
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    parts: list[Part] = field(default_factory=list)
    flying: dict[Any, int] = field(default_factory=dict)
    found: dict[int, Rows] = field(default_factory=dict)
    _here: dict[int, int] = field(default_factory=dict)
    _elsewhere: dict[int, int] = field(default_factory=dict)
    _asked: Any = None
    _said: float = 0.0

    def done(self) -> Rows:
        """Do what the others do not, and wait for the rest."""
        self._do(0)
        # From the end: Ray begins with what it was given first.
        for number in range(len(self.parts) - 1, 0, -1):
            self._collect(0)
            if number not in self.found and take(self.ray, self.board, self.name, number):
                self._do(number)
        while missing := [number for number in range(len(self.parts)) if number not in self.found]:
            lost = [number for number in missing if number not in self.flying.values()]
            if lost:
                self._do(lost[0])
            else:
                self._collect(COUNT_SECONDS)
                self._say()
        self.tell(self.evaluation.n_episodes)
        return [row for number in range(len(self.parts)) for row in self.found[number]]

    def _do(self, number: int) -> None:
        def tell(done: int) -> None:
            self._here[number] = done
            self._say()

        self.found[number] = self.evaluation.rows(self.parts[number], tell)

    def _collect(self, seconds: float) -> None:
        """Keep what has landed, and forget whose worker was lost."""
        for reference in self._landed(list(self.flying), seconds):
            number = self.flying.pop(reference)
            try:
                rows = self.ray.get(reference)
            except self.ray.exceptions.RayTaskError as problem:  # it raised, as it would have here
                raise problem.cause from problem
            except self.ray.exceptions.RayError:
                continue
            if rows is not None:
                self.found[number] = rows

    def _landed(self, references: list[Any], seconds: float) -> list[Any]:
        if not references:
            return []
        landed: list[Any]
        landed, _ = keeping_its_core(
            self.ray.wait, references, num_returns=len(references), timeout=seconds, fetch_local=True
        )
        return landed

    def _say(self) -> None:
        """Tell how many episodes are done, as far as is known, now and then."""
        if time.monotonic() - self._said < COUNT_SECONDS:
            return
        self._said = time.monotonic()
        self._ask()
        landed = sum(len(rows) for rows in self.found.values())
        known = {**self._elsewhere, **self._here}
        self.tell(landed + sum(done for number, done in known.items() if number not in self.found))

    def _ask(self) -> None:
        """Have the others' counts brought, without waiting for them."""
        if self._asked is None:
            self._asked = self.board.counts.remote(self.name)
        if self._landed([self._asked], 0):
            with contextlib.suppress(self.ray.exceptions.RayActorError):  # it has just died, and begins anew
                self._elsewhere |= self.ray.get(self._asked)
            self._asked = None


def take(ray: Any, board: Any, work: str, number: int) -> bool:
    """Whether the part is the caller's to do. Where the board has just died, it may be another's too."""
    try:
        return bool(keeping_its_core(ray.get, board.take.remote(work, number)))
    except ray.exceptions.RayActorError:
        return True


def _part_in_worker(order: _Order, state: Mapping[str, Tensor], board: Any, driver: Driver) -> Rows | None:
    """The task of a part: its rows, None where another does it."""
    from harness.worker import fresh_learner, settle

    heed_interrupts()
    if not take(ray_here(), board, order.work, order.number):
        return None
    error = driver.unlike_here()
    if error is not None:
        raise ConfigError(error)
    settle()
    run, place = order.run, driver.place(order.workspace)
    driver.have_pools(run, place)
    network = plugins.build(plugins.NETWORKS, run.network)
    learner = fresh_learner(run, plugins.build(plugins.METHODS, run.trainer), network)
    learner.load_state_dict(state)
    evaluation = RunEvaluation(
        spec=run,
        workspace=place,
        method=plugins.build(plugins.METHODS, run.method),
        network=network.name,
        learner=learner,
    )
    told = time.monotonic()

    def tell(done: int) -> None:
        nonlocal told
        if time.monotonic() - told > COUNT_SECONDS:
            told = time.monotonic()
            board.count.remote(order.work, order.number, done)

    return evaluation.rows(order.part, tell)
