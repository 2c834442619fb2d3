"""What the commands of the command line share: options, groups that guess a mistyped command, the console."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import ConfigError, did_you_mean
from harness.remote.places import Place, Url, is_url

if TYPE_CHECKING:
    from rich.console import Console

    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # no generic in older versions of click


class LocalPath(ParamType):
    """A path on this machine; for a URL one sentence, where a path would take it for a folder called `s3:`."""

    name = "path"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,  # noqa: ARG002
    ) -> Path:
        """Raises ConfigError for a URL."""
        if isinstance(value, str) and is_url(value):
            named = param.opts[0] if param is not None and param.opts else "this"
            named = named if named.startswith("-") else named.upper()
            raise ConfigError(
                f"{named} must be a path on this machine; got {value!r}. Copy it here first, or mount it. A URL may "
                "stand where an experiment's folder does."
            )
        return Path(value)


class FolderOrUrl(ParamType):
    """An experiment's folder, or the URL where it lies."""

    name = "path"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002
        ctx: click.Context | None,  # noqa: ARG002
    ) -> Place:
        """Raises ConfigError for what begins like a URL and is none."""
        if isinstance(value, str):
            return Url(value) if is_url(value) else Path(value)
        found: Place = value
        return found


PATH = LocalPath()
PLACE = FolderOrUrl()


class Group(click.Group):
    """A group that guesses what a mistyped command was meant to be."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but for the message."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            names = self.list_commands(ctx)
            ctx.fail(
                f"No such command {args[0]!r}.{did_you_mean(args[0], names)} There are: {', '.join(names)}."
            )
        return super().resolve_command(ctx, args)


def options(*added: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several options as one decorator, shown in their order."""

    def add(command: Any) -> Any:
        for option in reversed(added):
            command = option(command)
        return command

    return add


DATA = click.option(
    "--data",
    type=PATH,
    envvar="HARNESS_DATA",
    help="Folder that holds the raw data, as downloaded. [env: HARNESS_DATA]",
)
CACHE = click.option(
    "--cache",
    type=PATH,
    envvar="HARNESS_CACHE",
    help="Folder of prepared pools. [env: HARNESS_CACHE; default: the user's cache folder]",
)
SET = click.option(
    "--set",
    "bindings",
    multiple=True,
    metavar="NAME.PARAM=VALUE",
    help="Override a setting of the gin file, as in --set 'MAML.inner_lr = 0.1'; repeatable.",
)
LAUNCH = options(
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Runs at the same time, on this machine. [default: as many as its cores allow]",
    ),
    click.option(
        "--backend",
        default="ray",
        show_default=True,
        metavar="ray|serial",
        help="Launch runs side by side with Ray, or one after another in this process.",
    ),
    click.option(
        "--address",
        metavar="HOST:PORT",
        help="A running Ray cluster to run on, whose nodes see --out by the same path, or a URL.",
    ),
)
EXPERIMENT = options(click.argument("config", type=PATH), SET, DATA, CACHE)


def cache_folder(cache: Path | None) -> Path:
    """What --cache says, or $HARNESS_CACHE, or the user's cache folder."""
    if cache is not None:
        return cache
    if named := os.environ.get("HARNESS_CACHE"):
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("harness", appauthor=False))


def console_of() -> Console:
    """The terminal, or a wide page where there is none."""
    from rich.console import Console

    # Without a terminal there is no width to keep to, and names must not be folded.
    return Console() if sys.stdout.isatty() else Console(width=160)
