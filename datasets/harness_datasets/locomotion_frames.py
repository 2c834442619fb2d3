"""A strip of frames of a body that moves, where MuJoCo can render without a screen.

In a process of its own (`python -m harness_datasets.locomotion_frames`): how to render must be said before MuJoCo is
imported, and a graphics driver that crashes takes its process along.
"""

import io
import os
import subprocess
import sys

import numpy as np
import numpy.typing as npt

from harness_datasets.locomotion import BODIES, Locomotion
from harness_datasets.mujoco_loading import load_model, mujoco_module, quiet

HEIGHT, WIDTH = 120, 160
SECONDS = 60

Frames = npt.NDArray[np.uint8]


def frames(source: Locomotion, observations: npt.NDArray[np.float64], count: int) -> Frames | None:
    """`count` pictures, evenly spaced, of a trajectory's observations [H, O], side by side: [HEIGHT, count * WIDTH, 3].

    The camera follows the body, whose place along the ground is not observed. None where rendering is not available:
    MuJoCo takes the way of $MUJOCO_GL, on Linux EGL where that is not set.
    """
    sent = io.BytesIO()
    physics = np.array([source.gravity, source.mass, source.friction])
    np.savez(
        sent, body=np.array(source.body), physics=physics, observations=observations, count=np.array(count)
    )
    environment = dict(os.environ)
    if sys.platform == "linux":
        environment.setdefault("MUJOCO_GL", "egl")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "harness_datasets.locomotion_frames"],
            input=sent.getvalue(),
            capture_output=True,
            env=environment,
            timeout=SECONDS,
            check=True,
        )
        drawn: Frames = np.load(io.BytesIO(done.stdout))
    except (subprocess.SubprocessError, OSError, ValueError, EOFError):
        return None
    return drawn


def draw(
    body: str, physics: npt.NDArray[np.float64], observations: npt.NDArray[np.float64], count: int
) -> Frames:
    """The strip, in this process; whatever MuJoCo raises where it cannot render."""
    mujoco, plan = mujoco_module(), BODIES[body]
    model = load_model(plan.file, *physics.tolist())
    data = mujoco.MjData(model)
    renderer = mujoco.Renderer(model, HEIGHT, WIDTH)
    drawn = []
    with quiet(mujoco):
        for place in np.linspace(0, len(observations) - 1, count).round().astype(int):
            data.qpos[:] = model.qpos0
            data.qpos[plan.unseen :] = observations[place, : model.nq - plan.unseen]
            mujoco.mj_forward(model, data)
            renderer.update_scene(data, camera="track")
            drawn.append(renderer.render())
    renderer.close()
    return np.concatenate(drawn, axis=1)


def main() -> None:
    """From an npz on standard input to an npy on standard output."""
    with np.load(io.BytesIO(sys.stdin.buffer.read())) as sent:
        strip = draw(str(sent["body"]), sent["physics"], sent["observations"], int(sent["count"]))
    back = io.BytesIO()
    np.save(back, strip)
    sys.stdout.buffer.write(back.getvalue())


if __name__ == "__main__":
    main()
