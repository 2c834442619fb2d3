"""Bodies that walk, in MuJoCo's batched simulation: what the sources of locomotion tasks share."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from harness.control.simulation_threads import simulation_threads
from harness.control.source import Array, ControlTask, Transition
from harness.dataset import SPLITS
from harness.parameters import check_above, check_choice, check_fields, check_name, check_whole
from harness_datasets.mujoco_loading import description, load_model, mujoco_module, quiet

CONTROL_COST = 0.05
PICTURES = 6


@dataclass(frozen=True, kw_only=True)
class BodyPlan:
    """A body of Gymnasium's `*-v5` environments.

    frame_skip: steps of the simulation for one action. unseen: the first positions, which are not observed. noise: of
    the start. normal_velocities: start velocities are drawn normally, otherwise uniformly. velocity_clip: of
    observed velocities.
    """

    file: str
    frame_skip: int
    unseen: int
    noise: float
    normal_velocities: bool
    observation_size: int
    action_size: int
    velocity_clip: float = np.inf


BODIES = {
    "half_cheetah": BodyPlan(
        file="half_cheetah.xml",
        frame_skip=5,
        unseen=1,
        noise=0.1,
        normal_velocities=True,
        observation_size=17,
        action_size=6,
    ),
    "ant": BodyPlan(
        file="ant.xml",
        frame_skip=5,
        unseen=2,
        noise=0.1,
        normal_velocities=True,
        observation_size=27,
        action_size=8,
    ),
    "walker2d": BodyPlan(
        file="walker2d_v5.xml",
        frame_skip=4,
        unseen=1,
        noise=5e-3,
        normal_velocities=False,
        observation_size=17,
        action_size=6,
        velocity_clip=10.0,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Locomotion:
    """Tasks of moving along x. A subclass says what a task is (`draw`) and what a velocity is worth in it (`worth`).

    The reward of a step is what its mean velocity is worth, less 0.05 ‖a‖², a the action as the body receives it:
    divided by `action_scale`, and clipped to [-1, 1]. No trajectory ends before the horizon, whatever becomes of the
    body.

    horizon: 100 is the reference implementation's, 200 the MAML paper's for locomotion. body: `half_cheetah`, `ant`
    (observed without contact forces) or `walker2d`, with observations, starts and dynamics of Gymnasium's
    environments, version 5. action_scale: 10 is the reference implementation's, so that a policy of deviation 1
    begins with a tenth of the motors' strength; with 1 a third of what it asks of them is beyond their limits.
    gravity, mass, friction: factors on the body's own, 1 for as it is.
    """

    name: str
    horizon: int = 100
    body: str = "half_cheetah"
    action_scale: float = 1.0
    gravity: float = 1.0
    mass: float = 1.0
    friction: float = 1.0

    splits: ClassVar[tuple[str, ...]] = SPLITS
    version: ClassVar[str] = "locomotion-1"

    def __post_init__(self) -> None:
        check_fields(self)
        plugin = type(self).__name__
        check_name(plugin, self.name)
        check_whole(f"{plugin}.horizon", self.horizon, low=1)
        check_choice(f"{plugin}.body", self.body, tuple(BODIES))
        for name in ("action_scale", "gravity", "mass", "friction"):
            check_above(f"{plugin}.{name}", getattr(self, name), 0)

    @property
    def plan(self) -> BodyPlan:
        """The body's."""
        return BODIES[self.body]

    @property
    def observation_size(self) -> int:
        """Positions, but for those along the ground, and velocities."""
        return self.plan.observation_size

    @property
    def action_size(self) -> int:
        """Motors."""
        return self.plan.action_size

    def fingerprint(self) -> str:
        """Versions of this code and of MuJoCo, and a digest of the body's description."""
        digest = hashlib.sha256(description(self.plan.file).read_bytes()).hexdigest()[:12]
        return f"{self.version}-mujoco-{mujoco_module().__version__}-{digest}"

    def draw(self, split: str, rng: np.random.Generator) -> Mapping[str, float]:
        """The parameters of a task."""
        raise NotImplementedError

    def worth(self, velocities: Array, tasks: Sequence[ControlTask]) -> Array:
        """What each trajectory's velocity is worth in its task, [M]."""
        raise NotImplementedError

    def picture(self, observations: Array) -> npt.NDArray[np.uint8] | None:
        """A strip of frames of one trajectory, [height, width, 3]; None where rendering is not available."""
        from harness_datasets.locomotion_frames import frames

        return frames(self, observations, PICTURES)

    def simulator(self, tasks: Sequence[ControlTask]) -> "LocomotionSimulator":
        """One body for each of `tasks`."""
        return LocomotionSimulator(self, tasks)


