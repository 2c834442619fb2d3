"""When an interruption takes effect: an update that has begun is finished first; SIGTERM is as Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any


class DeferredInterrupt:
    """While entered, the first SIGINT only sets `requested`; a second one interrupts at once.

    Ray cancels a task by simulating SIGINT, so this serves workers too. Outside the main thread signals
    cannot be caught and nothing changes.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None
        self._caught = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> "DeferredInterrupt":
        if self._caught:
            self._previous = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._caught:
            signal.signal(signal.SIGINT, self._previous)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM, which batch systems send, end the work as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        # A shell starts what it runs in the background with Ctrl-C ignored: raising that would do nothing.
        if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
