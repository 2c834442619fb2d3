"""Gin text -> `Experiment`. The only file that imports gin.

Gin's parser and its binding engine do the work; the loop over statements is ours, so that every mistake is
reported as one sentence with its file and line. Includes are relative to the file that has them.
"""

import importlib.util  # noqa: F401  gin 0.5 uses importlib.util without importing it
import re
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

import gin
from gin import config as gin_config
from gin import config_parser
from harness.catalogue import Catalogue, catalogue
from harness.config_mistakes import GIN_CALL, GIN_LOCATION, no_such_file, refusal, syntax_message, two_kinds
from harness.control.experiment import ControlExperiment
from harness.control.roles import check_control_roles
from harness.effects import (
    COMMAND_LINE,
    MACRO,
    TRIAL,
    Bindings,
    Call,
    Key,
    check_defaults,
    check_effects,
    in_file,
)
from harness.errors import ConfigError, HarnessError, did_you_mean
from harness.experiment import Experiment
from harness.roles import check_roles
from harness.search.settings import Search
from harness.search.written import GinText

_HEADER = "# The complete settings of this experiment; `harness run` on this file repeats it.\n\n"


class _PlacedError(ConfigError):
    """A mistake whose message begins with its file and line."""


@dataclass
class _Reading:
    """What has been read so far, and which macros are used and set."""

    root: Path
    catalogue: Catalogue
    bindings: Bindings = field(default_factory=Bindings)
    held: set[str] = field(default_factory=set)  # classes and macros named by the statement being read
    macros_used: dict[str, str] = field(default_factory=dict)
    macros_set: set[str] = field(default_factory=set)
    including: list[Path] = field(default_factory=list)


class _Delegate(gin_config.ParserDelegate):  # type: ignore[misc]  # gin is untyped
    """Checks the names of references and macros as they are parsed."""

    def __init__(self, reading: _Reading, where: str) -> None:
        super().__init__()
        self._reading, self._where = reading, where

    def configurable_reference(self, scoped_selector: str, evaluate: bool) -> Any:
        scope, _, selector = scoped_selector.rpartition("/")
        self._reading.held.add(self._reading.catalogue.resolve(selector))
        self._reading.bindings.scopes.add(scope)
        return super().configurable_reference(scoped_selector, evaluate)

    def macro(self, name: str) -> Any:
        if name != "gin.REQUIRED":
            self._reading.macros_used.setdefault(name, self._where)
            self._reading.held.add(f"%{name}")
        return super().macro(name)


class _Tried(gin_config.ConfigurableReference):  # type: ignore[misc]
    """A reference among the values of a search: made once, so that mistakes in it are found, and kept as its text."""

    def __eq__(self, other: object) -> bool:  # gin compares it with what its text is parsed to
        return isinstance(other, gin_config.ConfigurableReference) and repr(other) == repr(self)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __deepcopy__(self, memo: Any) -> GinText:
        super().__deepcopy__(memo)
        return GinText(repr(self))


def _unresolved(value: Any) -> Any:
    """The value of a search's parameter with every reference inside as a text to be bound in a trial."""
    if isinstance(value, dict):
        return {key: _unresolved_inside(item) for key, item in value.items()}
    return value


def _unresolved_inside(value: Any) -> Any:
    if isinstance(value, gin_config.ConfigurableReference):
        return _Tried(value.scoped_selector, value.evaluate)
    if isinstance(value, list | tuple):
        return type(value)(map(_unresolved_inside, value))
    return _unresolved(value)


