"""HalfCheetah and other bodies: Gymnasium's dynamics, the papers' rewards, and physics that can be changed."""

import builtins
import importlib.util
import sys
import types
from typing import Any

import numpy as np
import pytest

from harness.control.simulation_threads import simulating_with
from harness.control.source import Array, ControlTask, task_of
from harness.errors import ConfigError, DataError, MissingDataError
from harness_datasets import mujoco_loading
from harness_datasets.halfcheetah_direction import HalfCheetahDirection
from harness_datasets.halfcheetah_velocity import HalfCheetahVelocity
from harness_datasets.locomotion import BODIES, Locomotion

installed = all(importlib.util.find_spec(package) for package in ("mujoco", "gymnasium", "imageio"))
needs_mujoco = pytest.mark.skipif(not installed, reason="needs pip install -c constraints.txt -e '.[rl]'")

ENVIRONMENTS = {"half_cheetah": "HalfCheetah-v5", "ant": "Ant-v5", "walker2d": "Walker2d-v5"}


def task(source: Locomotion, **parameters: float) -> ControlTask:
    return ControlTask(source=source.name, split="train", index=0, parameters=parameters)


def environment(body: str) -> Any:
    """Gymnasium's own, without its checks, its limit of time and its ends."""
    import gymnasium

    settings: dict[str, Any] = {} if body == "half_cheetah" else {"terminate_when_unhealthy": False}
    if body == "ant":
        settings["include_cfrc_ext_in_observation"] = False
    with mujoco_loading.quiet(mujoco_loading.mujoco_module()):
        return gymnasium.make(ENVIRONMENTS[body], disable_env_checker=True, **settings).unwrapped


def reset_like(env: Any, simulator: Any, seed: int) -> tuple[Array, Array]:
    """First observations: Gymnasium's from its own generator, ours from one in the same state."""
    theirs = env.reset(seed=seed)[0]
    return theirs, simulator.reset([np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))])[0]


@needs_mujoco
@pytest.mark.parametrize("body", list(ENVIRONMENTS))
def test_starts_and_dynamics_are_gymnasiums(body: str) -> None:
    source = HalfCheetahVelocity(body=body)
    env, simulator = environment(body), source.simulator([task(source, velocity=1.0)])
    theirs, ours = reset_like(env, simulator, seed=3)
    assert ours.shape == (source.observation_size,)
    assert env.action_space.shape == (source.action_size,)
    np.testing.assert_array_equal(ours, theirs)
    rng = np.random.default_rng(0)
    for step in range(25):
        actions = rng.uniform(-1, 1, source.action_size)
        theirs, _, _, _, info = env.step(actions)
        after = simulator.step(actions[None])
        # Its solver is warm-started by the step before and ours is not, which contacts amplify as time goes by.
        np.testing.assert_allclose(after.observations[0], theirs, rtol=1e-9, atol=1e-9, err_msg=str(step))
        assert after.ended.tolist() == [False]
        if body != "ant":  # Gymnasium's velocity of the Ant is of its torso a step of the simulation before
            velocity = info["x_velocity"]
            expected = -abs(velocity - 1.0) - 0.05 * np.sum(actions**2)
            assert after.rewards[0] == pytest.approx(expected, abs=1e-8)


@needs_mujoco
def test_one_step_from_the_same_state_is_gymnasiums() -> None:
    source = HalfCheetahDirection()
    env = environment("half_cheetah")
    env.reset(seed=0)
    rng = np.random.default_rng(1)
    for _ in range(40):
        state = np.concatenate([[0.0], env.data.qpos, env.data.qvel])
        simulator: Any = source.simulator([task(source, direction=-1.0)])
        simulator.reset([rng])
        simulator._states[:] = state
        actions = rng.uniform(-1, 1, 6)
        theirs, _, _, _, info = env.step(actions)
        after = simulator.step(actions[None])
        np.testing.assert_allclose(after.observations[0], theirs, rtol=1e-9, atol=1e-9)
        expected = -info["x_velocity"] - 0.05 * np.sum(actions**2)
        assert after.rewards[0] == pytest.approx(expected, abs=1e-8)


@needs_mujoco
def test_any_number_of_threads_moves_bodies_to_the_same_bits() -> None:
    source, found = HalfCheetahVelocity(), []
    actions = np.random.default_rng(1).uniform(-1, 1, (5, 7, 6))
    for threads in (1, 3):
        with simulating_with(threads):
            simulator: Any = source.simulator([task(source, velocity=1.0)] * 7)
        assert len(simulator._data) == threads
        simulator.reset([np.random.default_rng(n) for n in range(7)])
        simulator._states[2, 5] = 1e12  # this one breaks down, which MuJoCo warns of from the thread it is in
        for step in actions:
            after = simulator.step(step)
        found.append((after.observations, after.rewards))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])
    assert np.isnan(found[1][0]).any(1).tolist() == [n == 2 for n in range(7)]


