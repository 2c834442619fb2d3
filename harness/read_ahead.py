"""Episodes read by a thread while those before them are worked on, so that the work need not wait for data."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType

import torch

from harness.episode import Episode
from harness.episode_sequence import EpisodeSequence
from harness.task_batch import values

VALUES_AHEAD = 2**22
"""Pixel values that may wait to be used, 16 MiB; a single episode may be larger."""


class ReadAhead:
    """The episodes `indices` of a sequence, in order, read ahead of their use. Use it in a `with` statement.

    What is read does not depend on when: episodes are pure functions of their index. An error in reading is raised
    where the episode would have been handed out.
    """

    def __init__(self, episodes: EpisodeSequence, indices: Iterable[int]) -> None:
        self._episodes, self._indices = episodes, indices
        self._ready: deque[Episode | BaseException | None] = deque()
        self._values = 0
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._read, name="read-ahead", daemon=True)

    def __enter__(self) -> "ReadAhead":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()

    def __iter__(self) -> Iterator[Episode]:
        return self

    def __next__(self) -> Episode:
        with self._changed:
            self._changed.wait_for(lambda: self._ready)
            found = self._ready[0]
            if isinstance(found, Episode):
                self._ready.popleft()
                self._values -= values(found.task)
                self._changed.notify_all()
                return found
        if found is None:
            raise StopIteration
        raise found

    def _read(self) -> None:
        torch.set_num_threads(
            torch.get_num_threads()
        )  # a thread of its own starts with the machine's default
        try:
            for k in self._indices:
                episode = self._episodes[k]
                if not self._put(episode):
                    return
        except BaseException as error:  # whoever asks for the episode gets it
            self._put(error)
        else:
            self._put(None)

    def _put(self, found: Episode | BaseException | None) -> bool:
        """Wait for room and leave `found` there; False when nobody wants it any more."""
        size = values(found.task) if isinstance(found, Episode) else 0
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
