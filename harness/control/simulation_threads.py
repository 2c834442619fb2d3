"""How many threads the simulators of a run may use, one for each of its cores; the bits do not depend on it."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_THREADS: ContextVar[int] = ContextVar("simulation_threads", default=1)


def simulation_threads() -> int:
    """Of the run that asks, at least 1."""
    return _THREADS.get()


@contextmanager
def simulating_with(threads: int) -> Generator[None]:
    """Within it `simulation_threads` is `threads`, and at least 1."""
    before = _THREADS.set(max(1, threads))
    try:
        yield
    finally:
        _THREADS.reset(before)