@needs_mujoco
def test_rewards_are_of_clipped_actions() -> None:
    source = HalfCheetahVelocity()
    starts = [np.random.default_rng(0) for _ in range(2)]
    simulator = source.simulator([task(source, velocity=0.5)] * 2)
    simulator.reset(starts)
    after = simulator.step(np.stack([np.full(6, 3.0), np.full(6, 1.0)]))
    assert after.rewards[0] == after.rewards[1]
    np.testing.assert_array_equal(after.observations[0], after.observations[1])


@needs_mujoco
def test_scaled_actions_are_those_that_the_body_receives() -> None:
    plain, scaled = HalfCheetahVelocity(), HalfCheetahVelocity(action_scale=10.0)
    moved = []
    for source, factor in ((plain, 1.0), (scaled, 10.0)):
        simulator = source.simulator([task(source, velocity=1.0)])
        simulator.reset([np.random.default_rng(0)])
        moved.append(simulator.step(np.array([[0.5, -0.25, 1.0, 0.0, -2.0, 0.125]]) * factor))
    np.testing.assert_array_equal(moved[0].observations, moved[1].observations)
    np.testing.assert_array_equal(moved[0].rewards, moved[1].rewards)
    with pytest.raises(ConfigError, match=r"HalfCheetahVelocity.action_scale must be a number above 0"):
        HalfCheetahVelocity(action_scale=0.0)


@needs_mujoco
def test_bodies_do_not_depend_on_those_beside() -> None:
    source = HalfCheetahDirection()
    tasks = [task(source, direction=d) for d in (1.0, -1.0, 1.0)]
    actions = np.random.default_rng(5).uniform(-1, 1, (8, 3, 6))

    def run(places: list[int]) -> Array:
        simulator = source.simulator([tasks[i] for i in places])
        simulator.reset([np.random.default_rng(i) for i in places])
        seen = [simulator.step(a[places]) for a in actions]
        return np.concatenate([seen[-1].observations, [[r] for r in seen[-1].rewards]], axis=1)

    together = run([0, 1, 2])
    np.testing.assert_array_equal(together, run([2, 1, 0])[::-1])
    np.testing.assert_array_equal(together[1:2], run([1]))


@needs_mujoco
def test_a_body_that_breaks_down_is_no_number_and_the_others_go_on(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    source = HalfCheetahDirection()
    simulator: Any = source.simulator([task(source, direction=1.0)] * 3)
    simulator.reset([np.random.default_rng(i) for i in range(3)])
    simulator._states[0, 4] = np.nan
    simulator._states[1, 12] = 1e12
    for _ in range(2):
        after = simulator.step(np.zeros((3, 6)))
        assert np.isnan(after.observations).all(1).tolist() == [True, True, False]
        assert np.isnan(after.rewards).tolist() == [True, True, False]
    assert not list(tmp_path.iterdir())  # MuJoCo would write MUJOCO_LOG.TXT
    assert capfd.readouterr().err == ""


@needs_mujoco
@pytest.mark.parametrize("physics", ["gravity", "mass", "friction"])
def test_changed_physics_moves_differently(physics: str) -> None:
    def last(**settings: float) -> Array:
        source = HalfCheetahDirection(**settings)  # type: ignore[arg-type]
        simulator = source.simulator([task(source, direction=1.0)])
        simulator.reset([np.random.default_rng(0)])
        rng = np.random.default_rng(1)
        return [simulator.step(rng.uniform(-1, 1, (1, 6))).observations for _ in range(20)][-1]

    plain = last()
    assert np.array_equal(plain, last(**{physics: 1.0}))
    assert np.abs(plain - last(**{physics: 1.5})).max() > 1e-3


@needs_mujoco
def test_physics_is_what_the_factors_say() -> None:
    plain, changed = (
        mujoco_loading.load_model("half_cheetah.xml", *factors) for factors in ((1, 1, 1), (0.5, 2.0, 0.1))
    )
    assert plain.opt.gravity.tolist() == [0, 0, -9.81]
    assert changed.opt.gravity.tolist() == [0, 0, -4.905]
    np.testing.assert_allclose(changed.body_mass, 2 * plain.body_mass)
    np.testing.assert_allclose(changed.body_subtreemass, 2 * plain.body_subtreemass)
    np.testing.assert_allclose(changed.geom_friction[:, 0], 0.1 * plain.geom_friction[:, 0])
    assert plain.body_subtreemass[0] == pytest.approx(14)  # as Gymnasium's, after the others have been loaded


def test_tasks_are_drawn_as_the_papers_say() -> None:
    velocities = [
        task_of(HalfCheetahVelocity(), "test", seed=0, k=k).parameters["velocity"] for k in range(500)
    ]
    assert min(velocities) >= 0
    assert max(velocities) <= 2
    assert np.mean(velocities) == pytest.approx(1, abs=0.08)  # three standard errors
    directions = [
        task_of(HalfCheetahDirection(), "train", seed=0, k=k).parameters["direction"] for k in range(400)
    ]
    assert set(directions) == {1.0, -1.0}
    assert abs(np.mean(directions)) < 0.15
    held_out = HalfCheetahDirection(directions=(-1,))
    assert {task_of(held_out, "test", seed=0, k=k).parameters["direction"] for k in range(20)} == {-1.0}
    fast = HalfCheetahVelocity(lowest=2.0, highest=3.0)
    assert all(2 <= task_of(fast, "test", seed=0, k=k).parameters["velocity"] <= 3 for k in range(50))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HalfCheetahVelocity(lowest=2.0), "lowest must be below highest, 2.0; got 2.0"),
        (lambda: HalfCheetahVelocity(horizon=0), "HalfCheetahVelocity.horizon must be a whole number"),
        (lambda: HalfCheetahDirection(directions=(2,)), r"must be a list of 1 \(forwards\) and -1"),
        (lambda: HalfCheetahDirection(body="antt"), "Did you mean 'ant'"),
        (lambda: HalfCheetahDirection(directions=1), r"HalfCheetahDirection.directions must be a list"),  # type: ignore[arg-type]
        (lambda: HalfCheetahDirection(gravity=0.0), "HalfCheetahDirection.gravity must be a number above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigError, match=words):
        make()


def test_a_split_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match=r"no split 'vaild'.* Did you mean 'valid'"):
        HalfCheetahVelocity().draw("vaild", np.random.default_rng(0))