def load_experiment(
    config: Path, bindings: Sequence[str] = (), *, trial: Sequence[str] = ()
) -> tuple[Experiment | ControlExperiment, str]:
    """Read `config`, apply `bindings` (`Name.parameter=value`, as of --set) and build the experiment.

    Returns the experiment and the complete settings as gin text, the same text for the same settings; that
    text alone gives the same experiment again. trial: further bindings, of one trial of the experiment's search.

    Raises ConfigError for every mistake in the file, in what it includes and in the bindings.
    """
    gin.clear_config()
    try:
        known = catalogue()
        registered = _register(known)
        reading = _Reading(root=config, catalogue=known)
        _read_file(reading, config)
        for binding in bindings:
            _read_binding(reading, binding, f"{COMMAND_LINE}{binding!r}")
        for binding in trial:
            _read_binding(reading, binding, f"{TRIAL}{_place_of_search(reading)}: {binding!r}")
        _check_macros(reading)
        kind = _kind(reading)
        experiment = _build(reading, registered[kind])
        text = gin.operative_config_str(max_line_length=110)
        calls = _calls(known, text)
        check_defaults(reading.bindings, calls, known, partial(_make, registered))
        check_effects(reading.bindings, calls, known)
        _check_roles(reading, experiment)
        return experiment, _HEADER + text.rstrip() + "\n"
    finally:
        gin.clear_config()


def _kind(reading: _Reading) -> type[Experiment] | type[ControlExperiment]:
    """Which class of experiment the file is about: the one it gives values to. Raises ConfigError for both."""
    named = {full.rpartition(".")[2] for _, full, _ in reading.bindings.places}
    if {"Experiment", "ControlExperiment"} <= named:
        raise ConfigError(two_kinds(reading.root, reading.bindings.places))
    return ControlExperiment if "ControlExperiment" in named else Experiment


def _register(known: Catalogue) -> dict[type, Any]:
    """Make the classes known to gin; returns gin's stand-in for each."""
    with gin_config.interactive_mode():  # the same name again, in a later call, is no mistake
        return {
            cls: gin.external_configurable(cls, name=cls.__name__, module=cls.__module__)
            for cls in known.classes.values()
        }


def _read_file(reading: _Reading, path: Path) -> None:
    if path.resolve() in reading.including:
        raise ConfigError(
            f"{path} includes itself, by way of {reading.including[-1].name}: remove one include."
        )
    if not path.is_file():
        raise ConfigError(no_such_file(path))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 text: {error}. Name a gin file.") from error
    reading.including.append(path.resolve())
    _read(reading, StringIO(text), str(path), path.parent)
    reading.including.pop()


def _read_binding(reading: _Reading, binding: str, where: str) -> None:
    name, equals, value = binding.partition("=")
    if not (equals and name.strip() and value.strip()):
        raise ConfigError(
            f"--set takes 'Name.parameter=value', for example 'MAML.inner_lr=0.1'; got {binding!r}."
        )
    _read(reading, StringIO(binding), where, reading.root.parent)


def _place_of_search(reading: _Reading) -> str:
    """Where it is written what is searched."""
    places = [
        place
        for (_, full, parameter), place in reading.bindings.places.items()
        if _is_searched(reading, full, parameter)
    ]
    return places[-1] if places else str(reading.root)


def _is_searched(reading: _Reading, full: str, parameter: str) -> bool:
    cls = reading.catalogue.classes.get(full)
    return cls is not None and issubclass(cls, Search) and parameter in ("grid", "ranges")


def _read(reading: _Reading, stream: TextIO, where: str, folder: Path) -> None:
    """Apply every statement of `stream`. `where` names it in messages; includes start from `folder`."""
    is_file = in_file(where)
    try:
        for statement in config_parser.ConfigParser(stream, _Delegate(reading, where)):
            line = statement.location.line_num
            _apply(reading, statement, f"{where}:{line}" if is_file else where, folder)
            reading.held = set()
    except _PlacedError:
        raise
    except ConfigError as error:  # from the delegate; gin has put the place behind the text
        text = str(error)
        found = GIN_LOCATION.search(text)
        place = f"{where}:{found[1]}" if is_file and found else where
        raise _PlacedError(f"{place}: {GIN_LOCATION.sub('', text)}") from None
    except (SyntaxError, tokenize.TokenError, ValueError) as error:
        raise _PlacedError(syntax_message(error, where, is_file)) from None


