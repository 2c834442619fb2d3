"""How does speed change with the size of a task? One quantity at a time grows, the others stay.

    python tests/benchmarks/bench_growth.py [--quick] --out DIR        writes DIR/growth.csv, growth.png and .svg

Training iterations of both implementations, in turns, as `bench_speed` times them: tasks a core-second. The workers'
panel is by the clock, all processes together: there is nothing to see of a crowded machine in core-seconds. The pool's
panel is of ours alone, and with the reading of episodes, which elsewhere are at hand. It takes about ten minutes.
"""

import argparse
import csv
import os
import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields, replace
from itertools import chain
from pathlib import Path

from bench_speed import Effort, time_case
from speed.contestants import CONTESTANTS, Contestant
from speed.growth_figure import draw_growth
from speed.pool_growth import pool_rates
from speed.processes import Process
from speed.settings import OMNIGLOT, Case, MethodName
from speed.table import Measured

BASE = replace(OMNIGLOT, n_way=5, n_query=5, tasks=4)
"""5-way 1-shot of 28x28 grey images, five queries a class, four tasks an iteration, five inner steps."""

METHODS: tuple[MethodName, ...] = ("MAML", "first-order MAML", "ANIL")

AXES = {
    "tasks": (1, 4, 16, 32),
    "n_way": (2, 5, 10, 20, 50),
    "n_shot": (1, 5, 10, 20),
    "inner_steps": (1, 2, 5, 10),
    "image_size": (28, 42, 56, 84),
}
"""What grows, by its name in `Setting`, and its values."""

WORKERS = "workers"

POOL, POOL_SIZES = "pool_images", (1_000, 10_000, 100_000, 1_000_000)
"""Images of the pool that episodes are read from; the largest takes 0.8 GB of disk."""

FULL = Effort(settings=(), seconds=0.3, least=3, most=3, budget=0.0, rate_seconds=0)
QUICK = replace(FULL, seconds=0.05, least=1, most=1)


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of a curve, a row of the CSV. Rates are tasks a second, of a core or, for workers, by the clock."""

    quantity: str
    value: int
    method: str
    implementation: Contestant
    rate_min: float
    rate_median: float
    rate_max: float
    peak_mib: int | None


def point(
    quantity: str, value: int, case: Case, who: Contestant, rates: list[float], peak: int | None
) -> Point:
    """The rounds' rates as one point."""
    return Point(
        quantity=quantity,
        value=value,
        method=case.method,
        implementation=who,
        rate_min=min(rates),
        rate_median=statistics.median(rates),
        rate_max=max(rates),
        peak_mib=peak,
    )


def grow(effort: Effort, longest: int | None) -> Iterator[Point]:
    """The curves of everything that is a field of `Setting`; `longest` cuts them off after so many points."""
    done: dict[Case, Measured] = {}  # the base setting is on every curve
    for quantity, values in AXES.items():
        for value in values[:longest]:
            setting = replace(BASE, **{quantity: value})
            for method in METHODS:
                case = Case(setting=setting, method=method, phase="training")
                measured = done[case] if case in done else done.setdefault(case, time_case(case, effort))
                for who in CONTESTANTS:
                    yield point(quantity, value, case, who, measured.rates(who), measured.peak(who))


def crowd(effort: Effort) -> Iterator[Point]:
    """One worker to as many as there are cores, all at once: their rates by the clock, added up."""
    for number in range(1, (os.cpu_count() or 1) + 1):
        for method in METHODS:
            case = Case(setting=BASE, method=method, phase="training")
            rates: dict[Contestant, list[float]] = {who: [] for who in CONTESTANTS}
            peaks: dict[Contestant, int | None] = dict.fromkeys(CONTESTANTS)
            with ExitStack() as stack, ThreadPoolExecutor(number) as threads:
                processes = {who: [Process(who, case) for _ in range(number)] for who in CONTESTANTS}
                for process in chain.from_iterable(processes.values()):
                    stack.callback(process.close)
                    process.time(0)
                for _ in range(effort.least):
                    for who, own in processes.items():
                        timings = list(threads.map(lambda p: p.time(effort.seconds), own))
                        rates[who].append(sum(case.tasks * t.calls / t.seconds for t in timings))
                peaks = {who: own[0].peak() for who, own in processes.items()}
            for who, found in rates.items():
                yield point(WORKERS, number, case, who, found, peaks[who])


def pools(effort: Effort, longest: int | None) -> Iterator[Point]:
    """Pools of growing size; ours alone."""
    sizes = POOL_SIZES[:longest]
    for size, method, rates in pool_rates(BASE, METHODS, sizes, seconds=effort.seconds, rounds=effort.least):
        case = Case(setting=BASE, method=method, phase="training")
        yield point(POOL, size, case, "ours", rates, None)


def write(points: list[Point], path: Path) -> None:
    """The points as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Point)])
        writer.writeheader()
        for each in points:
            rounded = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in asdict(each).items()}
            writer.writerow(rounded)


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two points a curve, one short round")
    parser.add_argument(
        "--out", type=Path, required=True, help="the folder for growth.csv, growth.png and .svg"
    )
    options = parser.parse_args()
    effort = QUICK if options.quick else FULL
    longest = 2 if options.quick else None
    options.out.mkdir(parents=True, exist_ok=True)
    points: list[Point] = []
    for each in chain(grow(effort, longest), crowd(effort), pools(effort, longest)):
        points.append(each)
        write(points, options.out / "growth.csv")  # what is there survives an interruption
        rate = f"{each.rate_median:.4g} tasks a second"
        print(f"{each.quantity} {each.value}, {each.method}, {each.implementation}: {rate}", file=sys.stderr)
    draw_growth(points, BASE, options.out / "growth.png")
    print(f"{len(points)} points in {options.out / 'growth.csv'}", file=sys.stderr)


if __name__ == "__main__":
    main()
