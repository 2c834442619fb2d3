"""The code of plugins from other packages, as digests: it is in no run's id, so a run records what it was."""

import hashlib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from harness import plugins

GROUPS = {
    "method": plugins.METHODS,
    "trainer": plugins.METHODS,
    "network": plugins.NETWORKS,
    "component": plugins.DATASETS,
    "probes": plugins.PROBES,
}
"""Keys of a run's spec under which plugins stand, and their groups."""

GROUPS_OF_CONTROL = {
    "method": plugins.POLICY_METHODS,
    "network": plugins.POLICY_NETWORKS,
    "component": plugins.CONTROL_SOURCES,
    "probes": plugins.POLICY_PROBES,
}
"""The same of runs on control tasks, whose spec has a `kind`."""

SUFFIXES = (".py", ".so", ".pyd", ".c", ".cpp", ".cu", ".h")
"""Of files that are code: what a package writes or ships beside it changes no digest."""

UNREADABLE = "unreadable"
"""In place of a digest, where the code cannot be found or read."""


def plugin_digests(specs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """`method head_only` -> SHA-256, for every plugin of another package that runs use.

    specs: their JSON data, whole or in part; a part of a run on control tasks keeps its `kind`.
    """
    used = sorted({found for spec in specs for found in _used(spec)})
    foreign = [(group, name) for group, name in used if not plugins.comes_along(group, name)]
    return {f"{plugins.WORDS[group]} {name}": code_digest(group, name) for group, name in foreign}


@cache
def code_digest(group: str, name: str) -> str:
    """SHA-256 over the names and contents of the code that the plugin comes with; `UNREADABLE` where it cannot be had.

    That of its distribution's files; where these are elsewhere (an editable installation), of the package that holds
    its module; of the module's file alone, where it is in none. Found once in a process, as code is imported once.
    """
    try:
        return files_digest(_code_files(plugins.entry_point(group, name)))
    except (OSError, ImportError, ValueError):
        return UNREADABLE


def files_digest(files: Mapping[str, Path]) -> str:
    """SHA-256 over names and contents, in the order of the names."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{hashlib.sha256(files[name].read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _used(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(group, name) of each plugin in a spec."""
    yield from _found(spec, GROUPS_OF_CONTROL if "kind" in spec else GROUPS)


def _found(value: Any, groups: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _named(item, groups[key]) if key in groups else _found(item, groups)
    elif isinstance(value, list):
        for item in value:
            yield from _found(item, groups)


def _named(value: Any, group: str) -> Iterator[tuple[str, str]]:
    """The plugin that `value` describes, and those of its group among its parameters."""
    if isinstance(value, Mapping):
        if isinstance(value.get("plugin"), str):
            yield group, value["plugin"]
        for item in value.values():
            yield from _named(item, group)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item, group)


def _code_files(entry: EntryPoint) -> dict[str, Path]:
    """Name, as it is below the folder of packages -> place. Raises OSError, ImportError or ValueError."""
    found = importlib.util.find_spec(entry.module)
    if found is None or found.origin is None or not Path(found.origin).is_file():
        raise ImportError(f"{entry.module} has no file")
    module = Path(found.origin).resolve()
    installed = _installed_files(entry)
    return installed if module in installed.values() else _package_files(module)


def _installed_files(entry: EntryPoint) -> dict[str, Path]:
    files = (entry.dist.files if entry.dist else None) or []
    return {
        file.as_posix(): Path(str(file.locate())).resolve()
        for file in files
        if file.suffix in SUFFIXES and ".." not in file.parts
    }


def _package_files(module: Path) -> dict[str, Path]:
    top = module
    while (top.parent / "__init__.py").is_file():
        top = top.parent
    files = sorted(top.rglob("*")) if top.is_dir() else [top]
    named = {path.relative_to(top.parent): path for path in files if path.suffix in SUFFIXES}
    hidden = [name for name in named if any(part.startswith(".") for part in name.parts)]
    return {name.as_posix(): path for name, path in named.items() if name not in hidden and path.is_file()}
