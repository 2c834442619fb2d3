"""Whether a probe keeps the contract of `harness.probe`. A second or two to run, on drawn glyphs."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch

from harness import plugins
from harness.episode import Episode, EpisodeShape, Spare
from harness.episode_sequence import SourceSequence
from harness.learner import Learner
from harness.method import Method
from harness.networks import Conv4
from harness.parameters import check_name
from harness.plugins import Component
from harness.probe import Probe, ProbeRow, can_pool
from harness.probing import measure
from harness.testing.checks import Check, frozen_dataclass, require, run_checks
from harness.testing.method_checks import IMAGES, MAX_WAY, glyph_pool

SHAPE = EpisodeShape(n_way=5, n_shot=1, n_query=3)


def check_probe(probe: Any) -> list[Check]:
    """Whether a probe keeps the contract of `harness.probe.Probe`.

    Nothing is raised: each promise is one `Check`, passed or not.
    """
    checks = {
        "attributes": _attributes,
        "frozen dataclass that pickles": lambda subject: frozen_dataclass(subject.probe),
        "rows fit the schema": _rows,
        "pooled rows fit the schema": _pooled,
        "measuring is deterministic": _deterministic,
        "measuring leaves the learner as it was": _unchanged,
        "episodes without spare images have rows": _no_spare,
        "any method is measured that it says it can": _without_adaptation,
    }
    return run_checks(checks, _Subject(probe))


@dataclass(frozen=True)
class _Subject:
    """The probe under test, with a learner and glyphs to try it on."""

    probe: Probe

    @cached_property
    def method(self) -> Method:
        made: Method = plugins.build(
            plugins.METHODS, Component(plugin="maml", params={"inner_lr": 0.1, "test_inner_steps": 2})
        )
        return made

    @cached_property
    def learner(self) -> Learner:
        torch.manual_seed(0)
        return self.method.trainer.init(Conv4(filters=8).build(1, IMAGES.size), MAX_WAY).eval()

    @cached_property
    def sequence(self) -> SourceSequence:
        return SourceSequence(glyph_pool("test"), SHAPE, IMAGES, seed=0)

    def episode(self, k: int = 0) -> tuple[Episode, Spare]:
        return self.sequence[k], self.sequence.spare(k, self.probe.n_spare)

    def rows(self, k: int = 0, method: Method | None = None, spare: Spare | None = None) -> list[ProbeRow]:
        episode, own = self.episode(k)
        return measure(self.probe, self.learner, method or self.method, episode, spare or own, seed=0)


def _attributes(subject: _Subject) -> str:
    probe = subject.probe
    require(isinstance(probe, Probe), f"{type(probe).__name__} lacks a member of harness.probe.Probe")
    check_name(type(probe).__name__, probe.name)
    require(_whole(probe.n_episodes, 1), f"n_episodes is {probe.n_episodes!r}, not a whole number from 1")
    require(_whole(probe.n_spare, 0), f"n_spare is {probe.n_spare!r}, not a whole number from 0")
    require(isinstance(probe.needs_adaptation, bool), f"needs_adaptation is {probe.needs_adaptation!r}")
    work = probe.work(4, 10)
    require(min(work.adaptations, work.spare_passes) >= 0, f"work is {work}")
    return f"{probe.name}: {probe.n_episodes} episodes, at most {probe.n_spare} spare images each"


def _whole(value: object, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _rows(subject: _Subject) -> str:
    rows = subject.rows()
    _check_rows(rows)
    require(any(not row.reason for row in rows), "every value is NaN")
    return f"{len(rows)} rows an episode"


def _check_rows(rows: Sequence[ProbeRow]) -> None:
    require(bool(rows), "there are no rows")
    for row in rows:
        kinds = {"condition": str, "quantity": str, "layer": str, "reason": str, "value": float, "n": int}
        wrong = [name for name, kind in kinds.items() if not isinstance(getattr(row, name), kind)]
        require(not wrong, f"{wrong} of {row} are of another type than the schema's")
        require(row.step is None or _whole(row.step, 1), f"step of {row} is not a whole number from 1")
        require(bool(row.condition and row.quantity), f"{row} lacks its condition or quantity")
        require(row.n >= 0, f"n of {row} is negative")
        require(not math.isinf(row.value), f"{row} is infinite")
        require(math.isnan(row.value) == bool(row.reason), f"{row}: NaN and a reason belong together")
    keys = [(row.condition, row.quantity, row.layer, row.step) for row in rows]
    twice = [key for key in set(keys) if keys.count(key) > 1]
    require(not twice, f"two rows of one condition, quantity, layer and step: {twice[:1]}")


def _pooled(subject: _Subject) -> str:
    if not can_pool(subject.probe):
        return "none"
    each = [subject.rows(k) for k in range(2)]
    rows = list(subject.probe.pooled([row for rows in each for row in rows]))
    _check_rows(rows)
    shared = {row.quantity for row in rows} & {row.quantity for row in each[0]}
    require(not shared, f"{shared} are quantities of episodes too")
    return f"{len(rows)} rows"


def _deterministic(subject: _Subject) -> str:
    first, second = (repr([asdict(row) for row in subject.rows()]) for _ in range(2))
    require(first == second, "the same episode measured twice differs")
    return "bit for bit"


def _unchanged(subject: _Subject) -> str:
    learner = subject.learner
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    subject.rows()
    changed = [name for name, value in learner.state_dict().items() if not torch.equal(value, before[name])]
    require(not changed, f"measuring changed {changed}")
    grown = [name for name, parameter in learner.named_parameters() if parameter.grad is not None]
    require(not grown, f"measuring left gradients in {grown}")
    require(not learner.training, "measuring left the learner in training mode")
    return f"{len(before)} tensors"


def _no_spare(subject: _Subject) -> str:
    _, spare = subject.episode()
    rows = subject.rows(spare=replace(spare, x=spare.x[:0], y=spare.y[:0]))
    _check_rows(rows)
    absent = sum(bool(row.reason) for row in rows)
    return f"{absent} of {len(rows)} rows say why they are NaN"


def _without_adaptation(subject: _Subject) -> str:
    if subject.probe.needs_adaptation:
        return "it needs one that adapts"
    nil: Method = plugins.build(plugins.METHODS, Component(plugin="nil", params={}))
    rows = subject.rows(method=nil)
    _check_rows(rows)
    return f"{len(rows)} rows for one that does not adapt"
