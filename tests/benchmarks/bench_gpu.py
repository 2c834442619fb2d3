"""How much faster does a run train on a GPU than on one core, alone and with others on the same GPU?

    python tests/benchmarks/bench_gpu.py --data DIR [--quick] [--at-once N] [--out FILE]

Outer updates a second of whole trainings, with their episodes or trajectories: each case is trained twice, the second
time for longer, and the difference counts, so that starting does not. `--at-once` trains one case in N processes on the
GPU at the same time and shows what all of them do together. Without a GPU only the cores are measured.
"""

import argparse
import functools
import multiprocessing
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness.config import load_experiment
from harness.control.experiment import ControlExperiment
from harness.control.planning import plan_control
from harness.control.run_worker import execute_control
from harness.plan import plan
from harness.pools import ensure_pool
from harness.store import RunFolder, Workspace
from harness.worker import execute

GIN = Path(__file__).resolve().parents[2] / "gin"
FEW = {
    "control": ("ControlEvaluation.n_tasks = 2", "ControlExperiment.probes = []", "ControlExperiment.seeds = 1"),
    "images": (
        "Regime.validation_episodes = 2", "Evaluation.n_episodes = 2", "Experiment.probes = []",
        "Experiment.seeds = 1",
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case:
    """A method on the settings of a gin file; updates: of the shorter training, the longer has three times as many."""

    label: str
    gin: str
    bindings: tuple[str, ...]
    updates: int

    @property
    def family(self) -> str:
        """`control` or `images`."""
        return "control" if self.gin.startswith(("navigation", "halfcheetah")) else "images"


def omniglot(
    method: str, *, ways: int, tasks: int, steps: int, updates: int, gin: str = "omniglot_20way.gin"
) -> Case:
    return Case(
        label=f"{method}, Omniglot {ways}-way 1-shot, {tasks} tasks, {steps} inner steps",
        gin=gin,
        bindings=(
            f"Experiment.methods = [@{method}()]",
            f"EpisodeShape.n_way = {ways}",
            f"Regime.meta_batch = {tasks}",
            f"inner_steps = {steps}",
        ),
        updates=updates,
    )


def control(method: str, gin: str, *, updates: int) -> Case:
    label = f"{method}, {'2D-Navigation' if gin.startswith('nav') else 'HalfCheetah-Velocity'}, settings of the paper"
    return Case(
        label=label, gin=gin, bindings=(f"ControlExperiment.methods = [@{method}()]",), updates=updates
    )


CASES = (
    omniglot("MAML", ways=5, tasks=4, steps=1, updates=30),
    omniglot("MAML", ways=5, tasks=32, steps=1, updates=10),
    omniglot("MAML", ways=20, tasks=16, steps=5, updates=2),
    omniglot("ANIL", ways=20, tasks=16, steps=5, updates=8),
    omniglot("ProtoNet", ways=20, tasks=16, steps=1, updates=10),
    Case(
        label="Reptile, Omniglot 5-way 1-shot, 5 tasks, 5 inner steps",
        gin="paper_reptile.gin",
        bindings=(),
        updates=15,
    ),
    control("MAML", "navigation_paper.gin", updates=1),
    control("ANIL", "navigation_paper.gin", updates=1),
    control("MAML", "halfcheetah_velocity.gin", updates=1),
)
TOGETHER = (CASES[3], CASES[6])


def trained_seconds(case: Case, device: str, updates: int, data: Path, cache: Path) -> float:
    """Of one training of so many updates."""
    parent = "ControlExperiment" if case.family == "control" else "Experiment"
    regime = "ControlRegime" if case.family == "control" else "Regime"
    bindings = [*case.bindings, *FEW[case.family], f"{regime}.iterations = {updates}"]
    bindings += [f"{parent}.compute = @Compute()", f"Compute.device = '{device}'"]
    bindings += [f"Regime.validate_every = {updates}"] if case.family == "images" else []
    experiment, _ = load_experiment(GIN / case.gin, bindings)
    with tempfile.TemporaryDirectory() as folder:
        place = Workspace(runs=Path(folder), cache=cache)
        run: Any
        if isinstance(experiment, ControlExperiment):
            run = plan_control(experiment)[0]
            execute_control(run, place, _silent)
        else:
            planned = plan(experiment, data_dir=data, cache=cache)
            for need in planned.pools:
                ensure_pool(need.dataset, need.source, need.split, need.images, data_dir=data, cache=cache)
            run = planned.runs[0]
            execute(run, place, _silent)
        return float(RunFolder(place.runs / run.run_id).status()["training_seconds"])


def updates_a_second(case: Case, device: str, data: Path, cache: Path, quick: bool) -> float:
    """Of the longer training beyond the shorter one."""
    torch.set_num_threads(1)
    scale = (1 if quick else 3) * (3 if device == "cuda" else 1)
    short, long = case.updates * scale, 3 * case.updates * scale
    took = [trained_seconds(case, device, updates, data, cache) for updates in (short, long)]
    rate = (long - short) / max(took[1] - took[0], 1e-9)
    print(f"{device}: {case.label}: {rate:.3g}", flush=True)
    return rate


def _silent(_: object) -> None:
    """Nobody watches."""


def table(data: Path, cache: Path, *, quick: bool, at_once: int) -> list[str]:
    """Cores are timed side by side, leaving one to the process that has the GPU."""
    has_gpu = torch.cuda.is_available()
    lines = ["| training | updates a second, one core | GPU | times |", "| --- | ---: | ---: | ---: |"]
    processes = max(1, min(len(CASES), (os.cpu_count() or 1) - 1))
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        waiting = [pool.apply_async(updates_a_second, (case, "cpu", data, cache, quick)) for case in CASES]
        on_gpu = [updates_a_second(case, "cuda", data, cache, quick) if has_gpu else None for case in CASES]
        on_core = [each.get() for each in waiting]
    for case, core, gpu in zip(CASES, on_core, on_gpu, strict=True):
        more = ["", ""] if gpu is None else [f"{gpu:.2f}", f"{gpu / core:.1f}"]
        lines.append(" | ".join([f"| {case.label}", f"{core:.2f}", *more]) + " |")
    if at_once and has_gpu:
        lines += ["", f"| training, {at_once} at once | updates a second, all together |", "| --- | ---: |"]
        with multiprocessing.get_context("spawn").Pool(at_once) as pool:
            for case in TOGETHER:
                one = functools.partial(updates_a_second, case, "cuda", data, cache)
                lines.append(f"| {case.label} | {sum(pool.map(one, [quick] * at_once, chunksize=1)):.2f} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--at-once", type=int, default=0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(os.environ.get("HARNESS_CACHE") or folder)
        lines = table(asked.data, cache, quick=asked.quick, at_once=asked.at_once)
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print("\n".join(lines))
    lines += ["", f"{card}; PyTorch {torch.__version__}. Command: {' '.join(sys.argv)}"]
    if asked.out:
        asked.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
