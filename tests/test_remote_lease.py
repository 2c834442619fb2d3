"""The lease of an experiment at a URL: of two commands one waits, and who was overwritten stops."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from faulty_files import URL, FaultyFileSystem, failing, faulty
from harness import lease
from harness.errors import WorkspaceError
from harness.lease import LEASE, held
from harness.remote import lease_object
from harness.remote import objects as objects_module
from harness.remote.lease_object import LeaseObject
from harness.remote.objects import Objects

KEY = f"runs/{LEASE}"


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FaultyFileSystem]]:
    for name, value in (("BEAT_SECONDS", 0.05), ("POLL_SECONDS", 0.02), ("EXPIRES_SECONDS", 0.6)):
        monkeypatch.setattr(lease, name, value)
    monkeypatch.setattr(lease_object, "SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(objects_module, "PAUSE_SECONDS", 0.001)
    with faulty() as system:
        yield system


@pytest.fixture
def terminable() -> Iterator[None]:
    """SIGTERM interrupts, as while `harness run` works."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


def there() -> dict[str, Any]:
    return dict(json.loads(Objects(url=URL).read(KEY) or b"{}"))


def until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


def nothing(said: str) -> None:
    raise AssertionError(said)


@pytest.mark.usefixtures("files")
def test_the_lease_lies_at_the_url_beats_and_is_given_back(tmp_path: Any) -> None:
    runs = tmp_path / "mirror" / "runs"
    with held(runs, nothing, url=URL):
        first = there()
        until(lambda: there()["beat"] > first["beat"])
        assert runs.is_dir()
        assert list(runs.iterdir()) == []
    assert Objects(url=URL).listing() == {}
    assert not runs.exists(), "made in vain"


@pytest.mark.usefixtures("files")
def test_the_second_waits_for_the_first_whatever_its_mirror(tmp_path: Any) -> None:
    order, said = [], []

    def second() -> None:
        with held(tmp_path / "b" / "runs", said.append, url=URL):
            order.append("second")

    thread = threading.Thread(target=second)
    with held(tmp_path / "a" / "runs", nothing, url=URL):
        thread.start()
        until(lambda: bool(said))
        time.sleep(0.9)  # longer than a lease lasts without a beat
        order.append("first")
    thread.join(20)
    assert order == ["first", "second"]
    assert f"Another command works in {URL}" in said[0]


@pytest.mark.usefixtures("files")
def test_of_many_that_find_no_lease_or_a_dead_one_one_at_a_time_goes_in(tmp_path: Any) -> None:
    inside: list[int] = []
    most: list[int] = []
    dead = {"owner": "other", "host": "elsewhere", "process": 1, "beat": 3}
    Objects(url=URL).write(KEY, json.dumps(dead).encode())

    def one(number: int) -> None:
        with held(tmp_path / str(number) / "runs", lambda _: None, url=URL):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.05)
            inside.remove(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1] * 5


@pytest.mark.usefixtures("files")
def test_of_two_that_write_at_the_same_time_the_last_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stores = [LeaseObject(url=URL, key=KEY) for _ in range(2)]
    both_looked = threading.Barrier(2)
    real = Objects.write

    def together(self: Objects, key: str, content: bytes) -> None:
        both_looked.wait(10)  # each has found no lease
        real(self, key, content)

    monkeypatch.setattr(Objects, "write", together)
    made: dict[str, bool] = {}

    def make(number: int) -> None:
        owner = f"owner {number}"
        made[owner] = stores[number].make(owner, json.dumps({"owner": owner, "beat": 0}))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(made.values()) == [False, True]
    assert made[there()["owner"]]


@pytest.mark.usefixtures("files", "terminable")
def test_who_finds_anothers_name_stops_and_leaves_it(tmp_path: Any) -> None:
    def work() -> None:
        with held(tmp_path / "runs", nothing, url=URL):
            Objects(url=URL).write(KEY, json.dumps({"owner": "other", "beat": 9}).encode())
            time.sleep(20)

    with pytest.raises(WorkspaceError, match=f"took over {URL}"):
        work()
    assert there()["owner"] == "other"


def test_a_connection_lost_for_a_while_costs_no_lease(tmp_path: Any, files: type[FaultyFileSystem]) -> None:
    with held(tmp_path / "runs", nothing, url=URL):
        files.faults[:] = [failing(ConnectionError("gone"), of=kind) for kind in ("read", "write")]
        time.sleep(0.3)
        files.faults.clear()
        beat = there()["beat"]
        until(lambda: there()["beat"] > beat)


def test_a_command_stopped_while_it_settles_leaves_no_lease(
    files: type[FaultyFileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lease_object.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        LeaseObject(url=URL, key=KEY).make("me", json.dumps({"owner": "me"}))
    assert Objects(url=URL).listing() == {}
