"""What a run says of itself while it is in flight."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A moment of one run.

    `done` of `total` are iterations while training, episodes while evaluating, and while probing episodes too, each
    once for every probe. per_second: 0 while there is no rate to go by.
    """

    run_id: str
    state: str
    done: int
    total: int
    per_second: float
    loss: float | None = None
    valid_accuracy: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Time left in this state at the present rate; None before there is a rate."""
        return (self.total - self.done) / self.per_second if self.per_second > 0 else None


Report = Callable[[Progress], None]
"""Called by a worker now and then, from the thread that computes; it must be quick and must not raise."""
