"""`harness list` in terminals of any width."""

import io

import pytest
from rich.console import Console

from harness import plugins
from harness.catalogue import catalogue
from harness.narrow_terminal import WIDE
from harness.plugin_listing import CLASSES, LISTS, _summary, show_plugins
from harness_methods.imaml import IMAML


def shown(what: str, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    show_plugins(what, console)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [40, 80, WIDE])
@pytest.mark.parametrize("what", LISTS)
def test_every_name_stands_whole_at_the_beginning_of_a_line(what: str, width: int) -> None:
    lines = shown(what, width)
    assert all(len(line) <= width for line in lines)
    if what == CLASSES:
        names = {cls.__name__ for cls in catalogue().classes.values()}
    else:
        names = set(plugins.names(plugins.LISTS[what]))
    assert {line.split(" ")[0] for line in lines[1:]} - {""} == names


@pytest.mark.parametrize(("width", "alone"), [(80, True), (WIDE, False)])
def test_where_a_plugin_is_from_is_unbroken_below_it_or_beside_it(width: int, alone: bool) -> None:
    place = "(harness_methods.baseline_pp:BaselinePlusPlus)"
    (line,) = (line for line in shown("methods", width) if place in line)
    assert line.strip().startswith("harness 0.") == alone


def test_what_a_class_is_for_is_said_to_the_end_of_the_sentence() -> None:
    assert _summary(IMAML).endswith("differentiate the solution rather than the way to it.")
    unfinished = [cls.__name__ for cls in catalogue().classes.values() if not _summary(cls).endswith(".")]
    assert not unfinished
