"""`harness list`: what is installed, what it is, and where it came from."""

import re
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness import plugins
from harness.errors import ConfigError, PluginError, did_you_mean, named_choices
from harness.narrow_terminal import WIDE

CLASSES = "classes"
"""The list of all that a gin file may name, own classes of the experiment included."""

LISTS = (*plugins.LISTS, CLASSES)

Row = tuple[str, str, str]


def show_plugins(what: str, console: Console) -> None:
    """Print name, purpose and origin of what is in the list `what`. Raises ConfigError for an unknown list.

    No name is ever broken or cut, however narrow the terminal.
    """
    if what not in LISTS:
        raise ConfigError(
            f"There is no list of {what!r}.{did_you_mean(what, LISTS)} Lists: {named_choices(LISTS)}."
        )
    rows = list(_classes() if what == CLASSES else _plugins(plugins.LISTS[what]))
    wide = console.width >= WIDE
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True, overflow="ignore")
    table.add_column("what it is", overflow="fold")
    if wide:
        table.add_column("from", overflow="fold")
    for name, summary, origin in rows:
        if wide:
            table.add_row(Text(name), Text(summary), Text(origin))
        else:
            table.add_row(Text(name), Text.assemble(summary, "\n", (origin, "dim")))
    console.print(table)


def _plugins(group: str) -> Iterator[Row]:
    for name in plugins.names(group):
        try:
            summary = _summary(plugins.load(group, name))
        except PluginError as error:
            summary = f"BROKEN: {error}"
        yield name, summary, plugins.origin_of(group, name)


def _classes() -> Iterator[Row]:
    from harness.catalogue import catalogue

    for full, cls in sorted(catalogue().classes.items(), key=lambda item: item[1].__name__):
        yield cls.__name__, _summary(cls), full.rpartition(".")[0]


def _summary(cls: type) -> str:
    """The first sentence of its docstring, or the first paragraph where that has none."""
    paragraph = " ".join((cls.__doc__ or "").strip().partition("\n\n")[0].split())
    sentence = re.match(r".*?\.(?= |$)", paragraph)
    return sentence.group() if sentence else paragraph
