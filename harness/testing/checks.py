"""What the conformance kits are made of: promises, kept or broken."""

import dataclasses
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Check:
    """One promise of a contract: its name, whether it is kept, and what was found."""

    name: str
    passed: bool
    detail: str


class BrokenError(Exception):
    """A promise that is not kept; the message says what was found."""


def require(kept: bool, found: str) -> None:
    """Raise BrokenError with what was found unless the promise is kept."""
    if not kept:
        raise BrokenError(found)


def run_check(name: str, check: Callable[[], str]) -> Check:
    """Run one check. Any exception is a failed check: one broken promise must not hide the others."""
    try:
        return Check(name=name, passed=True, detail=check())
    except BrokenError as broken:
        return Check(name=name, passed=False, detail=str(broken))
    except Exception as error:
        return Check(name=name, passed=False, detail=f"{type(error).__name__}: {error}")


def run_checks(checks: Mapping[str, Callable[[Any], str]], subject: Any) -> list[Check]:
    """Every check of a kit on `subject`, each with one torch thread, so that it gives the same wherever it runs."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [run_check(name, partial(check, subject)) for name, check in checks.items()]
    finally:
        torch.set_num_threads(threads)


def frozen_dataclass(plugin: Any) -> str:
    """What every plugin must be, so that it can be hashed, stored and sent to a worker."""
    require(dataclasses.is_dataclass(plugin), f"{type(plugin).__name__} is not a dataclass")
    require(plugin.__dataclass_params__.frozen, f"{type(plugin).__name__} is not frozen")
    fields = {field.name: field for field in dataclasses.fields(plugin)}
    require("name" in fields, "name is not a field")
    require(fields["name"].default is not dataclasses.MISSING, "name has no default")
    require(pickle.loads(pickle.dumps(plugin)) == plugin, "a pickled copy is not equal")
    return f"{len(fields)} fields"


def loads_elsewhere(plugin: Any) -> None:
    """Require that a worker can have it: a process that has imported nothing yet unpickles it."""
    code = "import pickle, sys; pickle.load(sys.stdin.buffer)"
    elsewhere = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(plugin),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        check=False,
    )
    said = elsewhere.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    require(elsewhere.returncode == 0, f"another process cannot load it: {said}")
