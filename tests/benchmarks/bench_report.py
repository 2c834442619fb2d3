"""What `harness report DIR` takes, from the runs alone: wall and CPU seconds, the size of what it writes, a profile.

    python tests/benchmarks/bench_report.py [--sources 10] [--methods 12] [--seeds 3] [--episodes 600] [--uneven]
                                            [--rounds 3] [--top 25] [--keep DIR]

Runs are made up: every method with every seed, on every source, by default 216,000 rows. Each round reports them in a
process of its own, start and imports included, and must give the bytes of the round before. `--uneven` makes
accuracies that hardly repeat, as episodes of varying size do; else they come in steps of 1/75.
"""

import argparse
import cProfile
import hashlib
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from fake_runs import run_spec, write_run
from harness.store import RunFolder

METHODS = ("maml", "anil", "nil", "boil", "reptile", "protonet", "proto_maml", "r2d2", "meta_sgd", "baseline")
QUERIES = 75
COMMAND = (sys.executable, "-m", "harness", "report")


def method_names(count: int) -> list[str]:
    """Real ones first, so that there is a reference to judge reuse by."""
    return [*METHODS, *(f"method{index:02}" for index in range(len(METHODS), count))][:count]


def make_runs(
    folder: Path, n_sources: int, n_methods: int, n_seeds: int, n_episodes: int, *, uneven: bool
) -> None:
    """Finished runs below `folder`/runs; methods differ by half a point, sources by five."""
    levels = {f"source{index}": 0.9 - 0.05 * index for index in range(n_sources)}
    trained_on = tuple(list(levels)[:1])
    for place, method in enumerate(method_names(n_methods)):
        for seed in range(n_seeds):
            spec = run_spec(method, trained_on=trained_on, evaluated_on=tuple(levels), seed=seed)
            own = {name: level - 0.005 * place for name, level in levels.items()}
            run = write_run(folder / "runs", spec, own, n_episodes=n_episodes)
            if not uneven:
                in_steps(run)


def in_steps(run: RunFolder) -> None:
    """Accuracies as QUERIES queries give them."""
    rows = pd.read_parquet(run.episodes)
    run.write_episodes(rows.assign(accuracy=np.round(rows["accuracy"] * QUERIES) / QUERIES))


def report_once(folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds (user and system, children too) of one report in a process of its own."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*COMMAND, str(folder)], check=True, capture_output=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def written(folder: Path) -> dict[str, tuple[int, str]]:
    """Size and digest of every file of the report."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(folder)): (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in files
        if "runs" not in path.relative_to(folder).parts
    }


def profiled(folder: Path, top: int) -> None:
    """Print where the time of one report in this process goes, by functions with what they call, and alone."""
    from rich.console import Console

    from harness import workflow

    profile = cProfile.Profile()
    with Path(os.devnull).open("w") as nowhere:
        profile.runcall(workflow.report, folder, Console(file=nowhere))
    found = pstats.Stats(profile, stream=sys.stdout).strip_dirs()
    for order in ("cumulative", "tottime"):
        found.sort_stats(order).print_stats(top)


def measure(folder: Path, rounds: int) -> None:
    """Print the seconds of each round and the largest files; ends the program where two rounds differ."""
    before: dict[str, tuple[int, str]] = {}
    for number in range(1, rounds + 1):
        wall, cpu = report_once(folder)
        print(f"round {number}: {wall:.1f} s by the clock, {cpu:.1f} s CPU")
        found = written(folder)
        if before and found != before:
            changed = sorted(name for name in {*found, *before} if found.get(name) != before.get(name))
            sys.exit(f"The report of round {number} differs from the one before in {', '.join(changed)}.")
        before = found
    largest = sorted(before.items(), key=lambda item: -item[1][0])[:5]
    print(f"{len(before)} files; " + ", ".join(f"{name} {size / 1e3:.0f} kB" for name, (size, _) in largest))


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the runs, measure, profile."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, value in (
        ("sources", 10),
        ("methods", 12),
        ("seeds", 3),
        ("episodes", 600),
        ("rounds", 3),
        ("top", 25),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--uneven", action="store_true", help="accuracies that hardly repeat")
    parser.add_argument(
        "--keep",
        type=Path,
        help="a folder in which the runs and the report stay; its runs are used if it has any",
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = options.keep or Path(name)
        if not (folder / "runs").exists():
            counts = (options.sources, options.methods, options.seeds, options.episodes)
            make_runs(folder, *counts, uneven=options.uneven)
        measure(folder, options.rounds)
        if options.top:
            profiled(folder, options.top)


if __name__ == "__main__":
    main()
