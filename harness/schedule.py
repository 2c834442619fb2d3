"""Which runs may start, and in which order."""

from collections.abc import Iterable

from harness.cost import Works
from harness.spec import Launchable, RunSpec


class Schedule:
    """Which runs may start: of those that share a training, one at first, the others when it is trained.

    The longest come first, so that no long run is left to the end.
    """

    def __init__(self, runs: Iterable[Launchable]) -> None:
        self._groups: dict[str, list[Launchable]] = {}
        for run in runs:
            self._groups.setdefault(run.training_id, []).append(run)

    def first(self) -> list[Launchable]:
        """The runs to start with; the rest wait for `after`."""
        leaders = [group.pop(0) for group in self._groups.values()]
        works = Works()

        def work(run: Launchable) -> float:
            """Beside others of its kind; of another kind than on images, a run says it itself."""
            return works.of(run).whole if isinstance(run, RunSpec) else float(getattr(run, "work", 0))

        return sorted(leaders, key=work, reverse=True)

    def after(self, run: Launchable, *, trained: bool) -> list[Launchable]:
        """The runs that may start now that `run` has ended; if it failed, the next one tries."""
        group = self._groups[run.training_id]
        ready = group[:] if trained else group[:1]
        del group[: len(ready)]
        return ready

    def drop(self, run: Launchable) -> list[Launchable]:
        """The runs that wait for the training of `run`; they are not to start any more."""
        group = self._groups[run.training_id]
        dropped = group[:]
        group.clear()
        return dropped
