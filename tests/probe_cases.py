"""A tiny learner with an episode and spare images in float64, and the rows that probes make of them."""

import torch

from harness.episode import Spare
from harness.learner import Learner
from harness.method import Method
from harness.probe import Probe, ProbeRow
from harness.probing import measure
from harness_methods.maml import MAML
from tiny import tiny_episode, tiny_learner

METHOD = MAML(inner_lr=0.3, test_inner_steps=3)
EPISODE = tiny_episode(seed=1, n_query=5)
_OTHER = tiny_episode(seed=9, n_query=6)
SPARE = Spare(x=_OTHER.task.query_x, y=_OTHER.query_y)


def learner_of(method: Method = METHOD, **network: object) -> Learner:
    return tiny_learner(method, **network).eval()


def rows_of(
    probe: Probe, learner: Learner, method: Method = METHOD, *, spare: Spare = SPARE
) -> list[ProbeRow]:
    return measure(probe, learner, method, EPISODE, spare, seed=0)


def some(rows: list[ProbeRow], **wanted: object) -> list[ProbeRow]:
    """The rows with these values in these fields."""
    return [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]


def values(rows: list[ProbeRow], **wanted: object) -> dict[tuple[str, int | None], float]:
    """(layer, step) -> value, of the rows with these values in these fields."""
    return {(row.layer, row.step): row.value for row in some(rows, **wanted)}


def no_images(spare: Spare = SPARE, n: int = 0) -> Spare:
    return Spare(x=spare.x[:n], y=spare.y[:n])


def stored(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in learner.named_parameters()}
