"""Each contestant in a process of its own, told when to run, so that only one runs at a time.

`ours` is set up as a worker is (one torch thread, freed memory kept); `usual` has one thread too and the allocator as
it comes. What is said of the allocator holds for a whole process, so the two cannot share one.
"""

import ctypes
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch

from harness.environment import keep_freed_memory, peak_memory_mb, reset_peak_memory
from speed.contestants import CONTESTANTS, Call, Contestant
from speed.settings import Case

PATIENCE = 600.0
"""Seconds without an answer after which a process counts as lost."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """So many calls one after another: `seconds` by the clock, and `cpu`, those in which the process had a core.

    With one thread and nothing to wait for, the two differ by what other processes took. Page faults and all
    else that the kernel does for the process are in both.
    """

    calls: int
    seconds: float
    cpu: float

    @property
    def each(self) -> float:
        """Seconds of a call by the clock."""
        return self.seconds / self.calls


def context() -> Any:
    """Processes forked from one that has imported torch and run nothing: fresh, and quick to start."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["torch", "torch._dynamo"])  # Adam's first step imports the second
    return found


def timed(call: Call, seconds: float) -> Timing:
    """Call again and again until `seconds` are over, once at least."""
    calls, cpu, began = 0, time.process_time(), time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds or calls == 0:
        call()
        calls += 1
    return Timing(calls=calls, seconds=spent, cpu=time.process_time() - cpu)


def forget_peak() -> None:
    """From now on `peak_memory_mb` counts what is in use now and what comes."""
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
    reset_peak_memory()


class Process:
    """A contestant, ready for one case. `time` and `peak` wait for the answer."""

    def __init__(self, contestant: Contestant, case: Case) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = context().Process(target=_serve, args=(contestant, case, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.name = f"{contestant}: {case.setting.name}, {case.name}"

    def time(self, seconds: float) -> Timing:
        """Calls for `seconds`, once at least."""
        timing: Timing = self._ask("time", seconds)
        return timing

    def peak(self) -> int | None:
        """The largest resident memory in all calls so far, MiB; None where the system does not tell."""
        peak: int | None = self._ask("peak")
        return peak

    def close(self) -> None:
        """End the process."""
        with suppress(OSError):
            self._pipe.send(("stop",))
        self._process.join(PATIENCE)
        self._pipe.close()

    def _ask(self, *request: object) -> Any:
        try:
            self._pipe.send(request)
            if not self._pipe.poll(PATIENCE):
                raise TimeoutError(f"{self.name} has not answered for {PATIENCE:g} s.")
            answer = self._pipe.recv()
        except (EOFError, BrokenPipeError) as error:
            raise RuntimeError(f"The process of {self.name} has ended; its own message is above.") from error
        return answer


@contextmanager
def both(case: Case) -> Iterator[dict[Contestant, Process]]:
    """The two contestants' processes for one case."""
    started: dict[Contestant, Process] = {}
    try:
        started["ours"] = Process("ours", case)
        started["usual"] = Process("usual", case)
        yield started
    finally:
        for process in started.values():
            process.close()


def run_apart(function: Callable[..., Any], *arguments: object) -> Any:
    """`function(*arguments)` in a process set up as a worker is. It must be a function of a module."""
    ours, theirs = multiprocessing.Pipe()
    process = context().Process(target=_answer_once, args=(function, arguments, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError as error:
        raise RuntimeError(f"The process of {function.__name__} has ended; its message is above.") from error
    finally:
        process.join(PATIENCE)
        ours.close()


def _answer_once(function: Callable[..., Any], arguments: tuple[object, ...], pipe: Connection) -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    pipe.send(function(*arguments))


def _serve(contestant: Contestant, case: Case, pipe: Connection) -> None:
    torch.set_num_threads(1)
    if contestant == "ours":
        keep_freed_memory()
    call, _ = CONTESTANTS[contestant](case)
    forget_peak()
    with suppress(EOFError, BrokenPipeError):  # whoever asked is gone
        while (request := pipe.recv())[0] != "stop":
            pipe.send(timed(call, request[1]) if request[0] == "time" else peak_memory_mb())
