"""Meta-Dataset's class splits, drawn again (Triantafillou and others 2020; its published conversion code)."""

from collections.abc import Sequence

import numpy as np

from harness.errors import DataError

SEED = 22
"""The seed of Meta-Dataset's conversion."""


def official_split(names: Sequence[str], n_train: int, n_valid: int) -> dict[str, list[str]]:
    """Split -> its classes, in the official order, of sources whose split Meta-Dataset drew at random.

    names: all classes, sorted; for MSCOCO in the order of its categories. n_train, n_valid: their numbers; the
    rest are test. Holds for aircraft, cu_birds, dtd, quickdraw, fungi, vgg_flower and mscoco.
    Raises DataError when there are fewer names than that.
    """
    if len(names) < n_train + n_valid:
        raise DataError(
            f"{len(names)} classes cannot be split into {n_train} for training and {n_valid} for validation."
        )
    rng = np.random.RandomState(SEED)  # the generator behind np.random.seed, which Meta-Dataset uses
    trainval = rng.choice(len(names), n_train + n_valid, replace=False)
    test = np.setdiff1d(np.arange(len(names)), trainval)
    train = rng.choice(trainval, n_train, replace=False)
    valid = np.setdiff1d(trainval, train)
    chosen = {"train": train, "valid": valid, "test": test}
    return {split: [names[int(number)] for number in numbers] for split, numbers in chosen.items()}
