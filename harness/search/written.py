"""Values as gin text, which is what a trial binds: numbers and texts, and references that gin has not resolved."""

from collections.abc import Mapping
from typing import Any

from harness.errors import ConfigError


class GinText(str):
    """A reference or macro as it is written, `@wide/Conv4()` or `%rate`; inside lists, too, it reads like that."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def written(place: str, value: Any) -> str:
    """`value` as gin text, the same for the same value. Raises ConfigError for what has none; `place` names it."""
    _check(place, value)
    return repr(value)


def _check(place: str, value: Any) -> None:
    if value is None or isinstance(value, bool | int | float | str):
        return
    if isinstance(value, list | tuple):
        for item in value:
            _check(place, item)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _check(place, key)
            _check(place, item)
    else:
        raise ConfigError(
            f"{place} holds a {type(value).__name__} that comes through a macro, so that it cannot be named in the "
            "report: write the values, such as [@Conv4(), @ResNet12()], where the search is."
        )
