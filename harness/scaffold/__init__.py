"""`harness new`: a small package with a working plugin, to be changed into one's own."""

import keyword
import re
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from harness import plugins
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

    Raises ConfigError for a name that cannot be a module's, PluginError for one that is registered, WorkspaceError
    where something is in the way.
    """
    _check_name(kind, name)
    folder = into / name
    if folder.exists():
        raise ConfigError(f"{folder} is there already: choose another name, or another folder with --into.")
    words = {
        "kind": kind,
        "name": name,
        "package": f"harness_{name}",
        "project": f"harness-{name.replace('_', '-')}",
        "cls": "".join(part.capitalize() for part in name.split("_")),
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
