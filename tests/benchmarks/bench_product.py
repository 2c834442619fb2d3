"""Where the time of `harness run gin/quickstart.gin` goes, from the command to the report.

    python tests/benchmarks/bench_product.py [--config FILE] [--out DIR]    `make profile`: reports/speed/product.md

The experiment runs in a process of its own, with an empty cache, as a user's first run does. Its steps are timed where
`harness.workflow` calls them. What a run itself takes is in its status; the rest of the launch is Ray's start, the
workers' start and imports, and its end.
"""

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.environment import describe_environment

HARNESS = str(Path(sys.executable).parent / "harness")
HELP_CALLS = 7
STEPS = ("load_experiment", "plan", "_prepare", "report")
"""Functions of harness.workflow that `run` calls one after another; `launch` is harness.stage's."""

NAMES = {
    "start": "start and imports",
    "load_experiment": "reading the gin file",
    "plan": "planning",
    "_prepare": "pools",
    "training": "training",
    "evaluation": "evaluation",
    "ray": "Ray, workers' start and end",
    "report": "report",
    "rest": "everything else",
}


def help_seconds() -> list[float]:
    """Wall seconds of `harness --help`, the first call (cold files) included."""
    taken = []
    for _ in range(HELP_CALLS):
        began = time.perf_counter()
        subprocess.run([HARNESS, "--help"], check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return taken


def run_timed(config: Path, folder: Path, began: float, results: Connection) -> None:
    """In a fresh process: the run, and the seconds of its steps."""
    from rich.console import Console

    from harness import stage, workflow
    from harness.request import Request

    seconds = {"start": time.time() - began}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start

        return call

    for name in STEPS:
        setattr(workflow, name, timed(name, getattr(workflow, name)))
    stage.launch = timed("launch", stage.launch)
    request = Request(
        config=config,
        bindings=(),
        out=folder / "report",
        workers=None,
        backend="ray",
        address=None,
        fresh=False,
        data_dir=None,
        cache=folder / "cache",
    )
    code = workflow.run(request, Console(file=sys.stderr))
    results.send((code, {**seconds, "whole": time.time() - began}))


def of_runs(folder: Path) -> tuple[dict[str, float], float, float]:
    """Seconds of training and evaluation in the process that was busy longest, and waited of trained, all runs."""
    busy: dict[int, dict[str, float]] = defaultdict(lambda: {"training": 0.0, "evaluation": 0.0})
    waited, trained, seen = 0.0, 0.0, set()
    for path in sorted(folder.glob("report/runs/*/status.json")):
        status = json.loads(path.read_text(encoding="utf-8"))
        training_id = json.loads((path.parent / "spec.json").read_text(encoding="utf-8"))["training_id"]
        own = busy[status["process"]]
        if training_id not in seen:  # the others took over its checkpoint
            seen.add(training_id)
            own["training"] += status["training_seconds"]
            waited, trained = waited + status["waiting_seconds"], trained + status["training_seconds"]
        own["evaluation"] += status["evaluation_seconds"]
    return max(busy.values(), key=lambda own: sum(own.values())), waited, trained


def profile(config: Path) -> list[str]:
    """The lines of the report."""
    helps = help_seconds()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=run_timed, args=(config, folder, time.time(), theirs))
        process.start()
        theirs.close()  # so that its end is seen when the process has died
        try:
            code, seconds = ours.recv()
        except EOFError:
            code, seconds = 1, {}
        process.join()
        if code != 0:
            sys.exit(f"The run of {config} failed with exit code {code}.")
        busy, waited, trained = of_runs(folder)
    whole = seconds.pop("whole")
    seconds |= {**busy, "ray": seconds.pop("launch") - sum(busy.values())}
    seconds["rest"] = whole - sum(seconds.values())
    found = describe_environment()
    return [
        "# Where the time goes",
        "",
        f"`harness run {config}` with an empty cache, two runs at a time: {whole:.0f} s by the clock. Training and "
        "evaluation are those of the worker that was busy longest.",
        "",
        "| step | seconds | share |",
        "| --- | ---: | ---: |",
        *(f"| {said} | {seconds[key]:.1f} | {seconds[key] / whole:.1%} |" for key, said in NAMES.items()),
        "",
        f"Trainings waited for their episodes for {waited / trained:.2%} of their time: a thread reads ahead.",
        "",
        f"`harness --help` takes {statistics.median(helps):.2f} s (median of {HELP_CALLS}; the first "
        f"{helps[0]:.2f} s).",
        "",
        f"{found['cpu']}, {found['cores']} cores, torch {found['torch']}, ray {found['ray']}.",
    ]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", type=Path, default=Path("gin/quickstart.gin"))
    parser.add_argument("--out", type=Path, help="write product.md into this folder too")
    options = parser.parse_args()
    if not options.config.is_file():
        parser.error(f"there is no file {options.config}")
    text = "\n".join(profile(options.config)) + "\n"
    print(text, end="")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "product.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
