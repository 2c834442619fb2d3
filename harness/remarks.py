"""What a person should know of finished runs beside their accuracies: who computed them, and losses that blew up."""

import math
from collections.abc import Iterator, Mapping

from harness.spec import RunSpec
from harness.store import RunFolder
from harness.wording import counted

FAR_ABOVE_GUESSING = 10.0
"""Times the cross-entropy of guessing among all rows of the head; no training that learns ends there."""


def remarks(run: RunSpec, folder: RunFolder) -> Iterator[str]:
    """A sentence for each, of a run that is done."""
    shared = folder.status().get("updates_by_workers")
    if run.compute.training_workers > 1 and isinstance(shared, Mapping):
        by = ", ".join(
            f"{counted(int(updates), 'update')} by {counted(int(workers), 'worker')}"
            for workers, updates in sorted(shared.items(), key=lambda item: int(item[0]))
        )
        yield f"{run.run_id}: of its shared training, {by}."
    curve = folder.curve()
    loss = curve[-1].get("loss") if curve else None
    guessing = math.log(run.max_way)
    if isinstance(loss, int | float) and loss > FAR_ABOVE_GUESSING * guessing:
        yield (
            f"{run.run_id}: its training ended at a loss of {loss:.3g}, where guessing has at most {guessing:.2g}: it "
            "has not learned, and its numbers say nothing. Lower the method's inner_lr or Regime.learning_rate."
        )
