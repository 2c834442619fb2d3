"""The command line. One function a subcommand; everything heavy is imported inside it.

Exit codes: 0 all is well; 1 a run or a check failed; 2 the request was wrong (one message, no traceback);
130 interrupted, state kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import harness
from harness.errors import HarnessError, PlanError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

PATH = click.Path(path_type=Path)


class _Group(click.Group):
    """A group that guesses what a mistyped command was meant to be."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            names = self.list_commands(ctx)
            ctx.fail(
                f"No such command {args[0]!r}.{did_you_mean(args[0], names)} There are: {', '.join(names)}."
            )
        return super().resolve_command(ctx, args)


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_DATA = click.option(
    "--data", type=PATH, envvar="HARNESS_DATA", help="Folder of raw data. [env: HARNESS_DATA]"
)
_CACHE = click.option(
    "--cache",
    type=PATH,
    envvar="HARNESS_CACHE",
    help="Folder of prepared pools. [env: HARNESS_CACHE; default: the user's cache folder]",
)
_SET = click.option(
    "--set", "bindings", multiple=True, metavar="NAME.PARAM=VALUE", help="Override a setting; repeatable."
)
_EXPERIMENT = _options(click.argument("config", type=PATH), _SET, _DATA, _CACHE)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(harness.__version__, prog_name="harness")
def cli() -> None:
    """Few-shot and meta-learning across domains: train, evaluate, report.

    Start with `harness run gin/quickstart.gin`.
    """


@cli.command()
@_EXPERIMENT
@click.option("--out", type=PATH, help="Folder of the report and the runs. [default: reports/<name>]")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Runs at the same time, on this machine. [default: one per core]",
)
@click.option(
    "--backend", default="ray", show_default=True, metavar="ray|serial", help="How runs are launched."
)
@click.option("--address", help="Address of a running Ray cluster that sees the same folders.")
@click.option(
    "--fresh",
    is_flag=True,
    help="Delete this experiment's runs, and those that share a training with them, first.",
)
@click.option(
    "--demo", is_flag=True, help="Draw stand-ins for the sources and cut the training short: minutes, no data."
)
def run(
    config: Path, bindings: tuple[str, ...], data: Path | None, cache: Path | None, **options: Any
) -> int:
    """Train, evaluate and report what the gin file CONFIG asks for.

    Finished runs are kept, interrupted ones resume: the same command always carries on. Until the report is
    written, the configuration in force lies in its folder runs/ as config.gin.
    """
    from harness import workflow

    request = workflow.Request(
        config=config, bindings=bindings, data_dir=data, cache=_cache_folder(cache), **options
    )
    return workflow.run(request, _console())


@cli.command()
@_EXPERIMENT
@click.option("--out", type=PATH, help="Folder where the runs would be. [default: reports/<name>]")
def plan(
    config: Path, bindings: tuple[str, ...], data: Path | None, cache: Path | None, out: Path | None
) -> None:
    """Show the runs that CONFIG asks for, what they need and their rough cost; do nothing."""
    from harness import listing

    listing.show_plan(config, bindings, data, _cache_folder(cache), out, _console())


@cli.command()
@click.argument("folder", type=PATH, metavar="DIR")
def report(folder: Path) -> None:
    """Write the report in DIR again, from the runs that are there."""
    from harness import workflow

    workflow.report(folder, _console())


@cli.command("list")
@click.argument("what", metavar="methods|sources|networks")
def list_plugins(what: str) -> None:
    """List the methods, sources or networks that are installed, and where each comes from."""
    from harness import listing

    listing.show_plugins(what, _console())


@cli.group(cls=_Group)
def check() -> None:
    """Check that a plugin keeps its contract."""


@check.command()
@click.argument("name")
def method(name: str) -> int:
    """Check the method called NAME."""
    from harness import listing

    return listing.check_method(name, _console())


@check.command()
@click.argument("name")
@_DATA
def source(name: str, data: Path | None) -> int:
    """Check the source called NAME."""
    from harness import listing

    return listing.check_source(name, data, _console())


@cli.group(cls=_Group)
def data() -> None:
    """Look after prepared pools of images."""


@data.command()
@_CACHE
def status(cache: Path | None) -> None:
    """Show the pools that are prepared."""
    from harness import listing

    listing.show_pools(_cache_folder(cache), _console())


@data.command()
@click.argument("names", nargs=-1, required=True, metavar="SOURCE|CONFIG...")
@click.option(
    "--size", default=28, show_default=True, type=click.IntRange(min=8), help="Pixels, for a SOURCE."
)
@_DATA
@_CACHE
def prepare(names: tuple[str, ...], size: int, data: Path | None, cache: Path | None) -> None:
    """Prepare the pools of sources, or all that gin files need, without running anything."""
    from harness import listing

    listing.prepare_pools(names, size, data, _cache_folder(cache), _console())


def _cache_folder(cache: Path | None) -> Path:
    if cache is not None:
        return cache
    import platformdirs

    return Path(platformdirs.user_cache_dir("harness", appauthor=False))


def _console() -> Console:
    from rich.console import Console

    # Without a terminal there is no width to keep to, and names must not be folded.
    return Console() if sys.stdout.isatty() else Console(width=160)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        result = cli.main(
            args=None if arguments is None else list(arguments), prog_name="harness", standalone_mode=False
        )
    except PlanError as error:
        lines = "\n".join(f"  - {problem}" for problem in error.problems)
        click.echo(f"The experiment cannot run; nothing was started.\n{lines}", err=True)
        return 2
    except HarnessError as error:
        click.echo(f"Error: {error}", err=True)
        return 2
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        click.echo(
            f"Error: {place}{error.strerror or error}. Check that it is there, may be read and written, and "
            "that the disk is not full.",
            err=True,
        )
        return 2
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted: state kept, run the same command to resume.", err=True)
        return 130
    return result if isinstance(result, int) else 0
