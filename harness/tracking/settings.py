"""A run's spec as flat names and plain values, as trackers show hyperparameters."""

from collections.abc import Mapping
from typing import Any

Setting = bool | int | float | str

LEFT_OUT = ("run_id",)
"""Keys of a spec that are no settings."""


def settings(spec: Mapping[str, Any]) -> dict[str, Setting]:
    """Flat names (`method.inner_lr`, `train.sources`) -> values, of a spec as JSON data.

    Plugins and sources stand there by their names, lists as text; what is None is left out.
    """
    found: dict[str, Setting] = {}
    for key, value in spec.items():
        if key not in LEFT_OUT:
            _add(found, key, value)
    return found


def _add(found: dict[str, Setting], key: str, value: Any) -> None:
    if isinstance(value, Mapping):
        inner: Mapping[str, Any] = {} if "component" in value else value
        if "component" in value or "plugin" in value:
            found[key] = _label(value)
            inner = value.get("params", inner)
        for name, item in inner.items():
            _add(found, f"{key}.{name}", item)
    elif isinstance(value, list | tuple):
        found[key] = ", ".join(map(_label, value))
    elif value is not None:
        found[key] = value


def _label(value: Any) -> str:
    """A list's item in a word or two: a source's name, a plugin's, what an evaluation tests on."""
    if not isinstance(value, Mapping):
        return str(value)
    if "source" in value:
        n = f"{value['n_tasks']} tasks" if "n_tasks" in value else f"{value['n_episodes']} episodes"
        return f"{n} of {value['source']['name']} ({value['split']})"
    return str(value["name"] if "component" in value else value["plugin"])
