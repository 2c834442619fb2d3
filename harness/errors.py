"""What can go wrong through no fault of the code, and what to do about it.

    HarnessError                    one clear sentence with the next step; the CLI prints it and exits with 2
    ├── ConfigError                 a gin file, a binding or a command-line value is wrong
    ├── PluginError                 a method, source or network is unknown, broken or registered twice
    ├── DataError                   raw data is truncated or disagrees with itself
    │   └── MissingDataError        raw data is not there at all
    ├── WorkspaceError              a folder cannot be read or written, a disk is full, a result file is damaged
    └── PlanError                   the plan as a whole cannot run; holds *every* problem found

Each message has the form: subject, value got, values allowed, next step.
"""

import difflib
from collections.abc import Iterable, Sequence

FEW_NAMES = 8
"""So many names a message lists, however far from the wrong one; more would bury it."""


class HarnessError(Exception):
    """A mistake the user can mend: shown as one sentence, never as a traceback."""


class ConfigError(HarnessError):
    """A gin file, a binding or a command-line value is wrong."""


class PluginError(HarnessError):
    """A plugin is unknown, cannot be imported, or is registered twice."""


class DataError(HarnessError):
    """Raw data is truncated or disagrees with itself."""


class MissingDataError(DataError):
    """Raw data is not there at all: the message says what was looked for, where, and how to get it."""


class WorkspaceError(HarnessError):
    """A folder cannot be used, a disk is full, or a result file is damaged."""


class PlanError(HarnessError):
    """The plan cannot run. `problems` lists everything that is wrong with it, not only the first.

    `missing` names the sources whose raw data is not there; `hints` says what else can be done about it.
    """

    hints: Sequence[str] = ()

    def __init__(self, problems: Sequence[str], *, missing: Sequence[str] = ()) -> None:
        self.problems, self.missing = tuple(problems), tuple(missing)
        super().__init__("\n".join(self.problems))


def did_you_mean(wrong: str, allowed: Iterable[str]) -> str:
    """`" Did you mean 'anil'?"` for the nearest allowed name, or an empty string when none is near."""
    names = {name.lower(): name for name in allowed}
    near = difflib.get_close_matches(wrong.lower(), names, n=1, cutoff=0.55)
    return f" Did you mean {names[near[0]]!r}?" if near else ""


def close_names(wrong: str, allowed: Iterable[str], listed_by: str) -> str:
    """What a message says of many allowed names: the nearest few, and how many others the command `listed_by` lists.

    Begins with a space. Where there are few (`FEW_NAMES`), all of them are named.
    """
    names = sorted(set(allowed))
    meant = did_you_mean(wrong, names)
    if len(names) <= FEW_NAMES:
        return f"{meant} Known: {named_choices(names)}."
    by_lower = {name.lower(): name for name in names}
    first, *further = difflib.get_close_matches(wrong.lower(), by_lower, n=4, cutoff=0.55) or [""]
    if not first:
        return f" None of the {len(names)} known is near it: `{listed_by}` lists them."
    also = f" Also near: {', '.join(repr(by_lower[name]) for name in further)}." if further else ""
    return f"{meant}{also} `{listed_by}` lists {len(names) - 1 - len(further)} others."


def named_choices(allowed: Iterable[str]) -> str:
    """`'anil', 'maml', 'nil'`: the allowed values of a message, sorted and quoted."""
    return ", ".join(repr(name) for name in sorted(allowed))
