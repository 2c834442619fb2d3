"""How fast do training and adaptation run, beside a usual implementation and beside the machine itself?

    python tests/benchmarks/bench_speed.py [--quick] [--out DIR]        `make bench` writes reports/speed/report.md

First both implementations must agree (`speed.agreement`); without that there is no table. Then each case of each
setting (`speed.settings`) is timed in rounds: ours and the usual one in turns, each in a process of its own with one
torch thread (`speed.processes`), the other one waiting. Ours is what training and evaluation call. The limit is
defined in `speed.machine_limit`; its rates are measured before and after, and the better of each counts.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from harness.environment import describe_environment
from speed.agreement import Agreement, compare, reduced
from speed.contestants import Contestant
from speed.machine_limit import better, measure
from speed.processes import Process, both, context, run_apart
from speed.settings import EPISODES, MINIIMAGENET, OMNIGLOT, SETTINGS, Case, Setting, cases
from speed.table import (
    Measured,
    agreement_table,
    anil_table,
    machine_table,
    missed,
    share_of_a_core,
    speed_table,
)


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to measure. A round times both once, each for `seconds` and one call at least.

    There are `least` to `most` rounds of a case, no more than begin within `budget` seconds beyond the least.
    `rate_seconds` is spent on each convolution shape, layout and pass for the machine's limit.
    """

    settings: tuple[Setting, ...]
    seconds: float
    least: int
    most: int
    budget: float
    rate_seconds: float


FULL = Effort(settings=SETTINGS, seconds=0.3, least=3, most=5, budget=3.0, rate_seconds=0.02)
QUICK = Effort(
    settings=tuple(replace(setting, tasks=1) for setting in (OMNIGLOT, MINIIMAGENET)),
    seconds=0.1,
    least=2,
    most=3,
    budget=0.5,
    rate_seconds=0.003,
)


class DisagreementError(Exception):
    """The two implementations do not compute the same, so their times must not be compared."""


def check(settings: Iterable[Setting], processes: int) -> list[Agreement]:
    """Every case once, whatever settings it is in. Raises DisagreementError."""
    order = list({replace(small, name=""): small for small in map(reduced, settings)}.values())
    # The last settings have the most images: begun first, they are not waited for alone.
    todo = [case for setting in reversed(order) for case in cases(setting)]
    with context().Pool(processes) as pool:
        found = pool.map(compare_alone, todo, chunksize=1)
    if failed := [each for each in found if not each.holds]:
        raise DisagreementError("\n".join(agreement_table(failed)))
    return sorted(found, key=lambda each: order.index(each.case.setting))


def compare_alone(case: Case) -> Agreement:
    """`compare` with one thread, for a pool of processes."""
    torch.set_num_threads(1)
    return compare(case)


def time_case(case: Case, effort: Effort) -> Measured:
    """Both, in turns; which of them is first changes from round to round.

    Where a call is short, each round has new processes: where the allocator happens to put things can make a short
    call half as fast again for as long as a process lives.
    """
    measured = Measured(case=case)
    began = time.perf_counter()
    while (done := len(measured.ours)) < effort.most:
        if done >= effort.least and time.perf_counter() - began > effort.budget:
            break
        with both(case) as processes:
            # The first calls pay for what is made once.
            short = max(each.time(effort.seconds / 2).each for each in processes.values()) < effort.seconds
            if done == 0:
                began = time.perf_counter()
            time_rounds(measured, processes, effort, began, 1 if short else effort.most)
    return measured


def time_rounds(
    measured: Measured, processes: dict[Contestant, Process], effort: Effort, began: float, most: int
) -> None:
    """Up to `most` rounds, no more than the effort allows; then the peaks."""
    for _ in range(most):
        done = len(measured.ours)
        if done >= effort.least and time.perf_counter() - began > effort.budget:
            break
        order: tuple[Contestant, ...] = ("ours", "usual") if done % 2 == 0 else ("usual", "ours")
        for who in order:
            measured.timings(who).append(processes[who].time(effort.seconds))
    for who, process in processes.items():
        measured.peaks[who].append(process.peak())


