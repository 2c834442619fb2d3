"""Whether JSON data is of the kind that a dataclass, or another annotation, says: files may have been edited.

What is missing is no matter here, nor is what nobody asks for: files of other versions have fewer keys, or more.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints


def strays(value: Any, kind: Any, place: str = "") -> Iterator[str]:
    """The places in `value`, such as `train.sources.0.name`, that hold another kind of thing than `kind` says.

    kind: a type, a union of some, a tuple or mapping of one, or a dataclass, whose fields are asked in turn.
    """
    origin = get_origin(kind)
    if kind is Any:
        return
    if origin in (Union, UnionType):
        tries = [list(strays(value, one, place)) for one in get_args(kind)]
        yield from min(tries, key=len)
    elif dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            yield place
            return
        asked: Any = kind
        for name, own in _fields(asked).items():
            if name in value:
                yield from strays(value[name], own, f"{place}.{name}" if place else name)
    elif origin is tuple:
        if not isinstance(value, list):
            yield place
            return
        for index, one in enumerate(value):
            yield from strays(one, get_args(kind)[0], f"{place}.{index}")
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            yield place
            return
        for key, one in value.items():
            yield from strays(one, get_args(kind)[1], f"{place}.{key}")
    elif not _is(value, kind):
        yield place


def at(data: Mapping[str, Any], place: str) -> Any:
    """The value at `a.b`; None where there is none, or what should hold it is no object."""
    found: Any = data
    for key in place.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _is(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


@cache
def _fields(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}
