"""One try of one fault: a folder with an experiment, the command that runs it, and what its results must be."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent

CONFIG = """
Experiment.name = 'faults'
Experiment.methods = [@MAML(), @ANIL(), @NIL(), @Troubled()]
Experiment.seeds = 2
NIL.trainer = @ANIL()
Experiment.network = @Conv4()
Conv4.filters = 8
Experiment.images = @Images()
Images.size = 16
Glyphs.n_classes = 40
Experiment.regimes = [@Regime()]
Regime.sources = [@Glyphs()]
Regime.shape = @EpisodeShape()
Regime.iterations = 300
Regime.meta_batch = 2
Regime.validate_every = 50
Regime.validation_episodes = 4
Experiment.evaluations = [@Evaluation()]
Evaluation.sources = [@Glyphs()]
Evaluation.shape = @EpisodeShape()
Evaluation.n_episodes = 20
EpisodeShape.n_way = 5
EpisodeShape.n_query = 2
"""

DISTRIBUTION = "Metadata-Version: 2.1\nName: troubled\nVersion: 1.0\n"

PATIENCE = 300.0


@dataclass(kw_only=True)
class Scene:
    """A place of its own for a try. expected: run -> its rows, of an undisturbed experiment.

    out: where results go. kept: digest of each finished run's episodes at the time of the fault.
    """

    place: Path
    cache: Path
    until: Path
    expected: dict[str, pd.DataFrame]
    more: Sequence[str] = ()
    kept: dict[str, bytes] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        """The experiment's folder."""
        return self.place / "out"

    @property
    def runs(self) -> Path:
        """Its runs."""
        return self.out / "runs"

    def start(self, *more: str, backend: Sequence[str] = ("--workers", "2")) -> "subprocess.Popen[str]":
        """Begin `harness run`, in a process group of its own."""
        command = [sys.executable, "-m", "harness", "run", "faults.gin", "--out", str(self.out)]
        command += ["--cache", str(self.cache), *backend]
        for binding in (*self.more, *more):
            command += ["--set", binding]
        return subprocess.Popen(
            command,
            cwd=self.place,
            env=environment(self.place),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: "subprocess.Popen[str]") -> tuple[int, str]:
        """Wait for a command: its exit code and what it said."""
        said, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, said

    def run(self, *more: str, **options: Sequence[str]) -> tuple[int, str]:
        """A command from its beginning to its end."""
        return self.finish(self.start(*more, **options))

    def wait(self, reached: Callable[[], object], process: "subprocess.Popen[str]") -> None:
        """Until something is so, and remember what is finished then; the command must not have ended before."""
        end = time.monotonic() + PATIENCE
        while not reached():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"too late for this fault: {self.finish(process)}")
            time.sleep(0.05)
        self.note_finished()

    def training(self, *, least: int = 60) -> list[Path]:
        """Runs in the midst of their training, after a first checkpoint."""
        found = []
        for path in sorted(self.runs.glob("*/curve.jsonl")):
            lines = path.read_text().splitlines()
            status = read(path.parent / "status.json")
            if lines and status.get("state") == "training" and least <= 50 * len(lines) + 49 < 300:
                found.append(path.parent)
        return found

    def amid(self, *, least: int = 60) -> list[Path]:
        """As `training`, once a run is finished, so that there is something to lose."""
        return self.training(least=least) if self.finished() else []

    def finished(self) -> list[Path]:
        """Runs that are done."""
        tables = sorted(self.runs.glob("*/episodes.parquet"))
        return [path.parent for path in tables if read(path.parent / "status.json").get("state") == "done"]

    def worker_of(self, run: Path) -> int:
        """The process that has a run."""
        return int(read(run / "progress.json").get("process", 0))

    def note_finished(self) -> None:
        """Remember the results that are there."""
        for run in self.finished():
            self.kept[run.name] = (run / "episodes.parquet").read_bytes()

    def lost(self) -> list[str]:
        """Finished runs whose results are not what they were, and runs whose numbers are not the undisturbed ones."""
        gone = [
            name
            for name, content in self.kept.items()
            if not (self.runs / name / "episodes.parquet").is_file()
            or (self.runs / name / "episodes.parquet").read_bytes() != content
        ]
        return sorted({*gone, *(name for name, rows in self.expected.items() if not self._same(name, rows))})

    def _same(self, name: str, rows: pd.DataFrame) -> bool:
        try:
            return numbers(self.runs / name).equals(rows)
        except Exception:  # whatever makes it unreadable
            return False


def numbers(run: Path) -> pd.DataFrame:
    """All that was measured of a run, but for the time it took."""
    return pd.read_parquet(run / "episodes.parquet").drop(columns="seconds")


def read(path: Path) -> dict[str, object]:
    """A JSON file, empty where it is not there."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def environment(place: Path) -> dict[str, str]:
    """Of a command: it finds the method that goes wrong."""
    known = [str(place / "site"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, known)), "OMP_NUM_THREADS": "1"}


def furnish(place: Path, trouble: str, until: Path) -> None:
    """Write the experiment and install the method that goes wrong."""
    place.mkdir(parents=True)
    config = f"{CONFIG}Troubled.trouble = '{trouble}'\nTroubled.until = '{until}'\n"
    (place / "faults.gin").write_text(config)
    site = place / "site"
    (site / "troubled-1.0.dist-info").mkdir(parents=True)
    shutil.copy(HERE / "troubled.py", site / "troubled.py")
    (site / "troubled-1.0.dist-info" / "METADATA").write_text(DISTRIBUTION)
    (site / "troubled-1.0.dist-info" / "entry_points.txt").write_text(
        "[harness.methods]\ntroubled = troubled:Troubled\n"
    )


def end(process: "subprocess.Popen[str]") -> None:
    """Kill a command and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
