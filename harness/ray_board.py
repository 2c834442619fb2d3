"""Where the workers of a launch say how far they are, and who has taken up what."""

from harness.progress import Progress


class Board:
    """Workers pin on it what they have to say, and the driver reads it. Lives as a Ray actor.

    Should it die, it begins anew and empty: what it forgets is said again, or done twice, and no number depends on it.
    """

    def __init__(self) -> None:
        self._latest: dict[str, Progress] = {}
        self._begun: list[str] = []
        self._taken: set[tuple[str, int]] = set()
        self._counts: dict[str, dict[int, int]] = {}

    def begin(self, run_id: str) -> None:
        """A worker has taken up that run."""
        self._begun.append(run_id)

    def post(self, progress: Progress) -> None:
        """Replace what is known of that run."""
        self._latest[progress.run_id] = progress

    def drain(self) -> tuple[list[str], list[Progress]]:
        """What is new since the last call: runs that began, and how far runs are."""
        begun, self._begun = self._begun, []
        latest, self._latest = list(self._latest.values()), {}
        return begun, latest

    def take(self, work: str, part: int) -> bool:
        """Whether that part of some work is the caller's to do: it is the first who asks for it."""
        first = (work, part) not in self._taken
        self._taken.add((work, part))
        return first

    def count(self, work: str, part: int, done: int) -> None:
        """So many episodes of that part are done."""
        self._counts.setdefault(work, {})[part] = done

    def counts(self, work: str) -> dict[int, int]:
        """Part -> episodes of it that are done, as far as its worker has said."""
        return self._counts.get(work, {})
