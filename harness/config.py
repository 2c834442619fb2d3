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
from harness.control.experiment import ControlExperiment
from harness.control.roles import check_control_roles
from harness.effects import MACRO, Bindings, Call, Key, check_defaults, check_effects
from harness.errors import ConfigError, HarnessError, did_you_mean, named_choices
from harness.experiment import Experiment
from harness.roles import check_roles

_HEADER = "# The complete settings of this experiment; `harness run` on this file repeats it.\n\n"
_GIN_LOCATION = re.compile(r"\n  In (?:file \".*\",|bindings string) line (\d+)\n.*", re.DOTALL)
_GIN_CALL = re.compile(r"\n  (?:No values supplied by Gin|In call to configurable).*", re.DOTALL)
_MISSING = re.compile(r"(\w+)\.__init__\(\) missing \d+ required \S+ arguments?: (.*)")
_SCOPE = re.compile(r"In call to configurable '(\w+)' \(.*?\) in scope '([^']+)'")


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


def load_experiment(config: Path, bindings: Sequence[str] = ()) -> tuple[Experiment | ControlExperiment, str]:
    """Read `config`, apply `bindings` (`Name.parameter=value`, as of --set) and build the experiment.

    Returns the experiment and the complete settings as gin text, the same text for the same settings; that
    text alone gives the same experiment again.

    Raises ConfigError for every mistake in the file, in what it includes and in the bindings.
    """
    gin.clear_config()
    try:
        known = catalogue()
        registered = _register(known)
        reading = _Reading(root=config, catalogue=known)
        _read_file(reading, config)
        for binding in bindings:
            _read_binding(reading, binding)
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
        raise ConfigError(
            f"{reading.root}: it gives values to Experiment and to ControlExperiment; a file is about one of them. "
            "Remove the lines of the other."
        )
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
        raise ConfigError(_no_such_file(path))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 text: {error}. Name a gin file.") from error
    reading.including.append(path.resolve())
    _read(reading, StringIO(text), str(path), path.parent)
    reading.including.pop()


def _read_binding(reading: _Reading, binding: str) -> None:
    where = f"--set {binding!r}"
    name, equals, value = binding.partition("=")
    if not (equals and name.strip() and value.strip()):
        raise ConfigError(
            f"--set takes 'Name.parameter=value', for example 'MAML.inner_lr=0.1'; got {binding!r}."
        )
    _read(reading, StringIO(binding), where, reading.root.parent)


def _read(reading: _Reading, stream: TextIO, where: str, folder: Path) -> None:
    """Apply every statement of `stream`. `where` names it in messages; includes start from `folder`."""
    is_file = not where.startswith("--set")
    try:
        for statement in config_parser.ConfigParser(stream, _Delegate(reading, where)):
            line = statement.location.line_num
            _apply(reading, statement, f"{where}:{line}" if is_file else where, folder)
            reading.held = set()
    except _PlacedError:
        raise
    except ConfigError as error:  # from the delegate; gin has put the place behind the text
        text = str(error)
        found = _GIN_LOCATION.search(text)
        place = f"{where}:{found[1]}" if is_file and found else where
        raise _PlacedError(f"{place}: {_GIN_LOCATION.sub('', text)}") from None
    except (SyntaxError, tokenize.TokenError, ValueError) as error:
        raise _PlacedError(_syntax_message(error, where, is_file)) from None


def _syntax_message(error: Exception, where: str, is_file: bool) -> str:
    if isinstance(error, SyntaxError):
        text, line = error.msg, error.lineno
    elif isinstance(error, tokenize.TokenError):
        text, line = f"{error.args[0]}, a bracket or quote is not closed", error.args[1][0]
    else:
        found = _GIN_LOCATION.search(str(error))
        text, line = str(error), int(found[1]) if found else None
    token = re.search(r"Failed to parse token (.*)", text)
    text = f"{token[1]} is not a value" if token else text.partition("\n")[0]
    place = f"{where}:{line}" if is_file and line else where
    hint = " Text values need quotes, names of classes an @." if "value" in text else ""
    return f"{place}: this is not gin syntax: {text.rstrip('.')}.{hint} Mend the line and run again."


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
    gin.bind_parameter(key, value)


def _included(folder: Path, name: str) -> Path:
    path = Path(name)
    return path if path.is_absolute() else folder / path


def _no_such_file(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder: name a gin file in it."
    near = {str(p): p for parent in (path.parent, Path("gin")) for p in sorted(parent.glob("*.gin"))}
    hint = did_you_mean(str(path), near) or did_you_mean(str(Path("gin") / path.name), near)
    there = f" There are: {named_choices(near)}." if near else ""
    return f"There is no config file {str(path)!r}.{hint}{there}"


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
        raise ConfigError(_with_place(reading, _GIN_CALL.sub("", str(error)))) from None
    except Exception as error:  # a plugin may refuse its parameters in any way
        raise ConfigError(_refusal(reading, error)) from None


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


def _refusal(reading: _Reading, error: Exception) -> str:
    text = str(error)
    plain = _GIN_CALL.sub("", text)
    if found := _MISSING.match(plain):
        name, missing = found[1], re.findall(r"'(\w+)'", found[2])
        scopes = dict(_SCOPE.findall(text))
        scoped = f"{scopes[name]}/{name}" if name in scopes else name
        values = " and ".join(f"{scoped}.{parameter}" for parameter in missing)
        return f"{reading.root}: no value for {values}. Add `{scoped}.{missing[0]} = ...` to the file."
    if "gin.REQUIRED" in plain:
        return f"{reading.root}: {plain.partition(' ')[0]} must be given a value: in the file, or with --set."
    called = re.search(r"In call to configurable '(\w+)'", text)
    subject = called[1] if called else "The experiment"
    return f"{reading.root}: {subject} refuses its parameters: {type(error).__name__}: {plain}."


def _with_place(reading: _Reading, text: str) -> str:
    """`text` with the file and line of the binding it begins with, where that is certain."""
    subject = re.match(r"(\w+)\.(\w+)\b", text)
    places = [
        place
        for (_, full, parameter), place in reading.bindings.places.items()
        if subject and full.endswith("." + subject[1]) and parameter == subject[2]
    ]
    return f"{places[0] if len(places) == 1 else reading.root}: {text}"
