"""Paired differences as studies would find them, with a known truth."""

from collections.abc import Iterator

import numpy as np

from harness.nested import Floats, Ints

QUERIES = 75
EPISODE_SD = 0.08
"""What the queries of two conditions leave between them: √(2 · p (1 - p) / 75) for p around 0.6."""


def studies(
    count: int,
    *,
    difference: float,
    seed_sd: float = 0.0,
    seeds: int = 3,
    episodes: int = 600,
    stream: int = 0,
) -> Iterator[tuple[Floats, Ints]]:
    """`count` studies of paired differences of accuracies, in steps of 1/75, and seed labels, [seeds * episodes].

    The difference is `difference` on average over trainings, normal around it with `seed_sd` from seed to
    seed, and with EPISODE_SD from episode to episode within one.
    """
    rng = np.random.default_rng([20261125, seeds, episodes, stream])
    labels = np.repeat(np.arange(seeds), episodes)
    for _ in range(count):
        means = difference + rng.normal(0, seed_sd, (seeds, 1))
        found = means + EPISODE_SD * rng.standard_normal((seeds, episodes))
        yield (np.rint(QUERIES * found) / QUERIES).ravel(), labels


def highest_rate(nominal: float, count: int) -> float:
    """What a true rate of `nominal` stays under in `count` studies, three standard errors above it."""
    return float(nominal + 3 * np.sqrt(nominal * (1 - nominal) / count))
