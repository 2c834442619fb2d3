"""Checks of a source's parameters: the same wording for every source."""

import re
from collections.abc import Sequence

from harness.errors import ConfigError, DataError, did_you_mean, named_choices


def check_name(plugin: str, name: object) -> None:
    """Raise ConfigError unless `name` can stand in a path and a table: letters, digits, `_` and `-`."""
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name)):
        raise ConfigError(
            f"{plugin}.name is {name!r}; it becomes part of file names: use letters, digits, '_' and '-', "
            f"for example {plugin.lower() + '_2'!r}."
        )


def check_whole(parameter: str, value: object, *, low: int, high: int) -> None:
    """Raise ConfigError unless `value` is a whole number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{parameter} is {value!r}; use a whole number from {low} to {high}.")


def check_flag(parameter: str, value: object) -> None:
    """Raise ConfigError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ConfigError(f"{parameter} is {value!r}; use True or False.")


def check_choice(parameter: str, value: object, choices: Sequence[str]) -> None:
    """Raise ConfigError unless `value` is one of `choices`."""
    if value not in choices:
        near = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise ConfigError(f"{parameter} is {value!r}.{near} Use one of {named_choices(choices)}.")


def check_split(source: str, split: str, splits: Sequence[str]) -> None:
    """Raise DataError unless the source called `source` has `split`."""
    if split not in splits:
        raise DataError(
            f"Source {source!r} has no split {split!r}.{did_you_mean(split, splits)} "
            f"It has {named_choices(splits)}: use one of them."
        )
