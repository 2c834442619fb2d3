"""What a probe is: a measurement on a trained learner beyond accuracy, and the contract that probe plugins keep.

    for episode, spare in the first n_episodes of each evaluation:  probe.measure(learner, method, episode, spare)
    after the last of a source:                                     probe.pooled(all its rows), where it has that

A probe is a frozen dataclass registered under the entry-point group `harness.probes`, its fields set from gin. The
episodes are those of the evaluation, so rows pair with its rows by (seed, source, episode).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeGuard, runtime_checkable

from harness.measured import NOT_FINITE, Measured, undefined

if TYPE_CHECKING:
    from harness.episode import Episode, Spare
    from harness.learner import Learner
    from harness.method import Method

SPARE_LIMIT = 100
"""Spare images an episode, unless a probe is told otherwise."""


@dataclass(frozen=True, kw_only=True)
class ProbeRow:
    """One number: the columns that a probe fills (see results.PROBE_COLUMNS).

    condition: which variant, for example which layers adapt. layer: empty where the number is of none. step: of the
    inner loop, from 1; None where it is of none. n: images behind the value. reason: why the value is NaN, else empty.
    """

    condition: str
    quantity: str
    value: float
    n: int
    layer: str = ""
    step: int | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one episode costs, for the estimate of `harness plan`.

    adaptations: to the support set, counted in ones of the whole network, each with one prediction of the queries.
    spare_passes: forward passes over the spare images, or what takes as long.
    """

    adaptations: float
    spare_passes: float


@runtime_checkable
class Probe(Protocol):
    """A measurement on a trained learner.

    Attributes:
        name: in every row.
        n_episodes: measured are the first of each evaluation, never more than it has.
        n_spare: most spare images an episode that `measure` is given; 0 for a probe that uses none.
        needs_adaptation: whether it is for methods alone that have `adapt` (method.AdaptingMethod).
    """

    @property
    def name(self) -> str:
        """The probe's name in rows."""

    @property
    def n_episodes(self) -> int:
        """Episodes of each evaluation."""

    @property
    def n_spare(self) -> int:
        """Most spare images an episode."""

    @property
    def needs_adaptation(self) -> bool:
        """Whether a method without `adapt` cannot be measured at all."""

    def work(self, n_layers: int, steps: int) -> Work:
        """Of one episode, for a body of `n_layers` and so many inner steps."""

    def measure(self, learner: Learner, method: Method, episode: Episode, spare: Spare) -> Iterable[ProbeRow]:
        """The rows of one episode; leaves the learner bit for bit as it was.

        Called in evaluation mode and without gradients. Whatever cannot be measured is a row of NaN with its reason.
        """


@runtime_checkable
class PoolingProbe(Probe, Protocol):
    """A probe that also has something to say of all its episodes of a source together."""

    def pooled(self, rows: Sequence[ProbeRow]) -> Iterable[ProbeRow]:
        """Rows over the episodes that gave `rows`, one after another."""


def can_pool(probe: Probe) -> TypeGuard[PoolingProbe]:
    """Whether the probe has rows over all episodes."""
    return isinstance(probe, PoolingProbe)


def row(
    found: Measured | float,
    *,
    condition: str,
    quantity: str,
    n: int,
    layer: str = "",
    step: int | None = None,
) -> ProbeRow:
    """A row of what was measured; a number that is not finite becomes NaN with a reason."""
    if not isinstance(found, Measured):
        found = Measured(value=found) if math.isfinite(found) else undefined(NOT_FINITE)
    return ProbeRow(
        condition=condition,
        quantity=quantity,
        value=found.value,
        n=n,
        layer=layer,
        step=step,
        reason=found.reason,
    )


def grouped(rows: Iterable[ProbeRow]) -> Mapping[tuple[str, str], list[ProbeRow]]:
    """(condition, layer) -> its rows, in order of first appearance."""
    found: dict[tuple[str, str], list[ProbeRow]] = {}
    for each in rows:
        found.setdefault((each.condition, each.layer), []).append(each)
    return found


def absent(method: str) -> str:
    """Why a probe that needs adaptation has nothing to say of `method`."""
    return f"The method {method!r} adapts nothing to a task, so there is nothing to measure."