def _apply(reading: _Reading, statement: Any, place: str, folder: Path) -> None:
    try:
        if isinstance(statement, config_parser.IncludeStatement):
            _read_file(reading, _included(folder, statement.filename))
        elif isinstance(statement, config_parser.ImportStatement):
            raise ConfigError(
                "imports are not needed: plugins are found by their entry points. Remove the line."
            )
        elif isinstance(statement, config_parser.BlockDeclaration):
            reading.catalogue.resolve(statement.selector)
        elif not statement.arg_name:
            name = "/".join(filter(None, (statement.scope, statement.selector)))
            reading.macros_set.add(name)
            _bind(reading, (name, MACRO, "value"), statement.value, place)
        else:
            full = reading.catalogue.resolve(statement.selector)
            reading.catalogue.check_parameter(full, statement.arg_name)
            _bind(reading, (statement.scope, full, statement.arg_name), statement.value, place)
    except _PlacedError:
        raise
    except ConfigError as error:
        raise _PlacedError(f"{place}: {error}") from None


def _bind(reading: _Reading, key: Key, value: Any, place: str) -> None:
    reading.bindings.add(key, place, own=len(reading.including) <= 1, holds=reading.held)
    searched = _is_searched(reading, key[1], key[2])
    gin.bind_parameter(key, _unresolved(value) if searched else value)


def _included(folder: Path, name: str) -> Path:
    path = Path(name)
    return path if path.is_absolute() else folder / path


def _check_macros(reading: _Reading) -> None:
    for name, where in reading.macros_used.items():
        if name not in reading.macros_set:
            raise ConfigError(
                f"{where}: %{name} has no value.{did_you_mean(name, reading.macros_set)} "
                f"Add a line `{name} = ...`."
            )


def _build(reading: _Reading, experiment: Any) -> Experiment | ControlExperiment:
    """Let gin construct everything. Raises ConfigError for what is missing or refused."""
    try:
        gin.finalize()
        built: Experiment | ControlExperiment = experiment()
        return built
    except RecursionError:
        raise ConfigError(
            f"{reading.root}: a reference leads back to itself; look for a class given to itself."
        ) from None
    except HarnessError as error:
        raise ConfigError(_with_place(reading, GIN_CALL.sub("", str(error)))) from None
    except Exception as error:  # a plugin may refuse its parameters in any way
        raise ConfigError(refusal(reading.root, error)) from None


def _calls(known: Catalogue, operative: str) -> set[Call]:
    """The classes that gin has made instances of, and in which scopes."""
    headers = re.findall(r"^# Parameters for (?:(\S+)/)?(\S+):$", operative, re.MULTILINE)
    return {
        (scope, full)
        for scope, selector in headers
        for full in known.classes
        if full == selector or full.endswith("." + selector)
    }


def _make(registered: dict[type, Any], cls: type, scope: str) -> Any:
    """What gin makes of `cls` in `scope`; None when it cannot."""
    try:
        with gin.config_scope(scope or None):
            return registered[cls]()
    except Exception:  # a plugin may refuse its parameters in any way
        return None


def _check_roles(reading: _Reading, experiment: Experiment | ControlExperiment) -> None:
    try:
        if isinstance(experiment, ControlExperiment):
            check_control_roles(experiment)
        else:
            check_roles(experiment)
    except ConfigError as error:
        raise ConfigError(_with_place(reading, str(error))) from None


def _with_place(reading: _Reading, text: str) -> str:
    """`text` with the file and line of the binding it begins with, where that is certain."""
    subject = re.match(r"(\w+)\.(\w+)\b", text)
    places = [
        place
        for (_, full, parameter), place in reading.bindings.places.items()
        if subject and full.endswith("." + subject[1]) and parameter == subject[2]
    ]
    return f"{places[0] if len(places) == 1 else reading.root}: {text}"
