"""The link between a launch and its trackers: each follows the runs in a thread of its own.

What launch says of a run only wakes the threads, so that no tracker can hold up a training, or break one: what a
tracker raises ends that tracker, with one sentence.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.attempt import Outcome
from harness.display import Display
from harness.progress import Progress
from harness.spec import Launchable
from harness.store import RunFolder, Workspace
from harness.tracking.run_files import state_before, tracked_run
from harness.tracking.settings import settings
from harness.tracking.tracker import Log, TrackedRun, Tracker

PAUSE_SECONDS = 5.0
"""Between two looks at the files of the runs: serial trainings share the processor with the trackers."""

CLOSE_SECONDS = 60.0
"""How long all trackers together may take to finish when the launch has ended."""

Look = Callable[[str], TrackedRun]
"""A run's id -> the run as it is now."""


class Watcher:
    """Takes what `launch` says of its runs, shows it, and wakes the trackers."""

    def __init__(self, display: Display, followers: Sequence["_Follower"]) -> None:
        self._display, self._followers = display, followers

    def progress(self, progress: Progress) -> None:
        """A run says how far it is."""
        self._display.progress(progress)
        self._tell(progress.run_id)

    def outcome(self, outcome: Outcome) -> None:
        """A run has ended."""
        self._display.outcome(outcome)
        self._tell(outcome.run_id)

    def _tell(self, run_id: str) -> None:
        for follower in self._followers:
            follower.tell([run_id])


@contextmanager
def following(
    runs: Sequence[Launchable],
    workspace: Workspace,
    display: Display,
    *,
    experiment: str,
    trackers: Sequence[Tracker],
) -> Iterator[Watcher]:
    """Log the runs with all `trackers` for as long as the block lasts, and what is left when it ends.

    experiment: its name. Results lie in the folder above that of the runs. Runs that were done before are logged
    where they are not yet.
    """
    if not trackers:
        yield Watcher(display, ())
        return
    place = workspace.runs.resolve()  # absolute: with Ray, the process works in another folder
    run_ids, look = [run.run_id for run in runs], _look(place, runs)
    followers = [_Follower(tracker, place.parent, experiment, look, display.say) for tracker in trackers]
    for follower in followers:
        follower.tell(run_ids)
        follower.start()
    try:
        yield Watcher(display, followers)
    finally:
        for follower in followers:
            follower.tell(run_ids)
        deadline = time.monotonic() + CLOSE_SECONDS
        for follower in followers:
            follower.finish(deadline)


def _look(place: Path, runs: Sequence[Launchable]) -> Look:
    folders = {run.run_id: RunFolder(place / run.run_id) for run in runs}
    flat = {run.run_id: settings(run.to_json()) for run in runs}
    before = {run_id: state_before(folder) for run_id, folder in folders.items()}
    done: dict[str, TrackedRun] = {}  # these do not change any more, and reading their episodes takes a while

    def look(run_id: str) -> TrackedRun:
        run = done.get(run_id) or tracked_run(folders[run_id], flat[run_id], before[run_id])
        if run.is_done:
            done[run_id] = run
        return run

    return look


class _Follower:
    """One tracker's thread. It is a daemon: where a tracker hangs, the command can still end."""

    def __init__(
        self, tracker: Tracker, out: Path, experiment: str, look: Look, say: Callable[[str], None]
    ) -> None:
        self._tracker, self._out, self._experiment = tracker, out, experiment
        self._look, self._say = look, say
        self._news: dict[str, None] = {}
        self._lock, self._woken, self._closing = threading.Lock(), threading.Event(), threading.Event()
        self._failed = False
        self._thread = threading.Thread(target=self._follow, name=f"tracker {tracker.name}", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def tell(self, run_ids: Iterable[str]) -> None:
        """There may be something new of these runs. Returns at once."""
        with self._lock:
            self._news |= dict.fromkeys(run_ids)
        self._woken.set()

    def finish(self, deadline: float) -> None:
        """Log what is left, then end; leave the thread behind when it has not ended at `deadline` (time.monotonic)."""
        self._closing.set()
        self._woken.set()
        self._thread.join(max(deadline - time.monotonic(), 0))
        if self._thread.is_alive():
            self._say(f"{self._tracker.name} is still busy and was left behind. {_AGAIN}")
        elif not self._failed:
            self._say(f"{self._tracker.name}: {self._tracker.how_to_look(self._out)}")

    def _follow(self) -> None:
        try:
            log = self._tracker.open(self._out, self._experiment)
            try:
                self._update(log)
            finally:
                log.close()
        except Exception as error:  # of any library, and the trainings must not notice
            self._failed = True
            reason = (str(error).strip() or "without a word").splitlines()[0]
            self._say(
                f"{self._tracker.name} has stopped ({type(error).__name__}: {reason}); the runs go on. {_AGAIN}"
            )

    def _update(self, log: Log) -> None:
        while True:
            closing = self._closing.is_set()  # before the news are taken: what comes later needs another turn
            with self._lock:
                news, self._news = self._news, {}
            for run in map(self._look, news):
                if run.state is not None:
                    log.update(run)
            if closing:
                return
            self._woken.wait()
            self._woken.clear()
            self._closing.wait(PAUSE_SECONDS)


_AGAIN = "The same command logs what is missing."
