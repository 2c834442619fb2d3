"""One `harness run` at a time in a folder, on one machine or on many that share it.

    runs/.lease   {"owner": a random word, "host": ..., "process": ..., "where": ..., "beat": a counter}

Who makes the file has the folder; the owner raises the counter every few seconds. Another waits until the file is gone,
or until its owner is dead: its process is not there any more (on the same machine), or the counter has stood still for
EXPIRES_SECONDS by the waiting one's own clock, so that clocks need not agree. Who takes over renames the file first,
which only one can do. An owner that finds that it has been taken for dead stops.
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
from typing import Any

from harness.errors import WorkspaceError
from harness.files import explained, make_folder

LEASE = ".lease"

BEAT_SECONDS = 5.0
EXPIRES_SECONDS = 60.0
POLL_SECONDS = 1.0

Say = Callable[[str], None]


@contextmanager
def held(runs: Path, say: Say) -> Iterator[None]:
    """Make the folder and hold it for this process; wait, having said so, while another has it.

    Folders that were made in vain are removed again: those in which nothing but the lease was written. Raises
    WorkspaceError when the folder cannot be made, and when another process has taken this one for dead, after the
    block was interrupted.
    """
    made = [path for path in (runs, *runs.parents) if not path.exists()]
    try:
        make_folder(runs)
        owner = secrets.token_hex(8)
        _take(runs / LEASE, owner, say)
        renewing = _Renewing(runs / LEASE, owner)
        renewing.start()
        try:
            yield
        except KeyboardInterrupt as interrupt:
            if renewing.lost:
                raise WorkspaceError(_lost(runs)) from interrupt
            raise
        finally:
            renewing.stop()
            _give_back(runs / LEASE, owner)
    finally:
        with suppress(OSError):  # it holds something
            for path in made:
                path.rmdir()


def _take(lease: Path, owner: str, say: Say) -> None:
    """Make the lease, waiting for its owner, whom a word is said about, as long as that is alive."""
    watch, told = _Watch(), False
    while not _made(lease, owner):
        found = _read(lease)
        if found is None:  # gone since
            continue
        if _is_dead(found) or watch.stands_still(found):
            _bury(lease, found)
            continue
        if not told:
            told = True
            say(_waiting(lease.parent.parent, found))
        time.sleep(POLL_SECONDS)


def _waiting(folder: Path, found: dict[str, Any]) -> str:
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

    def __init__(self, lease: Path, owner: str) -> None:
        super().__init__(name="harness-lease", daemon=True)
        self._lease, self._owner, self._ended = lease, owner, threading.Event()
        self.lost = False

    def run(self) -> None:
        beat = 0
        while not self._ended.wait(BEAT_SECONDS):
            found = _read(self._lease)
            # A file that cannot be read just now, or is gone, is written anew; only another owner's name counts.
            if found and found.get("owner") not in (None, self._owner):
                self.lost = True
                # SIGTERM where it interrupts: in the background Ctrl-C may be ignored.
                interrupts = callable(signal.getsignal(signal.SIGTERM))
                signal.raise_signal(signal.SIGTERM if interrupts else signal.SIGINT)
                return
            beat += 1
            _write(self._lease, self._owner, beat)

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


def _made(lease: Path, owner: str) -> bool:
    """Make the lease, whole at once; False where there is one.

    With its folder: another that had begun in vain may just have removed that.
    """
    aside = lease.with_name(f"{LEASE}.{owner}.partial")
    with explained(lease):
        make_folder(lease.parent)
        try:
            aside.write_text(_content(owner, 0), encoding="utf-8")
        except FileNotFoundError:
            return False
        try:
            os.link(aside, lease)  # fails where the file is there, as a rename would not
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            return _made_exclusively(lease, owner)
        finally:
            aside.unlink(missing_ok=True)
    return True


def _made_exclusively(lease: Path, owner: str) -> bool:
    try:
        with lease.open("x", encoding="utf-8") as handle:
            handle.write(_content(owner, 0))
    except FileExistsError:
        return False
    return True


def _write(lease: Path, owner: str, beat: int) -> None:
    """Renew the lease; where that fails (a full disk), the next beat tries again."""
    aside = lease.with_name(f"{LEASE}.{owner}.partial")
    with suppress(OSError):
        aside.write_text(_content(owner, beat), encoding="utf-8")
        aside.replace(lease)


def _read(lease: Path) -> dict[str, Any] | None:
    """What the lease says, empty where it is damaged; None where there is none."""
    try:
        value = json.loads(lease.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


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


def _bury(lease: Path, found: dict[str, Any]) -> None:
    """Remove the lease of a dead owner, and nobody else's: only one process can rename it."""
    grave = lease.with_name(f"{LEASE}.{secrets.token_hex(4)}.dead")
    with suppress(OSError):
        lease.rename(grave)
        renamed = _read(grave)
        if renamed and renamed.get("owner") != found.get("owner"):
            with suppress(OSError):  # another was quicker, and this is its own lease: give it back
                os.link(grave, lease)
        grave.unlink(missing_ok=True)


def _give_back(lease: Path, owner: str) -> None:
    found = _read(lease)
    if found is not None and found.get("owner") == owner:
        with suppress(OSError):
            lease.unlink(missing_ok=True)


def _lost(runs: Path) -> str:
    return (
        f"Another `harness run` took over {runs.parent}, because this one had said nothing for "
        f"{EXPIRES_SECONDS:.0f} seconds. Nothing is lost; the other goes on."
    )
