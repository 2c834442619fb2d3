"""Randomness from counters: every random number is a pure function of (SERIES, seed, stream, k).

No generator is ever shared or advanced, so one worker or a hundred, serial or Ray, resumed or not, draw the
same numbers.
"""

import hashlib

import numpy as np

PROTOCOL_VERSION = 4
"""Raised whenever the same spec would give other numbers; rows of different versions are never ranked together."""

SERIES = 3
"""Which random numbers: the version that began to draw these. Changed only where other episodes are wanted."""


def stream_id(label: str) -> int:
    """A 63-bit integer that names a stream of random numbers, the same on every machine."""
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big") >> 1


def counter_rng(seed: int, stream: str, k: int) -> np.random.Generator:
    """The generator of draw `k` of `stream`: pure in its arguments."""
    return np.random.default_rng([SERIES, seed, stream_id(stream), k])


def torch_seed(seed: int, stream: str) -> int:
    """A seed for `torch.Generator.manual_seed`, pure in its arguments."""
    return int(counter_rng(seed, stream, 0).integers(2**63 - 1))


def seed_torch(seed: int, stream: str) -> None:
    """Start torch's own generators at a point that is pure in the arguments.

    Not by `torch.manual_seed`, which writes out a stack trace on every call.
    """
    import torch

    number = torch_seed(seed, stream)
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(number)
