"""Of which commit the harness is that runs here, where it runs from a git checkout."""

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import harness

CODE = ("harness", "methods", "datasets")
"""Folders of the checkout whose changes count: a new report or gin file changes no number of a run."""

SECONDS = 20
"""What git may take, on a slow file system too."""


@cache
def checkout() -> dict[str, Any]:
    """`commit` (40 hexadecimal digits) and `dirty`: whether code has changed since, new files included.

    Empty where harness was installed from a wheel, where there is no git, and where git refuses.
    """
    return state_of(Path(harness.__file__).resolve().parent.parent)


def state_of(root: Path) -> dict[str, Any]:
    """As `checkout`, of the checkout whose top is `root`; empty where `root` is not the top of one."""
    if not (root / ".git").exists():
        return {}
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", *CODE)
    return {} if commit is None or changes is None else {"commit": commit, "dirty": bool(changes)}


def _git(root: Path, *arguments: str) -> str | None:
    """What git says; None where it cannot say it."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}  # those of a hook
    env["GIT_OPTIONAL_LOCKS"] = "0"  # looking must not stand in the way of who works there
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            env=env,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