class LocomotionSimulator:
    """Bodies side by side. Their states go in and out of MuJoCo with every step, so none knows of another."""

    def __init__(self, source: Locomotion, tasks: Sequence[ControlTask]) -> None:
        self._source, self._tasks, self._plan = source, tasks, source.plan
        self._mujoco = mujoco_module()
        self._model: Any = load_model(self._plan.file, source.gravity, source.mass, source.friction)
        threads = simulation_threads()
        self._data = [self._mujoco.MjData(self._model) for _ in range(threads)]
        self._rollout = self._mujoco.rollout.Rollout(
            nthread=threads if threads > 1 else 0
        )  # 0: in this thread
        size = self._mujoco.mj_stateSize(self._model, self._mujoco.mjtState.mjSTATE_FULLPHYSICS)
        self._states = np.zeros((len(tasks), size))  # time, positions, velocities
        self._frames = float(self._model.opt.timestep) * self._plan.frame_skip

    def _positions(self, states: Array) -> Array:
        return states[:, 1 : 1 + self._model.nq]

    def _velocities(self, states: Array) -> Array:
        return states[:, 1 + self._model.nq : 1 + self._model.nq + self._model.nv]

    def reset(self, generators: Sequence[np.random.Generator]) -> Array:
        """The body's own position, and noise, drawn as Gymnasium does: positions, then velocities."""
        plan, nq, nv = self._plan, self._model.nq, self._model.nv
        self._states[:] = 0
        for m, rng in enumerate(generators):
            self._positions(self._states)[m] = self._model.qpos0 + rng.uniform(-plan.noise, plan.noise, nq)
            self._velocities(self._states)[m] = (
                plan.noise * rng.standard_normal(nv)
                if plan.normal_velocities
                else rng.uniform(-plan.noise, plan.noise, nv)
            )
        return self._observations()

    def step(self, actions: Array) -> Transition:
        """Hold the actions for as many steps of the simulation as the body's plan says."""
        applied = np.clip(actions / self._source.action_scale, -1.0, 1.0)
        before = self._states
        controls = np.repeat(applied[:, None], self._plan.frame_skip, axis=1)
        with quiet(self._mujoco):
            states, _ = self._rollout.rollout(self._model, self._data, before, controls)
        self._states = states[:, -1].copy()
        # MuJoCo stops at whatever is wrong with a state, or begins the body anew; its clock tells of both.
        passed = self._states[:, 0] - before[:, 0]
        self._states[~(np.abs(passed - self._frames) < self._frames / 100)] = np.nan
        moved = self._positions(self._states)[:, 0] - self._positions(before)[:, 0]
        rewards = self._source.worth(moved / self._frames, self._tasks)
        return Transition(
            observations=self._observations(),
            rewards=rewards - CONTROL_COST * np.square(applied).sum(1),
            ended=np.zeros(len(actions), bool),
        )

    def _observations(self) -> Array:
        limit = self._plan.velocity_clip
        return np.concatenate(
            [
                self._positions(self._states)[:, self._plan.unseen :],
                np.clip(self._velocities(self._states), -limit, limit),
            ],
            axis=1,
        )