def time_all(effort: Effort) -> Iterator[Measured]:
    """Every case, told on stderr as it is done."""
    for setting in effort.settings:
        for case in cases(setting):
            measured = time_case(case, effort)
            print(speed_line(measured), file=sys.stderr, flush=True)
            yield measured


def speed_line(measured: Measured) -> str:
    """A case in short."""
    ours, usual = max(measured.rates("ours")), max(measured.rates("usual"))
    name = f"{measured.case.setting.name}: {measured.case.name}"
    return (
        f"{name}: ours at best {ours:.2f}, usual {usual:.2f} tasks a core-second, {len(measured.ours)} rounds"
    )


def run(effort: Effort) -> list[str]:
    """Check, time, and the lines of the report."""
    load, began = os.getloadavg()[0], time.perf_counter()
    agreed = check(effort.settings, processes=min(2, os.cpu_count() or 1))
    machine = run_apart(measure, effort.settings, effort.rate_seconds)
    measured = list(time_all(effort))
    machine = better(machine, run_apart(measure, effort.settings, effort.rate_seconds))
    least, median = share_of_a_core(measured)
    rounds = [len(each.ours) for each in measured]
    minutes, seconds = divmod(round(time.perf_counter() - began), 60)
    return [
        "# Speed",
        "",
        *speed_table(measured, machine),
        "",
        f"{min(rounds)} to {max(rounds)} rounds of at least {effort.seconds:g} s; the ratio is taken within each "
        f"round. {environment()}; load before {load:.1f}, after {os.getloadavg()[0]:.1f}. The timed processes had a "
        f"core for {median:.0%} of the time (median; the least {least:.0%}); what is missing, other work took, and "
        "core-seconds leave it out. "
        f"Everything together took {minutes} min {seconds} s.",
        "",
        missed(measured),
        "",
        *explanation(),
        "",
        "## ANIL over MAML",
        "",
        *anil_table(measured),
        "",
        "## The machine",
        "",
        *machine_table(effort.settings, machine),
        "",
        "## Agreement",
        "",
        *agreement_table(agreed),
    ]


def explanation() -> Sequence[str]:
    """What the columns mean."""
    return [
        "Ours is what training and evaluation call, in a process set up as a worker is; usual is plain PyTorch, one "
        "task after another (`tests/benchmarks/speed/usual.py`), in a process as it comes; one thread each. Training: "
        f"one iteration of the outer loop with its step of Adam. Test: {EPISODES} episodes, adapted and predicted. "
        "The limit is the time of the convolutions that the algorithm cannot do without at the best rate of this "
        "machine, plus that of the bytes that must be moved besides (`tests/benchmarks/speed/machine_limit.py`). Peak: "
        "the process's largest resident memory. At the limit: how many times faster than the usual implementation a "
        "program would be that did nothing but this.",
        "",
        "What limits the ratio: where images are small (28 pixels), the usual implementation spends most of its time "
        "in convolutions that are as fast as ours, and batch norm and the ReLU are a dozen short passes for either. "
        "Tasks with weights of their own are convolved one after another: grouped convolutions, and matrix products of "
        "patches, were slower on this processor.",
        "",
        "No GPU has been timed: there was none. What runs there (tasks as groups of one convolution, pools kept on the "
        "device, episodes put together there) is tested for equality on the CPU; CUDA graphs and torch.compile are not "
        "used.",
    ]


def environment() -> str:
    """Processor, cores and versions."""
    found = describe_environment()
    return (
        f"{found['cpu']}, {found['cores']} cores, {found['system']}, torch {found['torch']}, "
        f"Python {platform.python_version()}"
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="about two minutes: two settings, one task an iteration, few rounds",
    )
    parser.add_argument("--out", type=Path, help="write the report into this folder too")
    options = parser.parse_args()
    try:
        text = "\n".join(run(QUICK if options.quick else FULL)) + "\n"
    except DisagreementError as error:
        sys.exit(f"The two implementations do not agree, so there is nothing to compare:\n{error}")
    print(text, end="")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "report.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
