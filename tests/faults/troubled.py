"""A method that goes wrong in the middle of its training, once: the file it makes then ends its trouble."""

import os
import resource
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from harness.episode import Episode
from harness.learner import Learner
from harness_methods.anil import ANIL

CALLS = 60
"""Updates that go well."""

calls = 0


@dataclass(frozen=True, kw_only=True)
class Troubled(ANIL):
    """ANIL, but for its trouble. trouble: what goes wrong. until: the file that ends it."""

    name: str = "troubled"
    trouble: str = "raise"
    until: str = ""

    def outer_loss(self, learner: Learner, episodes: Sequence[Episode]) -> Tensor:
        """ANIL's."""
        global calls
        calls += 1
        loss = super().outer_loss(learner, episodes)
        if calls != CALLS or Path(self.until).exists():
            return loss
        Path(self.until).touch()
        if self.trouble == "raise":
            raise ValueError("the plugin is wrong")
        if self.trouble == "nan":
            return loss * float("nan")
        if self.trouble == "hang":
            time.sleep(3600)
        if self.trouble == "memory":
            return loss + float(len(_too_much()))
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory has run out
        return loss


def _too_much() -> bytearray:
    """Ask for more memory than the process may have."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**28, before[1]))
    try:
        return bytearray(2**30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
