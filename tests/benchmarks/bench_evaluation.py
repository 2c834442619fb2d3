"""How long does it take to evaluate 600 episodes of each of ten sources with MAML, ANIL and NIL?

    python tests/benchmarks/bench_evaluation.py [--episodes N] [--out DIR]    writes DIR/evaluation.md

The quickstart's networks after one update (speed does not depend on what they know), tested on the four drawn sources
and six shifts of the glyphs, by `harness run`: in this process with the episodes one after another, in this process
side by side as always, and on as many Ray workers as there are cores. Runs share nothing but the pools. Episodes one
after another are a tenth as many.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from harness.environment import describe_environment

SHIFTS = {
    "half": ("permutation", 0.5),
    "all": ("permutation", 1.0),
    "inverse": ("inversion", 0.5),
    "blurred": ("blur", 0.5),
    "noisy": ("noise", 0.5),
    "turned": ("rotation", 0.5),
}
"""Of the glyphs: gin scope -> kind and amount."""

EPISODES, LEAST = 600, 20
SOURCES = 4 + len(SHIFTS)
METHODS = ("MAML", "ANIL", "NIL")


@dataclass(frozen=True, kw_only=True)
class Way:
    """How episodes are worked on. `side_by_side`: several at once, where the method can."""

    name: str
    backend: str
    workers: int | None
    side_by_side: bool


WAYS = (
    Way(name="one process, one episode after another", backend="serial", workers=None, side_by_side=False),
    Way(name="one process", backend="serial", workers=None, side_by_side=True),
    Way(name=f"{os.cpu_count()} Ray workers", backend="ray", workers=os.cpu_count(), side_by_side=True),
)


def config(quickstart: Path, episodes: int) -> str:
    """The experiment as gin text."""
    shifts = ", ".join(f"@{scope}/ControlledShift()" for scope in SHIFTS)
    lines = [
        f"include '{quickstart}'",
        "Experiment.name = 'evaluation'",
        "Regime.iterations = 1",
        "Regime.validation_episodes = 1",
        f"Evaluation.sources = [@Glyphs(), @Digits(), @Textures(), @Shapes(), {shifts}]",
        f"Evaluation.n_episodes = {episodes}",
        "ControlledShift.source = @Glyphs()",
        *(f"{scope}/ControlledShift.kind = '{kind}'" for scope, (kind, _) in SHIFTS.items()),
        *(f"{scope}/ControlledShift.amount = {amount}" for scope, (_, amount) in SHIFTS.items()),
    ]
    return "\n".join(lines) + "\n"


def run(way: Way, file: Path, folder: Path, cache: Path) -> None:
    """In a fresh process: the run."""
    from rich.console import Console

    from harness import task_batch, workflow
    from harness.request import Request

    if not way.side_by_side:
        task_batch.VALUES_AT_ONCE = 1
    request = Request(
        config=file,
        bindings=(),
        out=folder,
        workers=way.workers,
        backend=way.backend,
        address=None,
        fresh=False,
        data_dir=None,
        cache=cache,
    )
    sys.exit(workflow.run(request, Console(file=sys.stderr)))


def busy(folder: Path) -> tuple[dict[str, float], float]:
    """Seconds of evaluation by method, and of the process that evaluated longest."""
    by_method: dict[str, float] = {}
    by_process: dict[int, float] = defaultdict(float)
    for path in folder.glob("runs/*/status.json"):
        status = json.loads(path.read_text(encoding="utf-8"))
        spec = json.loads((path.parent / "spec.json").read_text(encoding="utf-8"))
        by_method[spec["method_name"]] = status["evaluation_seconds"]
        by_process[status["process"]] += status["evaluation_seconds"]
    return by_method, max(by_process.values())


def measure(way: Way, episodes: int, quickstart: Path, folder: Path) -> str:
    """A row of the table."""
    count = episodes if way.side_by_side else episodes // 10
    file, out = folder / "evaluation.gin", folder / way.name.replace(" ", "_").replace(",", "")
    file.write_text(config(quickstart, count), encoding="utf-8")
    began = time.perf_counter()
    process = multiprocessing.get_context("spawn").Process(
        target=run, args=(way, file, out, folder / "cache")
    )
    process.start()
    process.join()
    whole = time.perf_counter() - began
    if process.exitcode != 0:
        sys.exit(f"The run failed with exit code {process.exitcode}.")
    by_method, longest = busy(out)
    total = count * SOURCES * len(METHODS)
    each = " / ".join(f"{count * SOURCES / by_method[name.lower()]:.0f}" for name in METHODS)
    return f"| {way.name} | {total} | {longest:.1f} | {total / longest:.0f} | {each} | {whole:.0f} |"


def report(episodes: int) -> list[str]:
    """The lines of the report."""
    quickstart = Path("gin/quickstart.gin").resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [measure(way, episodes, quickstart, folder) for way in WAYS]
    found = describe_environment()
    return [
        "# Evaluation",
        "",
        f"{episodes} episodes (5-way 1-shot, 5 queries a class, 28 pixels) of each of {SOURCES} sources with MAML and "
        "ANIL (10 inner steps) and NIL; one after another, a tenth as many. Seconds: of the process that evaluated "
        "longest, reading included; the command does all else besides, the first one the drawing of the pools.",
        "",
        "| how | episodes | seconds | episodes/s | MAML / ANIL / NIL, episodes/s of a process | the command, s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *rows,
        "",
        f"{found['cpu']}, {found['cores']} cores, torch {found['torch']}, ray {found['ray']}.",
    ]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--episodes", type=int, default=EPISODES)
    parser.add_argument("--out", type=Path, help="write evaluation.md into this folder too")
    options = parser.parse_args()
    if options.episodes < LEAST:
        parser.error(f"--episodes must be at least {LEAST}; got {options.episodes}")
    text = "\n".join(report(options.episodes)) + "\n"
    print(text, end="")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "evaluation.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
