"""Checks of what a gin file gives to the fields of a class: the same wording for every class and plugin.

`check_fields` goes by the declared types; the other checks say what a type cannot. All raise ConfigError,
but for `check_split`.
"""

import dataclasses
import math
import re
from collections.abc import Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from harness.errors import ConfigError, DataError, did_you_mean, named_choices

_ALLOWED = {"int": "a whole number", "float": "a finite number", "bool": "True or False", "str": "text"}
_KINDS = {"int": int, "bool": bool, "str": str}


def check_fields(instance: Any) -> None:
    """Raise ConfigError unless every field of the dataclass `instance` holds what it declares.

    Looks at fields declared `int`, `float`, `bool` or `str`, each with or without `| None`, and leaves the
    others alone. A whole number in a field of `float` becomes a float: 2 and 2.0 mean the same.
    """
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        fitting = fit(f"{type(instance).__name__}.{field.name}", field.type, value)
        if fitting is not value:
            object.__setattr__(instance, field.name, fitting)


def fit(parameter: str, declared: Any, value: Any) -> Any:
    """`value` as a field declared `declared` holds it. Raises ConfigError when it cannot."""
    kind, optional = _kind(declared)
    if kind is None or (optional and value is None):
        return value
    if kind == "float":
        number = _finite(value)
        if number is not None:
            return value if isinstance(value, float) else number
    elif isinstance(value, _KINDS[kind]) and (kind == "bool" or not isinstance(value, bool)):
        return value
    raise ConfigError(f"{parameter} must be {_ALLOWED[kind]}{' or None' * optional}; got {value!r}.")


def _kind(declared: Any) -> tuple[str | None, bool]:
    """The one scalar type that an annotation names, None for any other, and whether None is allowed too.

    Annotations are text where a module has `from __future__ import annotations`.
    """
    if isinstance(declared, str):
        names = {part.strip() for part in declared.split("|")}
    else:
        union = get_origin(declared) in (Union, UnionType)  # a list of numbers has arguments too
        names = {getattr(part, "__name__", "") for part in (get_args(declared) if union else (declared,))}
    kinds = names - {"None", "NoneType"}
    kind = kinds.pop() if len(kinds) == 1 else None
    return (kind if kind in _ALLOWED else None), bool(names & {"None", "NoneType"})


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def default_of(place: "dataclasses.Field[Any]") -> Any:
    """The default value of a dataclass field; None where it has none."""
    if place.default_factory is not dataclasses.MISSING:
        return place.default_factory()
    return None if place.default is dataclasses.MISSING else place.default


def check_name(plugin: str, name: object) -> None:
    """Raise ConfigError unless `name` can stand in a path and a table: letters, digits, `_` and `-`."""
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name)):
        raise ConfigError(
            f"{plugin}.name must be letters, digits, '_' and '-', as it stands in file names and tables, "
            f"for example {plugin.lower() + '_2'!r}; got {name!r}."
        )


def check_whole(parameter: str, value: object, *, low: int, high: int | None = None) -> None:
    """Raise ConfigError unless `value` is a whole number in [low, high]; no `high`, no upper end."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole and low <= value and (high is None or value <= high)):  # type: ignore[operator]
        allowed = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ConfigError(f"{parameter} must be a whole number {allowed}; got {value!r}.")


def check_above(parameter: str, value: float | None, low: float, *, otherwise: str = "") -> None:
    """Raise ConfigError unless `value` is None or above `low`; `otherwise` says what None would mean."""
    if value is not None and not value > low:
        raise ConfigError(f"{parameter} must be a number above {low}{otherwise}; got {value!r}.")


def check_choice(parameter: str, value: object, choices: Sequence[str]) -> None:
    """Raise ConfigError unless `value` is one of `choices`."""
    if value not in choices:
        near = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise ConfigError(f"{parameter} must be one of {named_choices(choices)}; got {value!r}.{near}")


def as_list(parameter: str, value: object, *, example: str) -> tuple[Any, ...]:
    """The numbers of a list, as a tuple. Raises ConfigError for what is no list."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ConfigError(f"{parameter} must be a list, for example {example}; got {value!r}.")
    return tuple(value)


def check_split(source: str, split: str, splits: Sequence[str]) -> None:
    """Raise DataError unless the source called `source` has `split`."""
    if split not in splits:
        raise DataError(
            f"Source {source!r} has no split {split!r}.{did_you_mean(split, splits)} "
            f"It has {named_choices(splits)}: use one of them."
        )