def test_without_mujoco_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("mujoco"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    source = HalfCheetahVelocity()
    with pytest.raises(
        MissingDataError, match=r"No module named 'mujoco'.*pip install -c constraints\.txt -e '\.\[rl\]'"
    ) as raised:
        source.simulator([task(source, velocity=1.0)])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("renderer", [None, "egl"])
def test_what_is_left_of_mujoco_is_one_sentence_too(
    monkeypatch: pytest.MonkeyPatch, renderer: str | None
) -> None:
    for name in ("mujoco", "mujoco.rollout"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    if renderer:
        monkeypatch.setenv("MUJOCO_GL", renderer)
    else:
        monkeypatch.delenv("MUJOCO_GL", raising=False)
    with pytest.raises(MissingDataError, match=r"AttributeError: .*--force-reinstall.*'\.\[rl\]'") as raised:
        HalfCheetahVelocity().fingerprint()
    assert ("unset MUJOCO_GL, which is 'egl'" in str(raised.value)) == (renderer is not None)
    assert "\n" not in str(raised.value)


def test_without_gymnasium_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mujoco_loading, "find_spec", lambda _: None)
    with pytest.raises(MissingDataError, match=r"Gymnasium.*`pip install"):
        HalfCheetahVelocity().fingerprint()


@needs_mujoco
def test_fingerprints_tell_bodies_apart() -> None:
    prints = {body: HalfCheetahVelocity(body=body).fingerprint() for body in BODIES}
    assert len(set(prints.values())) == len(BODIES)
    assert prints["half_cheetah"] == HalfCheetahDirection().fingerprint()


@needs_mujoco
def test_frames_show_the_body_where_it_was() -> None:
    source = HalfCheetahDirection()
    simulator = source.simulator([task(source, direction=1.0)])
    seen = [simulator.reset([np.random.default_rng(0)])[0]]
    rng = np.random.default_rng(1)
    seen += [simulator.step(rng.uniform(-1, 1, (1, 6))).observations[0] for _ in range(20)]
    strip = source.picture(np.array(seen))
    if strip is None:
        pytest.skip("MuJoCo cannot render here")
    assert strip.shape == (120, 6 * 160, 3)
    first, last = strip[:, :160], strip[:, -160:]
    assert first.std() > 5  # not a blank
    assert (first != last).mean() > 0.01
    again = source.picture(np.array(seen[:1] * 2))
    assert again is not None
    np.testing.assert_array_equal(again[:, :160], first)


@needs_mujoco
def test_without_a_way_to_render_there_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "none of those there are")
    assert HalfCheetahDirection().picture(np.zeros((3, 17))) is None
