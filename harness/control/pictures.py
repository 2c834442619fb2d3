"""What a run keeps of its first test tasks for pictures: paths in the plane, or frames of a body that moves."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from harness import plugins
from harness.control.meta_batch import Course
from harness.control.paths import TASKS, has_paths, paths_of, save_paths
from harness.control.policy import Policy
from harness.control.run_spec import ControlRunSpec, source_of
from harness.control.source import ControlSource, task_of
from harness.control.task_evaluation import test_course
from harness.errors import WorkspaceError
from harness.files import write_aside
from harness.store import RunFolder

FRAMES = "frames.png"
"""Of the first test task: a strip before adaptation, and below it one after."""


def keep_pictures(spec: ControlRunSpec, policy: Policy, folder: RunFolder) -> None:
    """Write paths.npz or frames.png of the first evaluation, by what its source can show."""
    evaluation = spec.evaluations[0]
    source, numbers = source_of(evaluation.source), range(min(TASKS, evaluation.n_tasks))
    tasks = [task_of(source, evaluation.split, seed=spec.seed, k=k) for k in numbers]
    walks = all(map(has_paths, tasks))
    if not walks and not hasattr(source, "picture"):
        return
    course = test_course(
        policy,
        plugins.build(plugins.POLICY_METHODS, spec.method),
        source,
        split=evaluation.split,
        numbers=numbers if walks else range(1),
        sampling=evaluation.sampling,
        seed=spec.seed,
    )
    if walks:
        save_paths(paths_of(course, tasks), folder.path)
    else:
        _save_frames(source, course, folder)


def _save_frames(source: ControlSource, course: Course, folder: RunFolder) -> None:
    strips = []
    for each in (course.trajectories[0], course.trajectories[-1]):
        kept = (each.mask[0].sum(1) > 0).nonzero()
        if not len(kept):
            return
        n = int(kept[0])
        seen = each.observations[0, n][each.mask[0, n] > 0].double().cpu().numpy()
        strips.append(source.picture(seen))  # type: ignore[attr-defined]
    if any(strip is None for strip in strips):
        return
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(strips)).save(buffer, format="PNG")
    write_aside(folder.path / FRAMES, lambda aside: aside.write_bytes(buffer.getbuffer()))


def frames_of(folder: Path) -> Path | None:
    """The strips of a run's folder; None where it has none. Raises WorkspaceError for a picture that is damaged."""
    path = folder / FRAMES
    if not path.is_file():
        return None
    try:
        with Image.open(path) as picture:
            picture.load()
    except Exception as error:  # Pillow raises many kinds for a damaged file
        raise WorkspaceError(f"{FRAMES} cannot be read ({type(error).__name__})") from error
    return path
