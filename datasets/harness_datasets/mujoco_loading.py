"""MuJoCo's bodies, as Gymnasium describes them, with other physics where asked for. Imported only when they move."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.errors import MissingDataError
from harness.extras import install_command

INSTALL = f"`{install_command('rl')}` in the folder of harness"


def mujoco_module() -> Any:
    """MuJoCo with its batched simulation. Raises MissingDataError, with the command that installs it."""
    try:
        import mujoco
        import mujoco.rollout

        _ = (
            mujoco.mjtState,
            mujoco.MjModel,
            mujoco.__version__,
        )  # a folder that is left over has none of these
    except Exception as error:  # half installed, or without a driver for $MUJOCO_GL, it raises all kinds
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        renderer = os.environ.get("MUJOCO_GL")
        without = f", or unset MUJOCO_GL, which is {renderer!r}: bodies move without it" if renderer else ""
        raise MissingDataError(
            f"MuJoCo, which simulates the bodies, cannot be imported ({reason}). Install it (again, with "
            f"--force-reinstall, where it is there): {INSTALL}{without}."
        ) from error
    return mujoco


def description(file: str) -> Path:
    """The path of a body's description in Gymnasium. Raises MissingDataError, with the command that installs it."""
    found = find_spec("gymnasium")
    if found is None or found.origin is None:
        raise MissingDataError(
            f"Gymnasium, which describes the bodies, is not installed. Install it: {INSTALL}."
        )
    path = Path(found.origin).parent / "envs" / "mujoco" / "assets" / file
    if not path.exists():
        raise MissingDataError(f"The installed Gymnasium has no {path}. Install one that has it: {INSTALL}.")
    return path


@contextmanager
def quiet(mujoco: Any) -> Iterator[None]:
    """Without MuJoCo's warnings, which go to the terminal and to a file in the working directory.

    That a simulation is unstable the caller finds in its states.
    """
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda _: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


@cache
def load_model(file: str, gravity: float, mass: float, friction: float) -> Any:
    """A body's model: gravity, masses (with inertias) and sliding friction multiplied by these factors.

    Kept, and shared by all who ask: not to be changed.
    """
    mujoco = mujoco_module()
    with quiet(mujoco):
        model = mujoco.MjModel.from_xml_path(str(description(file)))
    model.opt.gravity[:] *= gravity
    model.geom_friction[:, 0] *= friction
    if mass != 1:
        model.body_mass[:] *= mass
        model.body_inertia[:] *= mass
        mujoco.mj_setConst(
            model, mujoco.MjData(model)
        )  # what follows from the masses, and is kept in the model
    return model
