"""`harness new`: a small package with a working plugin, to be changed into one's own."""

import keyword
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from harness import plugins
from harness.catalogue import catalogue
from harness.errors import ConfigError, PluginError
from harness.files import make_folder, write_text

GROUPS = {"method": plugins.METHODS, "dataset": plugins.DATASETS}

_FILES = {
    "pyproject.toml": "pyproject.toml.j2",
    "README.md": "{kind}/readme.md.j2",
    "{package}/__init__.py": "init.py.j2",
    "{package}/{name}.py": "{kind}/plugin.py.j2",
    "tests/test_{name}.py": "{kind}/test.py.j2",
    "{name}.gin": "{kind}/experiment.gin.j2",
}
"""File of the package -> its template in this folder."""


def write_plugin(kind: str, name: str, into: Path) -> list[Path]:
    """Write the package of a `method` or `dataset` called `name` into the folder `into`/`name`; returns its files.

    Raises ConfigError for a name that cannot be a module's, PluginError for one that is registered or whose package
    or class is there already, WorkspaceError where something is in the way.
    """
    _check_name(kind, name)
    folder = into / name
    if folder.exists():
        raise ConfigError(f"{folder} is there already: choose another name, or another folder with --into.")
    words = {
        "kind": kind,
        "name": name,
        "package": package_of(name),
        "project": f"harness-{name.replace('_', '-')}",
        "cls": class_of(name),
        "group": GROUPS[kind],
    }
    made = []
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    for target, template in _FILES.items():
        text = files(__package__).joinpath(template.format(**words)).read_text(encoding="utf-8")
        path = folder / target.format(**words)
        make_folder(path.parent)
        write_text(path, environment.from_string(text).render(words))
        made.append(path)
    return made


def _check_name(kind: str, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a {kind}: take small letters, digits and underscores, a letter first, "
            "as in my_method."
        )
    group = GROUPS[kind]
    if name in plugins.names(group):
        where = plugins.origin_of(group, name)
        raise PluginError(f"There is a {kind} {name!r} already, from {where}: choose another name.")
    package, cls = package_of(name), class_of(name)
    if find_spec(package) is not None:
        raise PluginError(
            f"There is a package {package} already, which {name!r} would hide: choose another name."
        )
    if taken := [full for full in catalogue().classes if full.rpartition(".")[2] == cls]:
        raise PluginError(
            f"In a gin file {cls} is {taken[0]} already, which {name!r} would not be found beside: choose another name."
        )


def package_of(name: str) -> str:
    """The import package of the plugin."""
    return f"harness_{name}"


def class_of(name: str) -> str:
    """The plugin's class: MyMethod of my_method."""
    return "".join(part.capitalize() for part in name.split("_"))
