"""Every registered probe keeps its contract, and what does not is caught."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from harness import plugins
from harness.episode import Episode, Spare
from harness.learner import Learner
from harness.method import Method, can_adapt
from harness.probe import ProbeRow
from harness.probes.specialisation import Specialisation
from harness.testing import check_probe


@pytest.mark.parametrize("name", plugins.names(plugins.PROBES))
def test_every_registered_probe_keeps_the_contract(name: str) -> None:
    probe = plugins.load(plugins.PROBES, name)()
    assert probe.name == name
    checks = check_probe(probe)
    assert len(checks) == 8
    assert [check for check in checks if not check.passed] == []
    assert plugins.build(plugins.PROBES, plugins.describe(plugins.PROBES, probe)) == probe


@dataclasses.dataclass(frozen=True, kw_only=True)
class WrongProbe(Specialisation):
    """Keeps the contract but for one fault."""

    name: str = "wrong"
    fault: str = ""

    def measure(self, learner: Learner, method: Method, episode: Episode, spare: Spare) -> Iterator[ProbeRow]:
        if self.fault == "moves the learner":
            learner.head.bias += 1e-3
        if self.fault == "needs images" and not len(spare.x):
            raise ValueError("no images")
        if self.fault == "needs a head" and not can_adapt(method):
            raise ValueError("no inner loop")
        rows = list(super().measure(learner, method, episode, spare))
        faulty: dict[str, dict[str, Any]] = {
            "no reason": {"value": float("nan")},
            "infinite": {"value": float("inf")},
            "tensor": {"value": torch.tensor(1.0)},
            "step 0": {"step": 0},
            "random": {"value": float(np.random.default_rng().random())},
        }
        yield dataclasses.replace(rows[0], **faulty.get(self.fault, {}))
        yield from rows[:1] if self.fault == "twice" else rows[1:]

    def pooled(self, rows: Sequence[ProbeRow]) -> Iterator[ProbeRow]:
        for row in super().pooled(rows):
            same = self.fault == "pooled as an episode"
            yield dataclasses.replace(row, quantity="within") if same else row


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        ("", None),
        ("moves the learner", "measuring leaves the learner as it was"),
        ("needs images", "episodes without spare images have rows"),
        ("needs a head", "any method is measured that it says it can"),
        ("no reason", "rows fit the schema"),
        ("infinite", "rows fit the schema"),
        ("tensor", "rows fit the schema"),
        ("step 0", "rows fit the schema"),
        ("twice", "rows fit the schema"),
        ("random", "measuring is deterministic"),
        ("pooled as an episode", "pooled rows fit the schema"),
    ],
)
def test_a_broken_probe_is_caught(fault: str, broken: str | None) -> None:
    failed = [check.name for check in check_probe(WrongProbe(fault=fault)) if not check.passed]
    assert broken in failed if broken else not failed


def test_something_else_fails_without_raising() -> None:
    assert not all(check.passed for check in check_probe(object()))
