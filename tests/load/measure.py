"""A thousand small runs at once: what the harness itself takes of each, and of memory: `make load`.

    python tests/load/measure.py [--runs 1000] [--workers 2] [--out reports/load.md]

Runs `harness run` on MAML and ANIL with as many seeds as give that many runs, each a training of two updates and a
test of two episodes, then `harness report`. A run's own time is that between its first file (spec.json) and its last
(status.json, `done`); what the workers' time holds besides, from the first run's beginning to the last one's end, is
the harness's: choosing the next run, handing it to a worker, passing on what it says. Exit code 1 where that is 50 ms
a run or more, or the command's process takes 1 GiB or more.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CONFIG = """
Experiment.name = 'load'
Experiment.methods = [@MAML(), @ANIL()]
Experiment.seeds = {seeds}
Experiment.network = @Conv4()
Conv4.filters = 8
Experiment.images = @Images()
Images.size = 16
Glyphs.n_classes = 40
Experiment.regimes = [@Regime()]
Regime.sources = [@Glyphs()]
Regime.shape = @EpisodeShape()
Regime.iterations = 2
Regime.meta_batch = 1
Regime.validate_every = 2
Regime.validation_episodes = 1
Experiment.evaluations = [@Evaluation()]
Evaluation.sources = [@Glyphs()]
Evaluation.shape = @EpisodeShape()
Evaluation.n_episodes = 2
EpisodeShape.n_way = 5
EpisodeShape.n_query = 2
"""

MOST_OVERHEAD_MS = 50.0
MOST_MEMORY_MB = 1024.0


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a command took: seconds, and its own process's largest resident memory in MB."""

    seconds: float
    memory_mb: float


@dataclass(frozen=True, kw_only=True)
class Load:
    """Seconds: from the first run's beginning to the last one's end (`span`), and of the runs themselves (`own`)."""

    runs: int
    workers: int
    span: float
    own: float
    run: Taken
    report: Taken

    @property
    def overhead_ms(self) -> float:
        """Of a worker's time, for each run, what is not the run's own."""
        return 1000 * (self.workers * self.span - self.own) / self.runs


def taken(folder: Path, *words: str) -> Taken:
    """Run a `harness` command to its end. Raises RuntimeError, with what it said, where it fails."""
    log = folder / "log"
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness", *words], cwd=folder, stdout=said, stderr=subprocess.STDOUT
        )
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, _resident_mb(process.pid))
            time.sleep(0.05)
    if process.returncode != 0:
        raise RuntimeError(log.read_text(encoding="utf-8")[-3000:])
    return Taken(seconds=time.monotonic() - began, memory_mb=peak)


def _resident_mb(process: int) -> float:
    """The largest resident memory so far of that process alone, without Ray's and the workers'; 0 once it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return float(peaks[0]) / 1024 if peaks else 0.0


def measure(folder: Path, runs: int, workers: int) -> Load:
    """Run that many runs, or one more where the number is odd, in `folder`."""
    (folder / "load.gin").write_text(CONFIG.format(seeds=-(-runs // 2)), encoding="utf-8")
    place = ("--out", "out", "--cache", "cache")
    ran = taken(folder, "run", "load.gin", *place, "--workers", str(workers))
    spans = [
        ((run / "spec.json").stat().st_mtime, (run / "status.json").stat().st_mtime)
        for run in (folder / "out" / "runs").iterdir()
        if (run / "episodes.parquet").exists()
    ]
    reported = taken(folder, "report", "out")
    return Load(
        runs=len(spans),
        workers=workers,
        span=max(end for _, end in spans) - min(begin for begin, _ in spans),
        own=sum(end - begin for begin, end in spans),
        run=ran,
        report=reported,
    )


def table(load: Load, command: str) -> str:
    """reports/load.md."""
    return f"""# A thousand runs at once

Made by `{command}` (`make load`) on {os.cpu_count()} CPU cores:
trainings of two updates, tests of two episodes, so that the harness's own share shows. Overhead: what of the workers'
time, from the first run's beginning to the last one's end, is no run's own.

| | measured | at most |
| --- | ---: | ---: |
| runs | {load.runs} | |
| at the same time | {load.workers} | |
| from the first run's beginning to the last one's end | {load.span:.0f} s | |
| a run itself | {1000 * load.own / load.runs:.0f} ms | |
| overhead of a run | {load.overhead_ms:.0f} ms | {MOST_OVERHEAD_MS:.0f} ms |
| the whole command, with Ray's start, pools and report | {load.run.seconds:.0f} s | |
| memory of the command's process (resident, peak) | {load.run.memory_mb:.0f} MB | {MOST_MEMORY_MB:.0f} MB |
| `harness report` afterwards | {load.report.seconds:.0f} s, {load.report.memory_mb:.0f} MB | |
"""


def main() -> int:
    """Measure, write, and say whether it is within bounds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("reports/load.md"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        load = measure(Path(folder), options.runs, options.workers)
    command = f"python tests/load/measure.py --runs {options.runs} --workers {options.workers}"
    options.out.write_text(table(load, command), encoding="utf-8")
    print(table(load, command))
    return int(load.overhead_ms >= MOST_OVERHEAD_MS or load.run.memory_mb >= MOST_MEMORY_MB)


if __name__ == "__main__":
    sys.exit(main())
