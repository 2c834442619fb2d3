"""The lock under which a pool is prepared: once on a machine, and once among machines whose file system locks."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from harness.files import explained

if sys.platform != "win32":
    import fcntl

FOLDER = "pools"
"""Below the cache, with the pools and their locks in it."""


def lock_of(cache: Path, key: str) -> Path:
    """The file that a process locks while it prepares the pool."""
    return cache / FOLDER / f".{key}.lock"


@contextmanager
def one_at_a_time(path: Path, on_wait: Callable[[], object]) -> Iterator[bool]:
    """Hold the lock file `path`, after waiting for whoever holds it; yields whether it is really held.

    Where files cannot be locked (Windows, some network file systems) everybody works in a folder of their own
    and the first to finish wins: the same result, for more work.
    """
    with ExitStack() as stack:
        with explained(path):
            handle = stack.enter_context(path.open("a"))
        held = False
        if sys.platform != "win32":
            with suppress(OSError):
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    on_wait()
                    fcntl.flock(handle, fcntl.LOCK_EX)
                held = True
        yield held
