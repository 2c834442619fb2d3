"""Lines of a gin file that change nothing, and are refused for it. Gin itself is silent about them.

Lines of the main file and of --set must matter. An included part is shared, so what it says about a class that
the experiment does not have is no mistake; it is one when the experiment does have it, made without gin.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.catalogue import Catalogue
from harness.errors import ConfigError, did_you_mean
from harness.parameters import default_of
from harness.roles import how_to_use

Key = tuple[str, str, str]
"""(scope, full class name, parameter) of a binding."""

Call = tuple[str, str]
"""(scope, full class name): a class that gin has made an instance of."""

MACRO = "gin.macro"

COMMAND_LINE, TRIAL = "--set ", "trial of "
"""How the places of bindings begin that stand in no file: --set, and what a search binds for one of its trials."""


@dataclass
class Bindings:
    """What has been bound so far, where, and which classes and macros the values name."""

    places: dict[Key, str] = field(default_factory=dict)
    own: list[Key] = field(default_factory=list)  # of the main file and of --set
    scopes: set[str] = field(default_factory=set)  # of all references
    held: dict[Key, set[str]] = field(default_factory=dict)  # full names and macros that the value names
    replaced: set[str] = field(default_factory=set)  # the same of values that a later line has replaced

    def add(self, key: Key, place: str, *, own: bool, holds: set[str]) -> None:
        """Note a binding; a later one of the same key takes the place of an earlier one."""
        self.replaced |= self.held.get(key, set())
        self.places[key], self.held[key] = place, holds
        if own:
            self.own.append(key)

    def taken_out(self) -> set[str]:
        """The classes that a replaced line named, and those that they in turn have named."""
        found: set[str] = set()
        waiting = set(self.replaced)
        while waiting:
            name = waiting.pop()
            found.add(name)
            waiting |= {inner for key in self.held if _owner(key) == name for inner in self.held[key]} - found
        return found


def _owner(key: Key) -> str:
    scope, full, _ = key
    return f"%{scope}" if full == MACRO else full


def check_effects(bindings: Bindings, calls: set[Call], known: Catalogue) -> None:
    """Raises ConfigError for a line of the main file or a --set that changes nothing.

    A line about what a later line, or a --set, takes out of the experiment may stay.
    """
    taken_out = bindings.taken_out()
    for key in bindings.own:
        from_set = not in_file(bindings.places[key])
        if key[1] == MACRO:
            _check_macro(bindings, key)
        elif not any(cls == key[1] and within(called, key[0]) for called, cls in calls):
            if from_set or key[1] not in taken_out:
                raise ConfigError(_unreached(bindings, key, known))
        elif from_set:
            _check_not_overruled(bindings, key, calls)


def check_defaults(
    bindings: Bindings, calls: set[Call], known: Catalogue, make: Callable[[type, str], Any]
) -> None:
    """Raises ConfigError where a place is left at its default although lines, in any file, say otherwise.

    `Regime.shape` has a default that Python makes, so `EpisodeShape.n_way = 4` does not reach it unless a
    line gives `@EpisodeShape()` to it. `make(cls, scope)` is what gin would make there.
    """
    for scope, full in sorted(calls):
        for place in dataclasses.fields(known.classes[full]):
            bound = any(
                cls == full and parameter == place.name and within(scope, outer)
                for outer, cls, parameter in bindings.places
            )
            default = None if bound else default_of(place)
            inner = f"{type(default).__module__}.{type(default).__name__}"
            ignored = [
                key for key in bindings.places if key[1] == inner and within(scope, key[0])
            ]  # fmt: skip
            if ignored and make(type(default), scope) != default:
                holder = f"{_scoped(scope, full)}.{place.name}"
                raise ConfigError(
                    f"{bindings.places[ignored[0]]}: this has no effect on {holder}, which no line gives a "
                    f"value and so is {default!r}. Add the line `{holder} = @{_scoped('', inner)}()`."
                )


def _check_macro(bindings: Bindings, key: Key) -> None:
    name = key[0]
    used = {
        held[1:] for names in (*bindings.held.values(), bindings.replaced) for held in names if held[0] == "%"
    }
    if name not in used:
        raise ConfigError(
            f"{bindings.places[key]}: this has no effect: nothing uses %{name}.{did_you_mean(name, used)} "
            "Remove the line, or write a class before the parameter, as in MAML.inner_lr."
        )


def _unreached(bindings: Bindings, key: Key, known: Catalogue) -> str:
    scope, full, _ = key
    place, name = bindings.places[key], _scoped(scope, full)
    if scope and not any(within(other, scope) for other in bindings.scopes):
        return (
            f"{place}: this has no effect: no reference has the scope {scope!r}, as in @{name}()."
            f"{did_you_mean(scope, bindings.scopes)}"
        )
    control = any(cls.endswith(".ControlExperiment") for _, cls, _ in bindings.places)
    line = how_to_use(known.classes[full], name, control=control)
    if line is None:
        kind = "a ControlExperiment" if control else "an Experiment"
        return f"{place}: this has no effect: {kind} has no place for @{name}(). Remove the line."
    return (
        f"{place}: this has no effect: nothing in the experiment is made by @{name}(). "
        f"Add {line}, or remove the line."
    )


def _check_not_overruled(bindings: Bindings, key: Key, calls: set[Call]) -> None:
    scope, full, parameter = key
    reached = [called for called, cls in calls if cls == full and within(called, scope)]
    narrower = [k for k in bindings.places if k[1:] == key[1:] and k[0] != scope and within(k[0], scope)]
    if all(any(within(called, other[0]) for other in narrower) for called in reached):
        binding = f"{_scoped(narrower[0][0], full)}.{parameter}"
        raise ConfigError(
            f"{bindings.places[key]}: this has no effect: {binding} ({bindings.places[narrower[0]]}) says "
            f"otherwise. Set {binding} instead."
        )


def in_file(place: str) -> bool:
    """Whether a binding stands in a file, whose line then decides where it is."""
    return not place.startswith((COMMAND_LINE, TRIAL))


def within(scope: str, outer: str) -> bool:
    """Whether bindings of the scope `outer` hold in `scope`."""
    return not outer or scope == outer or scope.startswith(outer + "/")


def _scoped(scope: str, full: str) -> str:
    name = full.rpartition(".")[2]
    return f"{scope}/{name}" if scope else name
