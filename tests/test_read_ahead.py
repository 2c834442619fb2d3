"""Reading ahead: the same episodes in the same order, and nothing left behind."""

import threading
import time

import pytest

from harness import read_ahead
from harness.episode import Episode
from harness.read_ahead import ReadAhead
from tiny import tiny_episode


class Slow:
    """A sequence that takes its time, counts what it was asked for, and fails at one place."""

    def __init__(self, *, seconds: float = 0.0, fails_at: int | None = None) -> None:
        self.seconds, self.fails_at, self.asked = seconds, fails_at, 0

    def __getitem__(self, k: int) -> Episode:
        self.asked += 1
        time.sleep(self.seconds)
        if k == self.fails_at:
            raise OSError(f"no episode {k}")
        return tiny_episode(seed=k)


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


def test_all_episodes_come_in_their_order() -> None:
    with ReadAhead(Slow(), range(3, 20)) as episodes:
        assert [episode.index for episode in episodes] == list(range(3, 20))
    assert not readers()


def test_reading_goes_on_while_the_work_does() -> None:
    sequence = Slow(seconds=0.05)
    with ReadAhead(sequence, range(3)) as episodes:
        next(episodes)
        deadline = time.monotonic() + 300
        while sequence.asked < 3:
            assert time.monotonic() < deadline, "nothing is read while the caller works"
            time.sleep(0.01)
        assert len(list(episodes)) == 2


def test_an_error_comes_where_its_episode_would_have() -> None:
    with ReadAhead(Slow(fails_at=2), range(5)) as episodes:
        assert [next(episodes).index, next(episodes).index] == [0, 1]
        for _ in range(2):
            with pytest.raises(OSError, match="no episode 2"):
                next(episodes)


def test_whoever_stops_early_leaves_no_thread() -> None:
    sequence = Slow()
    with ReadAhead(sequence, range(10**9)) as episodes:
        next(episodes)
    assert not readers()
    assert sequence.asked < 10**9


def test_no_more_is_read_than_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    size = tiny_episode().n_values
    for limit, ahead in ((3 * size, 3), (size // 2, 1)):
        monkeypatch.setattr(read_ahead, "VALUES_AHEAD", limit)
        sequence = Slow()
        with ReadAhead(sequence, range(100)) as episodes:
            next(episodes)
            time.sleep(0.2)
            # One was handed out, `ahead` wait, and one is in the reader's hand.
            assert sequence.asked <= 1 + ahead + 1
            assert sequence.asked >= 1 + ahead
