"""What is said of gin text that cannot be read, or of which nothing can be made."""

import re
import tokenize
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from harness.control.experiment import ControlExperiment
from harness.effects import Key, in_file
from harness.errors import close_names, did_you_mean
from harness.experiment import Experiment

GIN_LOCATION = re.compile(r"\n  In (?:file \".*\",|bindings string) line (\d+)\n.*", re.DOTALL)
"""The place that gin puts behind a message; group 1 is the line."""

GIN_CALL = re.compile(r"\n  (?:No values supplied by Gin|In call to configurable).*", re.DOTALL)

_MISSING = re.compile(r"(\w+)\.__init__\(\) missing \d+ required \S+ arguments?: (.*)")
_SCOPE = re.compile(r"In call to configurable '(\w+)' \(.*?\) in scope '([^']+)'")


def syntax_message(error: Exception, where: str, is_file: bool) -> str:
    """What is wrong with a line that gin's parser refuses, in one sentence. `where` names where it stands."""
    if isinstance(error, SyntaxError):
        text, line = error.msg, error.lineno
    elif isinstance(error, tokenize.TokenError):
        text, line = f"{error.args[0]}, a bracket or quote is not closed", error.args[1][0]
    else:
        found = GIN_LOCATION.search(str(error))
        text, line = str(error), int(found[1]) if found else None
    token = re.search(r"Failed to parse token (.*)", text)
    text = f"{token[1]} is not a value" if token else text.partition("\n")[0]
    place = f"{where}:{line}" if is_file and line else where
    hint = " Text values need quotes, names of classes an @." if "value" in text else ""
    return f"{place}: this is not gin syntax: {text.rstrip('.')}.{hint} Mend the line and run again."


def no_such_file(path: Path) -> str:
    """That there is no such config file, and which there are."""
    if path.is_dir():
        return f"{path} is a folder: name a gin file in it."
    near = {str(p): p for parent in (path.parent, Path("gin")) for p in sorted(parent.glob("*.gin"))}
    if not near:
        return f"There is no config file {str(path)!r}: name a gin file."
    folders = sorted({str(p.parent) for p in near.values()})
    asked = str(path) if did_you_mean(str(path), near) else str(Path("gin") / path.name)
    listing = "ls " + " ".join(f"{folder}/*.gin" for folder in folders)
    return f"There is no config file {str(path)!r}.{close_names(asked, near, listing)}"


def refusal(root: Path, error: Exception) -> str:
    """Why a class cannot be made of what the file `root` says, without gin's own wording."""
    text = str(error)
    plain = GIN_CALL.sub("", text)
    if found := _MISSING.match(plain):
        name, missing = found[1], re.findall(r"'(\w+)'", found[2])
        scopes = dict(_SCOPE.findall(text))
        scoped = f"{scopes[name]}/{name}" if name in scopes else name
        values = " and ".join(f"{scoped}.{parameter}" for parameter in missing)
        return f"{root}: no value for {values}. Add `{scoped}.{missing[0]} = ...` to the file."
    if "gin.REQUIRED" in plain:
        return f"{root}: {plain.partition(' ')[0]} must be given a value: in the file, or with --set."
    called = re.search(r"In call to configurable '(\w+)'", text)
    subject = called[1] if called else "The experiment"
    return f"{root}: {subject} refuses its parameters: {type(error).__name__}: {plain}."


def two_kinds(root: Path, places: Mapping[Key, str]) -> str:
    """That values are given to both kinds of experiment; where only --set does, what it should say instead."""
    found = [(full.rpartition(".")[2], parameter, place) for (_, full, parameter), place in places.items()]
    kinds = {Experiment.__name__: Experiment, ControlExperiment.__name__: ControlExperiment}
    found = [one for one in found if one[0] in kinds]
    of_file = {name for name, _, place in found if in_file(place)}
    if len(of_file) == 1:
        (meant,) = of_file
        name, parameter, place = next(one for one in found if one[0] != meant)
        has = parameter in {field.name for field in fields(kinds[meant])}
        do = f"write {meant}.{parameter}" if has else f"{meant} has no {parameter}: leave it out"
        return f"{place}: {root} gives values to {meant}, not to {name}; {do}."
    return (
        f"{root}: it gives values to Experiment and to ControlExperiment; a file is about one of them. "
        "Remove the lines of the other."
    )
