"""How much sooner is one run done that several Ray workers share?

    python tests/benchmarks/bench_shared_runs.py [--iterations N] [--episodes N] [--workers N] [--out DIR]

MAML on the quickstart's sources: trained and evaluated by one Ray worker; evaluated in as many parts as there are
workers; and trained, too, in as many shares. Writes DIR/shared_runs.md. In the seconds is the time that processes of
the other workers take to start; meanwhile the first one works alone. The rows of the first two must be equal, or it
fails.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.environment import describe_environment


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the run is shared: into how many parts, and shares."""

    name: str
    parts: int = 1
    shares: int = 1


def config(quickstart: Path, way: Way, options: argparse.Namespace) -> str:
    """The experiment as gin text."""
    lines = [
        f"include '{quickstart}'",
        "Experiment.name = 'shared_runs'",
        "Experiment.methods = [@MAML()]",
        f"Regime.iterations = {options.iterations}",
        f"Regime.validate_every = {options.iterations}",
        "Regime.validation_episodes = 1",
        f"Evaluation.n_episodes = {options.episodes}",
        "Experiment.resources = @Resources()",
        f"Resources.evaluation_shards = {way.parts}",
        "Experiment.compute = @Compute()",
        f"Compute.training_workers = {way.shares}",
    ]
    return "\n".join(lines) + "\n"


def run(file: Path, folder: Path, cache: Path, workers: int) -> None:
    """In a fresh process: the run."""
    from rich.console import Console

    from harness import workflow
    from harness.request import Request

    request = Request(
        config=file,
        bindings=(),
        out=folder,
        workers=workers,
        backend="ray",
        address=None,
        fresh=False,
        data_dir=None,
        cache=cache,
    )
    sys.exit(workflow.run(request, Console(file=sys.stderr)))


def measure(way: Way, place: Path, options: argparse.Namespace) -> tuple[str, pd.DataFrame]:
    """A row of the table, and the run's rows without their seconds."""
    from harness.store import run_folders

    file, out = place / "shared_runs.gin", place / f"{way.parts}-{way.shares}"
    file.write_text(config(Path("gin/quickstart.gin").resolve(), way, options), encoding="utf-8")
    process = multiprocessing.get_context("spawn").Process(
        target=run, args=(file, out, place / "cache", options.workers)
    )
    process.start()
    process.join()
    if process.exitcode != 0:
        sys.exit(f"The run failed with exit code {process.exitcode}.")
    (folder,) = run_folders(out / "runs")
    status = folder.status()
    by_workers = status.get("updates_by_workers", {"1": options.iterations})
    made = ", ".join(f"{updates} by {n}" for n, updates in sorted(by_workers.items()))
    row = f"| {way.name} | {status['training_seconds']:.1f} | {made} | {status['evaluation_seconds']:.1f} |"
    return row, pd.read_parquet(folder.episodes).drop(columns=["seconds", "run_id"])


def report(options: argparse.Namespace) -> list[str]:
    """The lines of the report."""
    n = options.workers
    ways = (
        Way(name="one worker"),
        Way(name=f"evaluated in {n} parts", parts=n),
        Way(name=f"evaluated in {n} parts, trained in {n} shares", parts=n, shares=n),
    )
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        found = [measure(way, Path(name), options) for way in ways]
    pd.testing.assert_frame_equal(found[0][1], found[1][1], check_exact=True)
    machine = describe_environment()
    return [
        "# One run on several workers",
        "",
        f"MAML, {options.iterations} updates, then {len(found[0][1])} test episodes, on {n} Ray workers of one "
        "machine. The rows of the first two ways are equal to the bit.",
        "",
        "| how | training, s | updates by workers | evaluation, s |",
        "| --- | ---: | --- | ---: |",
        *(row for row, _ in found),
        "",
        f"{machine['cpu']}, {machine['cores']} cores, torch {machine['torch']}, ray {machine['ray']}; load average "
        f"before: {load:.1f}.",
    ]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write shared_runs.md into this folder too")
    options = parser.parse_args()
    text = "\n".join(report(options)) + "\n"
    print(text, end="")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "shared_runs.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
