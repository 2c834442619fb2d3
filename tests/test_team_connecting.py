"""How long the first worker of a shared training waits for others: to connect not for long, for shares patiently."""

import contextlib
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import torch
import torch.distributed as dist

from harness import training_team
from harness.outer_gradients import TeamLostError
from harness.training_team import Address, LeadingTeam

HOST = "127.0.0.1"
N_SHARES, LENGTH = 2, 3


class First:
    """A training's first worker, with the threads that stand for the others."""

    def __init__(self) -> None:
        network: Any = torch.nn.Linear(1, 1)
        optimiser = torch.optim.Adam(network.parameters())
        self.threads: list[threading.Thread] = []
        self.team = LeadingTeam(learner=network, optimiser=optimiser, host=HOST, call=self.called)

    @contextlib.contextmanager
    def called(self, address: Address) -> Iterator[None]:
        self.address = address
        yield
        for thread in self.threads:
            thread.join(60)

    def joined(self, seconds: float, *, dies: bool) -> None:
        """Another worker arrives, and is lost once it has answered if it `dies`; else it is slow to send its share."""
        before = self.store().add("arrivals", 0)
        self.threads.append(threading.Thread(target=self.take_part, args=(seconds, dies), daemon=True))
        self.threads[-1].start()
        while self.store().add("arrivals", 0) == before:
            time.sleep(0.01)

    def store(self) -> Any:
        return dist.TCPStore(*self.address, is_master=False)  # type: ignore[attr-defined]

    def take_part(self, seconds: float, dies: bool) -> None:
        store = self.store()
        if dies:
            me = store.add("arrivals", 1)
            training_team._until(store, f"call/{me}")
            store.set(f"here/{store.get(f'call/{me}').decode()}/{me}", "yes")
            return
        wire = training_team._seat(store, HOST)
        assert wire is not None
        network: Any = torch.nn.Linear(1, 1)
        training_team._receive_state(wire, network, torch.optim.Adam(network.parameters()))
        time.sleep(seconds)
        with contextlib.suppress(TeamLostError):
            wire.exchange([torch.full((LENGTH,), 7.0)], N_SHARES, LENGTH, 0.0)


@pytest.fixture
def first() -> Iterator[First]:
    found = First()
    yield found
    found.team.close()


def test_one_that_dies_between_answering_and_connecting_is_not_waited_for(
    first: First, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert training_team.CONNECT <= timedelta(minutes=1) < training_team.SILENCE
    monkeypatch.setattr(training_team, "CONNECT", timedelta(seconds=2))
    monkeypatch.setattr(training_team, "SILENCE", timedelta(seconds=40))
    first.team.ready(0)
    first.joined(0.0, dies=True)
    began = time.monotonic()
    first.team.ready(1)
    assert time.monotonic() - began < 20
    assert first.team.size == 1, "it goes on alone"
    first.joined(0.0, dies=False)
    first.team.ready(2)
    assert first.team.size == 2, "and takes in who comes then"


def test_one_that_has_connected_is_waited_for_as_long_as_its_share_takes(
    first: First, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_team, "CONNECT", timedelta(seconds=2))
    first.team.ready(0)
    first.joined(5.0, dies=False)
    first.team.ready(1)
    shares = first.team.exchange([torch.full((LENGTH,), 5.0)], N_SHARES, LENGTH)
    assert [share.tolist() for share in shares] == [[5.0] * LENGTH, [7.0] * LENGTH]
