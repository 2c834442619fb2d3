"""One `harness run` at a time in a folder, on one machine or on many that share it, or at a URL.

    runs/.lease   {"owner": a random word, "host": ..., "process": ..., "where": ..., "beat": a counter}

Who makes the lease has the folder; the owner raises the counter every few seconds. Another waits until the lease is
gone, or until its owner is dead: its process is not there any more (on the same machine), or the counter has stood
still for EXPIRES_SECONDS by the waiting one's own clock, so that clocks need not agree. An owner that finds that it
has been taken for dead stops. Where the lease is kept, and how sure it is that only one makes it, is its store's:
`lease_file` for folders, where that is certain, and `remote.lease_object` for URLs.
"""

import json
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from harness.errors import WorkspaceError
from harness.files import make_folder
from harness.lease_file import LeaseFile

LEASE = ".lease"

BEAT_SECONDS = 5.0
EXPIRES_SECONDS = 60.0
POLL_SECONDS = 1.0

Say = Callable[[str], None]


class LeaseStore(Protocol):
    """Where a lease is kept, for one process that wants it."""

    @property
    def place(self) -> str:
        """What is held, in words."""

    def make(self, owner: str, content: str) -> bool:
        """Make the lease with that content; False where another has it. Raises WorkspaceError where that cannot be."""

    def read(self) -> dict[str, Any] | None:
        """What the lease says, empty where it cannot be read just now; None where there is none."""

    def renew(self, content: str) -> None:
        """Write the owner's lease again, quietly where that fails."""

    def bury(self, found: dict[str, Any]) -> None:
        """The owner of the lease `found` is dead: let the next `make` have it."""

    def give_back(self, owner: str) -> None:
        """Remove the lease if it is the owner's, quietly where that fails."""


@contextmanager
def held(runs: Path, say: Say, *, url: str | None = None) -> Iterator[None]:
    """Make the folder and hold it for this process; wait, having said so, while another has it.

    url: hold what lies there, of which `runs` is the mirror.
    Folders that were made in vain are removed again: those in which nothing but the lease was written. Raises
    WorkspaceError when the folder cannot be made, and when another process has taken this one for dead, after the
    block was interrupted.
    """
    made = [path for path in (runs, *runs.parents) if not path.exists()]
    try:
        make_folder(runs)
        store, owner = _store(runs, url), secrets.token_hex(8)
        _take(store, owner, say)
        renewing = _Renewing(store, owner)
        renewing.start()
        try:
            yield
        except KeyboardInterrupt as interrupt:
            if renewing.lost:
                raise WorkspaceError(_lost(store.place)) from interrupt
            raise
        finally:
            renewing.stop()
            store.give_back(owner)
    finally:
        with suppress(OSError):  # it holds something
            for path in made:
                path.rmdir()


def _store(runs: Path, url: str | None) -> LeaseStore:
    if url is None:
        return LeaseFile(runs / LEASE)
    from harness.remote.lease_object import LeaseObject

    return LeaseObject(url=url, key=f"runs/{LEASE}")


def _take(store: LeaseStore, owner: str, say: Say) -> None:
    """Make the lease, waiting for its owner, whom a word is said about, as long as that is alive."""
    watch, told = _Watch(), False
    while not store.make(owner, _content(owner, 0)):
        found = store.read()
        if found is None:  # gone since
            continue
        if _is_dead(found) or watch.stands_still(found):
            store.bury(found)
            continue
        if not told:
            told = True
            say(_waiting(store.place, found))
        time.sleep(POLL_SECONDS)


def _waiting(folder: str, found: dict[str, Any]) -> str:
    where = f"process {found.get('process', '?')} on {found.get('host', '?')}"
    waiting = f"Another command works in {folder} ({where}): waiting for it."
    return f"{waiting} What it finishes is not run again; Ctrl-C gives up."


class _Watch:
    """Whether a lease's beat has stood still for too long, by this process's clock."""

    def __init__(self) -> None:
        self._seen: tuple[Any, Any] | None = None
        self._since = time.monotonic()

    def stands_still(self, found: dict[str, Any]) -> bool:
        now, seen = time.monotonic(), (found.get("owner"), found.get("beat"))
        if seen != self._seen:
            self._seen, self._since = seen, now
        return now - self._since >= EXPIRES_SECONDS


class _Renewing(threading.Thread):
    """Raises the counter of a lease until it is stopped; interrupts the process when the lease is another's."""

    def __init__(self, store: LeaseStore, owner: str) -> None:
        super().__init__(name="harness-lease", daemon=True)
        self._store, self._owner, self._ended = store, owner, threading.Event()
        self.lost = False

    def run(self) -> None:
        beat = 0
        while not self._ended.wait(BEAT_SECONDS):
            found = self._store.read()
            # A lease that cannot be read just now, or is gone, is written anew; only another owner's name counts.
            if found and found.get("owner") not in (None, self._owner):
                self.lost = True
                # SIGTERM where it interrupts: in the background Ctrl-C may be ignored.
                interrupts = callable(signal.getsignal(signal.SIGTERM))
                signal.raise_signal(signal.SIGTERM if interrupts else signal.SIGINT)
                return
            beat += 1
            self._store.renew(_content(self._owner, beat))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _content(owner: str, beat: int) -> str:
    value = {"owner": owner, "host": socket.gethostname(), "process": os.getpid(), "beat": beat}
    return json.dumps({**value, "where": _where()})


def _where() -> str:
    """What makes a process's number mean one process: this start of the machine, and the container; "" if unknown.

    Containers, or machines, may share a name.
    """
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{start} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _is_dead(found: dict[str, Any]) -> bool:
    """Whether the owner was a process that this one could see, and is not there any more."""
    process, here = found.get("process"), _where()
    if not here or found.get("where") != here or not isinstance(process, int):
        return False
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _lost(place: str) -> str:
    return (
        f"Another `harness run` took over {place}, because this one had said nothing for "
        f"{EXPIRES_SECONDS:.0f} seconds. Nothing is lost; the other goes on."
    )
