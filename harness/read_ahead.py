"""Episodes, or batches, read by a thread while those before them are worked on: the work need not wait for data."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Generic, Protocol, TypeVar

import torch

VALUES_AHEAD = 2**22
"""Pixel values that may wait to be used, 16 MiB; a single item may be larger."""


class Item(Protocol):
    """An episode, or a batch of images."""

    @property
    def n_values(self) -> int:
        """Its pixel values."""


Read = TypeVar("Read", bound=Item)
Given = TypeVar("Given", bound=Item, covariant=True)


class Readable(Protocol[Given]):
    """Anything that gives item k for k = 0, 1, 2, ..., always the same for the same k."""

    def __getitem__(self, k: int) -> Given: ...


class _Stop:
    """What comes after the last item: the error that ended the reading, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class ReadAhead(Generic[Read]):
    """The items `indices` of a sequence, in order, read ahead of their use. Use it in a `with` statement.

    What is read does not depend on when: items are pure functions of their index. An error in reading is raised
    where the item would have been handed out.
    """

    def __init__(self, items: Readable[Read], indices: Iterable[int]) -> None:
        self._items, self._indices = items, indices
        self._ready: deque[Read | _Stop] = deque()
        self._values = 0
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._read, name="read-ahead", daemon=True)

    def __enter__(self) -> "ReadAhead[Read]":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()

    def __iter__(self) -> Iterator[Read]:
        return self

    def __next__(self) -> Read:
        with self._changed:
            self._changed.wait_for(lambda: self._ready)
            found = self._ready[0]
            if not isinstance(found, _Stop):
                self._ready.popleft()
                self._values -= found.n_values
                self._changed.notify_all()
                return found
        raise StopIteration if found.error is None else found.error

    def _read(self) -> None:
        torch.set_num_threads(
            torch.get_num_threads()
        )  # a thread of its own starts with the machine's default
        try:
            for k in self._indices:
                if not self._put(self._items[k]):
                    return
        except BaseException as error:  # whoever asks for the item gets it
            self._put(_Stop(error))
        else:
            self._put(_Stop(None))

    def _put(self, found: Read | _Stop) -> bool:
        """Wait for room and leave `found` there; False when nobody wants it any more."""
        size = 0 if isinstance(found, _Stop) else found.n_values
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or not self._ready or self._values + size <= VALUES_AHEAD
            )
            if self._stopped:
                return False
            self._ready.append(found)
            self._values += size
            self._changed.notify_all()
        return True
