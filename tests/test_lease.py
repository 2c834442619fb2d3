"""One `harness run` at a time in a folder: the second waits, a dead one's lease ends, nobody works twice."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from experiments import write_tiny
from harness import lease, lease_file
from harness.errors import WorkspaceError
from harness.lease import LEASE, held
from harness.lease_file import LeaseFile

DEAD = 2**22 + 12345
"""No process has such a number: Linux gives none above 2^22."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("BEAT_SECONDS", 0.05), ("POLL_SECONDS", 0.02), ("EXPIRES_SECONDS", 0.5)):
        monkeypatch.setattr(lease, name, value)


@pytest.fixture
def terminable() -> Iterator[None]:
    """SIGTERM interrupts, as while `harness run` works; Ctrl-C is ignored where the tests run in the background."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


def leave(runs: Path, **changes: object) -> None:
    """What another process has left."""
    runs.mkdir(parents=True, exist_ok=True)
    value = {"owner": "other", "host": "elsewhere", "process": 1, "beat": 3, **changes}
    (runs / LEASE).write_text(json.dumps(value))


def nothing(said: str) -> None:
    raise AssertionError(said)


def until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_lease_is_there_while_it_is_held_and_beats(tmp_path: Path) -> None:
    path = tmp_path / "runs" / LEASE
    with held(tmp_path / "runs", nothing):
        first = json.loads(path.read_text())
        assert first["process"] == os.getpid()
        until(lambda: json.loads(path.read_text())["beat"] > first["beat"])
    assert not (tmp_path / "runs").exists(), "made in vain"


def test_the_second_waits_for_the_first(tmp_path: Path) -> None:
    runs, order, said = tmp_path / "runs", [], []

    def second() -> None:
        with held(runs, said.append):
            order.append("second")

    thread = threading.Thread(target=second)
    with held(runs, nothing):
        thread.start()
        until(lambda: bool(said))
        time.sleep(0.7)  # longer than a lease lasts without a beat
        order.append("first")
    thread.join(20)
    assert order == ["first", "second"]
    assert len(said) == 1
    assert f"process {os.getpid()}" in said[0]


@pytest.mark.parametrize("how", ["killed here", "silent elsewhere", "damaged"])
def test_a_dead_owner_is_not_waited_for_longer_than_it_takes_to_know(tmp_path: Path, how: str) -> None:
    runs = tmp_path / "runs"
    leave(runs, process=DEAD, where=lease._where() if how == "killed here" else "another container")
    if how == "damaged":
        (runs / LEASE).write_text("{")
    said: list[str] = []
    began = time.monotonic()
    with held(runs, said.append):
        waited = time.monotonic() - began
        assert json.loads((runs / LEASE).read_text())["process"] == os.getpid()
    assert (waited < 0.5) == (how == "killed here")
    assert bool(said) == (how != "killed here")
    assert list(runs.iterdir()) == []


@pytest.mark.usefixtures("terminable")
def test_who_was_taken_for_dead_stops_and_leaves_the_others_lease_alone(tmp_path: Path) -> None:
    runs = tmp_path / "runs"

    def work() -> None:
        with held(runs, nothing):
            leave(runs)
            time.sleep(20)

    with pytest.raises(WorkspaceError, match="took over"):
        work()
    assert json.loads((runs / LEASE).read_text())["owner"] == "other"


def test_a_lease_that_cannot_be_read_for_a_moment_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "runs" / LEASE
    with held(tmp_path / "runs", nothing):
        path.write_text("{")
        until(lambda: path.read_text() != "{")
        path.unlink()
        until(path.exists)
        time.sleep(0.2)
    assert not path.exists()


def test_of_many_that_find_a_dead_lease_one_at_a_time_goes_in(tmp_path: Path) -> None:
    runs, inside, most = tmp_path / "runs", [], []
    leave(runs)

    def one(number: int) -> None:
        with held(runs, lambda _: None):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.03)
            inside.remove(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1] * 8


def test_a_lease_that_another_has_made_since_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path)
    store, there = LeaseFile(tmp_path / LEASE), []
    dead = store.read()
    assert dead is not None
    store.bury(dead)
    assert store.make("me", json.dumps({"owner": "me"}))
    real = lease_file._read
    monkeypatch.setattr(lease_file, "_read", lambda path: (there.append(store.path.exists()), real(path))[1])
    store.bury(dead)
    assert there == [True], "a third could have made its own"
    assert store.read() == {"owner": "me"}
    assert list(tmp_path.iterdir()) == [store.path]


def test_a_grave_whose_digger_died_is_no_bar_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path)
    store = LeaseFile(tmp_path / LEASE)
    dead = store.read()
    assert dead is not None
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    store.bury(dead)  # dies at it
    monkeypatch.setattr(Path, "unlink", unlink)
    store.bury(dead)
    assert store.read() is not None, "somebody may be at it just now"
    monkeypatch.setattr(lease_file, "GRAVE_SECONDS", -1.0)
    store.bury(dead)
    store.bury(dead)
    assert list(tmp_path.iterdir()) == []


def test_where_there_are_no_links_the_lease_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(os, "link", refuse)
    with held(tmp_path / "runs", nothing):
        assert (tmp_path / "runs" / LEASE).is_file()
        store = LeaseFile(tmp_path / "runs" / LEASE)
        assert not store.make("another", "{}")
        store.bury({"owner": "one before"})
        assert store.path.is_file()
    leave(tmp_path / "runs", process=DEAD, where=lease._where())
    with held(tmp_path / "runs", nothing):
        assert json.loads(store.path.read_text())["process"] == os.getpid()


@pytest.mark.slow
def test_two_commands_at_once_do_every_run_once(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    command = [sys.executable, "-m", "harness", "run", "tiny.gin", "--backend", "serial", "--cache", "cache"]
    command += ["--set", "Evaluation.n_episodes=4"]
    both = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    texts = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], texts
    assert sum(text.count("done maml-") for text in texts) == 1
    assert sum("waiting for it" in text for text in texts) == 1
    assert not list(tmp_path.rglob(f"{LEASE}*"))
