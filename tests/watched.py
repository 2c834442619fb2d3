"""Methods that note which workers predict, and go wrong in those that help; installed as plugins by `install`."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import Tensor

from harness import plugins
from harness.episode import Episode, Task
from harness.learner import Learner
from harness_methods.anil import ANIL
from harness_methods.maml import MAML

PATIENCE = 120.0


def install(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """Register the methods below, for this process and those that Ray starts."""
    folder = place / "watched-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: watched\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[harness.methods]\nwatched = watched:Watched\nwatched_single = watched:WatchedSingle\n"
        "watched_training = watched:WatchedTraining\n"
    )
    here = str(Path(__file__).parent)
    known = [str(place), here, os.environ.get("PYTHONPATH")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, known)))
    monkeypatch.syspath_prepend(str(place))
    plugins._entries.cache_clear()


def helpers(notes: Path) -> list[int]:
    """The processes that helped."""
    return [int(path.name.partition("-")[2]) for path in notes.glob("helper-*")]


def ends(process: int, seconds: float = 60.0) -> bool:
    """Whether a process is gone, or dead and not yet buried, within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def wait_for_helper(folder: Path, seconds: float) -> None:
    """Until there is one."""
    end = time.monotonic() + seconds
    while not helpers(folder) and time.monotonic() < end:
        time.sleep(0.05)


def note(notes: str, trouble: str) -> None:
    """Say who predicts: a run's own worker then waits for one that helps; one that helps has its trouble once."""
    if not notes:
        return
    folder = Path(notes)
    if not is_helper():
        if trouble == "slow":
            time.sleep(0.4)
        elif trouble != "none":
            wait_for_helper(folder, PATIENCE)
        return
    (folder / f"helper-{os.getpid()}").touch()
    if trouble in ("none", "slow", "help") or (folder / "over").exists():
        return
    if trouble != "raise":
        (folder / "over").touch()
    if trouble == "raise":
        raise ValueError("made to fail in a helper")
    if trouble == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    for _ in range(int(5 * PATIENCE / 0.05)):
        time.sleep(0.05)


def is_helper() -> bool:
    """Whether this process helps with a run that another has."""
    import ray

    name = ray.get_runtime_context().get_task_name() if ray.is_initialized() else None
    return name in ("_part_in_worker", "_member_in_worker")


@dataclass(frozen=True, kw_only=True)
class Watched(MAML):
    """MAML, predicting several episodes at once. notes: a folder, empty for none."""

    name: str = "watched"
    notes: str = ""
    trouble: str = "help"

    def predict_batch(self, learner: Learner, tasks: Sequence[Task]) -> Tensor:
        note(self.notes, self.trouble)
        return super().predict_batch(learner, tasks)


@dataclass(frozen=True, kw_only=True)
class WatchedTraining(MAML):
    """MAML, whose first worker trains slowly until another is there, which dies in its third update if it is to."""

    name: str = "watched_training"
    notes: str = ""
    trouble: str = "help"

    def outer_loss(self, learner: Learner, episodes: Sequence[Episode]) -> Tensor:
        if self.notes and not is_helper():
            wait_for_helper(Path(self.notes), 2.0)
        elif self.notes:
            calls.append(len(episodes))
            if len(calls) == 3 or self.trouble == "help":
                note(self.notes, self.trouble)
        return super().outer_loss(learner, episodes)


calls: list[int] = []


@dataclass(frozen=True, kw_only=True)
class WatchedSingle(ANIL):
    """ANIL, predicting one episode after another."""

    name: str = "watched_single"
    notes: str = ""
    trouble: str = "help"

    def predict(self, learner: Learner, task: Task) -> Tensor:
        note(self.notes, self.trouble)
        return super().predict(learner, task)
