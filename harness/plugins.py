"""Entry points -> classes: methods, sources, networks and probes by name, with the package each came from.

A plugin is a frozen dataclass behind an entry point. `describe` turns an instance into plain data (a
`Component`) that can be hashed, stored and sent to a worker; `build` turns it back. A parameter may itself be
a plugin of the same group (NIL's trainer is a method), or a list of them: it becomes a `Component` in turn.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from typing import Any

from harness.errors import ConfigError, PluginError, close_names, did_you_mean, named_choices
from harness.parameters import fit

METHODS, DATASETS, NETWORKS = "harness.methods", "harness.datasets", "harness.networks"
PROBES = "harness.probes"
CONTROL_SOURCES, POLICY_METHODS = "harness.control_sources", "harness.policy_methods"
POLICY_NETWORKS, POLICY_PROBES = "harness.policy_networks", "harness.policy_probes"
WORDS = {METHODS: "method", DATASETS: "source", NETWORKS: "network", PROBES: "probe"} | {
    CONTROL_SOURCES: "control source",
    POLICY_METHODS: "method of policies",
    POLICY_NETWORKS: "policy network",
    POLICY_PROBES: "probe of policies",
}
LISTS = {"methods": METHODS, "sources": DATASETS, "networks": NETWORKS, "probes": PROBES} | {
    "control_sources": CONTROL_SOURCES,
    "policy_methods": POLICY_METHODS,
    "policy_networks": POLICY_NETWORKS,
    "policy_probes": POLICY_PROBES,
}
"""What `harness list` calls a group."""


OURS = ("harness", "harness_methods", "harness_datasets")
"""The packages that come along."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """A plugin instance as plain data: the entry point's name and every parameter's value.

    A value that is a plugin of the same group stands there as a `Component`; lists stand there as tuples.
    """

    plugin: str
    params: Mapping[str, Any]


@cache
def _entries(group: str) -> dict[str, EntryPoint]:
    """By name; where two packages have one name, the first, see `_rivals`."""
    return {entry.name: entry for entry in reversed(list(entry_points(group=group)))}


@cache
def _rivals(group: str) -> dict[str, str]:
    """Name -> why it cannot be used: two packages register it. It takes no other name down."""
    found: dict[str, str] = {}
    for entry in entry_points(group=group):
        known = _entries(group)[entry.name]
        if (_package(known), known.value) != (_package(entry), entry.value):
            found[entry.name] = (
                f"Two packages register the {WORDS[group]} {entry.name!r}: {origin(known)} and {origin(entry)}. "
                "Uninstall one, or rename its entry point."
            )
    return found


def names(group: str) -> list[str]:
    """The registered names of a group, sorted."""
    return sorted(_entries(group))


def listed_by(group: str) -> str:
    """The command that lists the group."""
    return f"harness list {next(word for word, its in LISTS.items() if its == group)}"


def _package(entry: EntryPoint) -> str | None:
    return entry.dist.name if entry.dist else None


def origin(entry: EntryPoint) -> str:
    """`package version (module:Class)`: where a plugin came from."""
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
    return f"{package} ({entry.value})"


def origin_of(group: str, name: str) -> str:
    """Where the plugin called `name` came from; of one that is registered twice, both. PluginError if unknown."""
    if name in _rivals(group):
        return " and ".join(origin(entry) for entry in entry_points(group=group) if entry.name == name)
    return origin(entry_point(group, name))


def comes_along(group: str, name: str) -> bool:
    """Whether the plugin is one of this project's own; PluginError when there is none of that name."""
    return entry_point(group, name).module.partition(".")[0] in OURS


def entry_point(group: str, name: str) -> EntryPoint:
    """Where the plugin called `name` is to be found. PluginError when the name is unknown or registered twice."""
    entries = _entries(group)
    if name not in entries:
        others = [WORDS[other] for other in WORDS if other != group and name in _entries(other)]
        other = f" There is a {others[0]} of that name, which is something else." if others else ""
        raise PluginError(
            f"Unknown {WORDS[group]} {name!r}.{other}{close_names(name, entries, listed_by(group))} "
            "A plugin added to a package is seen only after `pip install -e .` of that package again."
        )
    if name in _rivals(group):
        raise PluginError(_rivals(group)[name])
    return entries[name]


