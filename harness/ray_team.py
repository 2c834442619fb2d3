"""Other Ray workers for a training that several share: as many tasks as there are shares, but for the run's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from harness.errors import ConfigError
from harness.learner import Learner
from harness.ray_session import ray_here
from harness.ray_worker import Driver, heed_interrupts
from harness.spec import RunSpec
from harness.store import Workspace
from harness.training_team import Address, LeadingTeam, take_part

TRIES_AGAIN = 100
"""How often Ray begins the task of a lost worker anew: as often as machines go in a long training, but not for ever."""


@dataclass(frozen=True, kw_only=True)
class Recruiter:
    """A `training.Recruit`: the others are Ray tasks that get as much as a run does.

    workspace: as the driver has it.
    """

    ray: Any
    workspace: Workspace
    driver: Driver

    def __call__(self, spec: RunSpec, learner: Learner, optimiser: torch.optim.Optimizer) -> LeadingTeam:
        """The team, which calls the others at its first update."""
        host = self.ray.util.get_node_ip_address()
        return LeadingTeam(learner=learner, optimiser=optimiser, host=host, call=partial(self._called, spec))

    @contextmanager
    def _called(self, spec: RunSpec, address: Address) -> Iterator[None]:
        options = self.driver.resources.options(on_gpu=spec.compute.device == "cuda")
        task = self.ray.remote(max_retries=TRIES_AGAIN)(_member_in_worker).options(**options)
        others = range(1, spec.compute.training_workers)
        tasks = [task.remote(spec, self.workspace, address, self.driver) for _ in others]
        try:
            yield
        finally:
            for reference in tasks:
                self.ray.cancel(reference)


def _member_in_worker(spec: RunSpec, workspace: Workspace, address: Address, driver: Driver) -> None:
    """The task of another worker."""
    heed_interrupts()
    error = driver.unlike_here()
    if error is not None:
        raise ConfigError(error)
    place = driver.place(workspace)
    driver.have_pools(spec, place)
    take_part(spec, place, address, ray_here().util.get_node_ip_address())
