"""Where policies walked on the first test tasks, kept beside a run's rows so that a report can draw it."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.control.meta_batch import Course
from harness.control.source import ControlTask
from harness.errors import WorkspaceError
from harness.files import write_aside

TASKS, TRAJECTORIES = 4, 5
FILE = "paths.npz"


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Of K tasks: goals [K, 2]; places before and after adaptation, [K, n, H, 2], NaN after a trajectory's end."""

    goals: npt.NDArray[np.float64]
    before: npt.NDArray[np.float64]
    after: npt.NDArray[np.float64]


def has_paths(task: ControlTask) -> bool:
    """Whether a task is of going somewhere in the plane, its observation the place."""
    return {"goal_x", "goal_y"} <= set(task.parameters)


def paths_of(course: Course, tasks: list[ControlTask]) -> Paths:
    """The first trajectories of each task, before and after."""
    walked = []
    for each in (course.trajectories[0], course.trajectories[-1]):
        places = each.observations[:, :TRAJECTORIES].double()
        gone = each.mask[:, :TRAJECTORIES, :, None] == 0
        walked.append(places.masked_fill(gone, float("nan")).cpu().numpy())
    goals = np.array([[task.parameters["goal_x"], task.parameters["goal_y"]] for task in tasks])
    return Paths(goals=goals, before=walked[0], after=walked[1])


def save_paths(paths: Paths, folder: Path) -> None:
    """Write them into a run's folder."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, goals=paths.goals, before=paths.before, after=paths.after)
    write_aside(folder / FILE, lambda aside: aside.write_bytes(buffer.getbuffer()))


def load_paths(folder: Path) -> Paths | None:
    """Those of a run's folder; None where it has none. Raises WorkspaceError for a file that is damaged."""
    if not (folder / FILE).is_file():
        return None
    try:
        with (folder / FILE).open("rb") as file, np.load(file) as kept:
            paths = Paths(goals=kept["goals"], before=kept["before"], after=kept["after"])
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise WorkspaceError(f"{FILE} cannot be read ({type(error).__name__})") from error
    if not _is_whole(paths):
        raise WorkspaceError(f"{FILE} holds no paths in the plane")
    return paths


def _is_whole(paths: Paths) -> bool:
    goals, walks = paths.goals, (paths.before, paths.after)
    if not all(values.dtype.kind == "f" for values in (goals, *walks)):
        return False
    plane = goals.ndim == 2 and goals.shape[1] == 2 and len(goals) > 0
    return plane and all(w.ndim == 4 and w.shape[0] == len(goals) and w.shape[3] == 2 for w in walks)