def class_name(group: str, name: str) -> str:
    """The name of the plugin's class, known without importing it, also where the plugin cannot be used."""
    return _entries(group)[name].attr


def load(group: str, name: str) -> type[Any]:
    """The class registered as `name`.

    Raises PluginError when the name is unknown, the import fails, or the class is not a frozen dataclass.
    """
    entry = entry_point(group, name)
    try:
        plugin = entry.load()
    except (Exception, SystemExit) as error:  # a plugin may fail in any way; it must not take the others down
        raise PluginError(
            f"The {WORDS[group]} {name!r} from {origin(entry)} cannot be imported: "
            f"{type(error).__name__}: {error}. Mend or uninstall that package."
        ) from error
    if not (isinstance(plugin, type) and dataclasses.is_dataclass(plugin) and _is_frozen(plugin)):
        raise PluginError(
            f"The {WORDS[group]} {name!r} from {origin(entry)} must be a frozen dataclass; got {plugin!r}."
        )
    return plugin


_is_frozen = attrgetter("__dataclass_params__.frozen")
"""Of a dataclass, what its decorator was given."""


def describe(group: str, instance: Any) -> Component:
    """The instance as plain data; plugins of the same group among its parameters are described in turn.

    A whole number stands as a float in a field of `float`, so that 2 and 2.0 give one description.
    Raises PluginError when its class is not registered under `group`, ConfigError for a value of another type
    than the field declares.
    """
    name = plugin_name(group, type(instance))
    if name is None:
        raise PluginError(
            f"{type(instance).__name__} is not a registered {WORDS[group]}; `{listed_by(group)}` lists those that are. "
            f"Add it to the entry points {group!r} of its package and `pip install -e .` that package again."
        )
    params = {f.name: _plain(group, _value(instance, f)) for f in dataclasses.fields(instance) if f.init}
    return Component(plugin=name, params=params)


def plugin_name(group: str, cls: type) -> str | None:
    """The name that `cls` is registered under in `group`; None when it is not."""
    return next((name for name, entry in _entries(group).items() if _same_class(entry, cls)), None)


def _value(instance: Any, field: "dataclasses.Field[Any]") -> Any:
    value = getattr(instance, field.name)
    try:
        return fit(f"{type(instance).__name__}.{field.name}", field.type, value)
    except ConfigError:
        if value is field.default:  # the author's own, declared carelessly: `rate: float = None`
            return value
        raise


def _plain(group: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_plain(group, item) for item in value)
    is_instance = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return describe(group, value) if is_instance and plugin_name(group, type(value)) else value


def _same_class(entry: EntryPoint, cls: type) -> bool:
    if entry.attr != cls.__qualname__:
        return False
    if entry.module == cls.__module__:
        return True
    try:  # the entry point may name a package that re-exports the class
        return entry.load() is cls
    except Exception:  # a plugin that cannot be imported is not the class in hand
        return False


def build(group: str, component: Component) -> Any:
    """The instance that a `Component` describes.

    Raises PluginError for an unknown name or parameter; whatever the class raises for a wrong value.
    """
    plugin = load(group, component.plugin)
    known = {f.name for f in dataclasses.fields(plugin) if f.init}
    for name in component.params:
        if name not in known:
            raise PluginError(
                f"The {WORDS[group]} {component.plugin!r} has no parameter {name!r}."
                f"{did_you_mean(name, known)} Parameters: {named_choices(known)}."
            )
    return plugin(**{key: _built(group, value) for key, value in component.params.items()})


def _built(group: str, value: Any) -> Any:
    if isinstance(value, Component):
        return build(group, value)
    # JSON has lists where a dataclass has tuples.
    return tuple(_built(group, item) for item in value) if isinstance(value, list | tuple) else value
