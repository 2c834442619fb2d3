"""How fast are trajectories sampled? HalfCheetah by Gymnasium's vector environments and by MuJoCo's batched simulation.

    python tests/benchmarks/bench_control.py [--quick] [--out FILE]

Steps a second of the environment (five of the simulation), in rounds that take turns. The last rows are whole rollouts
of the harness, with a policy of two layers of 100 units, on one core. A crowded machine slows all of them; the
largest of the rounds is shown beside the median.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch

from harness.control.policy import fresh_policy
from harness.control.policy_network import MLP
from harness.control.rollout import collect
from harness.control.source import ControlSource, task_of
from harness_datasets.halfcheetah_velocity import HalfCheetahVelocity
from harness_datasets.mujoco_loading import load_model, mujoco_module
from harness_datasets.navigation2d import Navigation2D
from harness_methods.maml import MAML

VECTOR, BATCH = 40, 800
"""Environments side by side in Gymnasium, and in one batch: 20 trajectories on each of 40 tasks, as in papers."""

Run = Callable[[], int]
"""Does some steps and returns how many."""


@contextmanager
def vector(mode: str, steps: int) -> Iterator[Run]:
    """Gymnasium's, in this process (`sync`) or one process each (`async`)."""
    import gymnasium

    environments = gymnasium.make_vec("HalfCheetah-v5", num_envs=VECTOR, vectorization_mode=mode)
    environments.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, VECTOR, 6))

    def run() -> int:
        for each in actions:
            environments.step(each)
        return steps * VECTOR

    yield run
    environments.close()


@contextmanager
def batched(threads: int, steps: int) -> Iterator[Run]:
    """MuJoCo's `rollout` of five simulation steps, whose end is where the next begins."""
    mujoco = mujoco_module()
    model = load_model("half_cheetah.xml", 1.0, 1.0, 1.0)
    rng = np.random.default_rng(0)
    start = np.zeros((BATCH, 1 + model.nq + model.nv))
    start[:, 1 : 1 + model.nq] = rng.uniform(-0.1, 0.1, (BATCH, model.nq))
    actions = rng.uniform(-1, 1, (steps, BATCH, 1, 6))
    data = [mujoco.MjData(model) for _ in range(max(threads, 1))]
    with mujoco.rollout.Rollout(nthread=threads) as pool:

        def run() -> int:
            states = start
            for each in actions:
                states = pool.rollout(model, data, states, np.repeat(each, 5, axis=1))[0][:, -1].copy()
            return steps * BATCH

        yield run


@contextmanager
def rollouts(source: ControlSource, tasks: int) -> Iterator[Run]:
    """The harness's own, 20 trajectories a task."""
    policy = fresh_policy(MLP(), MAML(), source, seed=0)
    chosen = [task_of(source, "train", seed=0, k=k) for k in range(tasks)]

    def run() -> int:
        return collect(
            source,
            policy,
            {},
            chosen,
            streams=[str(k) for k in range(tasks)],
            seed=0,
            trajectories=20,
            max_dropped=0.0,
        ).steps

    yield run


def contestants(quick: bool) -> dict[str, AbstractContextManager[Run]]:
    """What is timed, by name."""
    steps, tasks = (2, 2) if quick else (50, 40)
    return {
        f"Gymnasium, {VECTOR} in one process": vector("sync", steps),
        f"Gymnasium, {VECTOR} processes": vector("async", steps),
        "MuJoCo's rollout, the calling thread": batched(0, steps),
        "MuJoCo's rollout, 1 thread": batched(1, steps),
        "MuJoCo's rollout, 2 threads": batched(2, steps),
        f"harness, HalfCheetah, {tasks} tasks": rollouts(HalfCheetahVelocity(), tasks),
        f"harness, 2D-Navigation, {tasks} tasks": rollouts(Navigation2D(), tasks),
    }


def measure(quick: bool) -> dict[str, list[float]]:
    """Steps a second of each contestant in each round, after one that does not count."""
    with ExitStack() as stack:
        runs = {name: stack.enter_context(each) for name, each in contestants(quick).items()}
        rates: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(2 if quick else 6):
            for name, run in runs.items():
                began = time.perf_counter()
                steps = run()
                if number:
                    rates[name].append(steps / (time.perf_counter() - began))
    return rates


def main() -> None:
    """Measure and print, or write, a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few steps of each, to see that it works")
    parser.add_argument("--out", type=Path, help="a Markdown file for the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["| sampled by | steps a second, median | best round |", "| --- | ---: | ---: |"]
    for name, rates in measure(options.quick).items():
        lines.append(f"| {name} | {statistics.median(rates):,.0f} | {max(rates):,.0f} |")
    load = os.getloadavg()[0]
    note = f"{os.cpu_count()} cores, of which others kept some busy (load {load:.1f}). Command: {' '.join(sys.argv)}"
    text = "\n".join([*lines, "", note, ""])
    print(text)
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
