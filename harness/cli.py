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

    from harness.data_needs import DataRequest

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
    "--demo",
    is_flag=True,
    help="Draw stand-ins for the sources and cut the training short: minutes, no data.",
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
@click.argument("what", metavar="methods|sources|networks|probes")
def list_plugins(what: str) -> None:
    """List the methods, sources, networks or probes that are installed, and where each comes from."""
    from harness import listing

    listing.show_plugins(what, _console())


@cli.command()
@click.argument("kind", type=click.Choice(["method", "dataset"]))
@click.argument("name")
@click.option("--into", type=PATH, default=Path(), help="Folder in which it is made. [default: here]")
def new(kind: str, name: str, into: Path) -> None:
    """Write a package with a working method or dataset called NAME, to be changed into your own."""
    from harness import listing

    listing.show_new(kind, name, into, _console())


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
def probe(name: str) -> int:
    """Check the probe called NAME."""
    from harness import listing

    return listing.check_probe(name, _console())


@check.command()
@click.argument("name", metavar="SOURCE|CONFIG")
@_SET
@_DATA
def dataset(name: str, bindings: tuple[str, ...], data: Path | None) -> int:
    """Check a source, or every source that an experiment file names."""
    from harness import listing

    return listing.check_dataset(name, bindings, data, _console())


check.add_command(dataset, "source")


@cli.group(cls=_Group)
def data() -> None:
    """Raw data and prepared pools: what there is, prepare it, verify it."""


@data.command("list")
@click.argument("names", nargs=-1, metavar="[SOURCE...]")
@click.option("--size", type=click.IntRange(min=8), help="Pixels of the pools. [default: 84]")
@_DATA
def list_sources(names: tuple[str, ...], size: int | None, data: Path | None) -> None:
    """List the sources: classes, images, size, time, the forms they are read from, and what is there of them."""
    from harness import data_listing

    data_listing.show_sources(names, size, data, _console())


@data.command()
@_CACHE
def status(cache: Path | None) -> None:
    """Show the pools that are prepared, and which experiments have used them."""
    from harness import data_listing

    data_listing.show_pools(_cache_folder(cache), _console())


_NEEDS = _options(
    click.argument("names", nargs=-1, required=True, metavar="SOURCE|CONFIG..."),
    _SET,
    click.option("--only", metavar="SOURCE", help="Of a CONFIG, this source alone."),
    click.option(
        "--from", "place", type=PATH, help="The file or folder of the one source, instead of --data."
    ),
    click.option("--size", type=click.IntRange(min=8), help="Pixels, for a SOURCE. [default: 84]"),
    click.option("--resize", help="bilinear or antialias, for a SOURCE. [default: bilinear]"),
    click.option("--max-images-per-class", "limit", type=click.IntRange(min=2), help="For a SOURCE."),
    _DATA,
    _CACHE,
)


@data.command()
@_NEEDS
@click.option("--download", is_flag=True, help="Let tensorflow-datasets fetch the SOURCE into --data first.")
@click.option("--manual-dir", type=PATH, help="Folder of archives fetched by hand, for --download.")
def prepare(download: bool, manual_dir: Path | None, **options: Any) -> None:
    """Prepare the pools of sources, or all that gin files need, without running anything.

    An interrupted preparation is carried on by the same command.
    """
    from harness import data_checking

    request = _data_request(options)
    if download:
        data_checking.download(request, manual_dir, _console())
    data_checking.prepare(request, _console())


@data.command()
@_NEEDS
@click.option(
    "--out", type=PATH, default=Path("data_check"), show_default=True, help="Folder of the summary."
)
@click.option("--sheets/--no-sheets", default=True, show_default=True, help="Draw contact sheets.")
def verify(out: Path, sheets: bool, **options: Any) -> int:
    """Read every pixel of prepared pools, compare them with the raw data, and draw contact sheets."""
    from harness import data_checking

    return data_checking.verify(_data_request(options), out, _console(), sheets=sheets)


def _data_request(options: dict[str, Any]) -> DataRequest:
    from harness.data_needs import DataRequest

    data, cache = options.pop("data"), options.pop("cache")
    return DataRequest(data_dir=data, cache=_cache_folder(cache), **options)


def _cache_folder(cache: Path | None) -> Path:
    if cache is not None:
        return cache
    import platformdirs

    return Path(platformdirs.user_cache_dir("harness", appauthor=False))


def _console() -> Console:
    from rich.console import Console

    # Without a terminal there is no width to keep to, and names must not be folded.
    return Console() if sys.stdout.isatty() else Console(width=160)


def _said(error: PlanError) -> str:
    """Every problem of a plan, and what can be done without the sources that are missing."""
    lines = [f"  - {problem}" for problem in error.problems]
    lines += [f"  {hint}" for hint in error.hints]
    return "\n".join(["The request cannot be met; nothing was started.", *lines])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        result = cli.main(
            args=None if arguments is None else list(arguments), prog_name="harness", standalone_mode=False
        )
    except PlanError as error:
        click.echo(_said(error), err=True)
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
