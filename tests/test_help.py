"""What `--help` says in a terminal of 80 columns."""

from collections.abc import Iterator
from itertools import pairwise

import click
import pytest
from click.testing import CliRunner

from harness.cli import cli


def commands(group: click.Group, *before: str) -> Iterator[tuple[str, ...]]:
    yield before
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)
        else:
            yield *before, name


@pytest.mark.parametrize("words", list(commands(cli)), ids=" ".join)
def test_every_command_is_explained_and_nothing_is_cut_short(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, [*words, "--help"], env={"COLUMNS": "80"}, terminal_width=80)
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert not [line for line in lines if line.endswith("...") and not line.startswith("Usage:")]
    for line, after in pairwise([*lines, ""]):
        if line.startswith("  -"):
            beside = "  " in line.strip()
            assert beside or after.startswith("   "), line
    assert "INTEGER RANGE" not in done.output


def test_where_a_run_is_looked_for_is_said() -> None:
    done = CliRunner().invoke(cli, ["show", "--help"], terminal_width=200)
    assert "Where to look for a RUN given by its id" in done.output
