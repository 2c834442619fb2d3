"""Ctrl-C at a moment of our choosing: an update that has begun is finished before the process stops."""

import signal
import threading
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
