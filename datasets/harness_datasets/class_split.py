"""How the classes of a user's own source become training, validation and test classes.

By lists, by fractions and a seed, or all of them for testing; a mixin for the plugins that offer it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.dataset import SPLITS
from harness.errors import ConfigError, DataError
from harness.parameters import check_whole

Classes = str | Sequence[str] | None


@dataclass(frozen=True, kw_only=True)
class ClassSplit:
    """The parameters of a class split. Give lists, or fractions, or neither: then every class is for testing.

    train_classes, valid_classes, test_classes: names of classes, or the path of a text file with one name a line,
    or of a JSON file with a list of names. With lists, every class must be in one of them.
    fractions: shares of the classes for training, validation and testing, which add up to 1. split_seed: another
    seed deals the classes otherwise.

    Raises ConfigError for parameters that contradict one another.
    """

    train_classes: Classes = None
    valid_classes: Classes = None
    test_classes: Classes = None
    fractions: Sequence[float] | None = None
    split_seed: int = 0

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have classes."""
        if self.fractions is not None:
            shares = zip(SPLITS, self.fractions, strict=True)
            return tuple(split for split, share in shares if share > 0)
        return tuple(split for split in SPLITS if self._lists()[split] is not None) or ("test",)

    def check_split_parameters(self) -> None:
        """Raise ConfigError where the parameters contradict one another or are out of range."""
        plugin = type(self).__name__
        check_whole(f"{plugin}.split_seed", self.split_seed, low=0)
        listed = [f"{split}_classes" for split, classes in self._lists().items() if classes is not None]
        if self.fractions is None:
            return
        if listed:
            raise ConfigError(f"{plugin} has both fractions and {', '.join(listed)}: give one or the other.")
        numbers = list(self.fractions)
        fitting = len(numbers) == 3 and all(_is_share(share) for share in numbers)
        if not fitting or abs(sum(numbers) - 1) > 1e-9:
            raise ConfigError(
                f"{plugin}.fractions must be three shares, for training, validation and testing, that add up to "
                f"1, as in (0.6, 0.15, 0.25); got {self.fractions!r}."
            )

    def split_classes(self, names: Sequence[str], data_dir: Path | None, where: str) -> dict[str, list[str]]:
        """Split -> its classes, in the order of `names`. `where` is the raw data, for messages.

        Paths of list files are relative to `data_dir`.
        Raises DataError for a listed class that is not there, one in two lists, one in no list, a split that is
        left without classes, and a list file that cannot be read.
        """
        if self.fractions is not None:
            chosen = self._dealt(names)
        elif self.splits == ("test",) and self.test_classes is None:
            chosen = {"train": set(), "valid": set(), "test": set(names)}
        else:
            chosen = self._listed(names, data_dir, where)
        for split in self.splits:
            if not chosen[split]:
                raise DataError(
                    f"{where} has {len(names)} classes, of which none is left for the {split} split: change "
                    f"{type(self).__name__}.fractions or the lists."
                )
        return {split: [name for name in names if name in chosen[split]] for split in SPLITS}

    def _lists(self) -> dict[str, Classes]:
        return {"train": self.train_classes, "valid": self.valid_classes, "test": self.test_classes}

    def _dealt(self, names: Sequence[str]) -> dict[str, set[str]]:
        """In the order of a hash of seed and name: no library version can change it, and a class keeps its
        place when others come."""
        assert self.fractions is not None
        order = sorted(names, key=lambda name: hashlib.sha256(f"{self.split_seed}/{name}".encode()).digest())
        first = round(self.fractions[0] * len(names))
        second = first + round(self.fractions[1] * len(names)) if self.fractions[2] > 0 else len(names)
        return {"train": set(order[:first]), "valid": set(order[first:second]), "test": set(order[second:])}

    def _listed(self, names: Sequence[str], data_dir: Path | None, where: str) -> dict[str, set[str]]:
        known, taken = set(names), dict[str, str]()
        for split, classes in self._lists().items():
            for name in _names(classes, data_dir, f"{type(self).__name__}.{split}_classes"):
                if name not in known:
                    raise DataError(
                        f"{where} has no class {name!r}, which {split}_classes lists: mend the list."
                    )
                if name in taken:
                    raise DataError(
                        f"Class {name!r} is in {taken[name]}_classes and again in {split}_classes: "
                        "the splits must not share a class."
                    )
                taken[name] = split
        left = [name for name in names if name not in taken]
        if left:
            raise DataError(
                f"{where} has {len(left)} classes that are in no list, among them {left[0]!r}: list them, or "
                "take them out of the data."
            )
        return {split: {name for name, its in taken.items() if its == split} for split in SPLITS}


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _names(classes: Classes, data_dir: Path | None, parameter: str) -> list[str]:
    if classes is None:
        return []
    if not isinstance(classes, str):
        return list(classes)
    path = Path(classes) if data_dir is None else data_dir / classes
    try:
        text = path.read_text(encoding="utf-8")
        listed = json.loads(text) if path.suffix == ".json" else [line.strip() for line in text.splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(
            f"{parameter} names {path}, which cannot be read as a list of classes ({error})."
        ) from error
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise DataError(f"{parameter} names {path}, which holds no list of names.")
    return [name for name in listed if name]
