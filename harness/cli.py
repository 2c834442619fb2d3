"""The command line. One function a subcommand; everything heavy is imported inside it.

Exit codes: 0 all is well; 1 a run or a check failed; 2 the request was wrong (one message, no traceback);
130 interrupted, state kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import harness
from harness import cli_data, cli_upkeep
from harness.cli_options import (
    CACHE,
    DATA,
    EXPERIMENT,
    LAUNCH,
    PATH,
    PLACE,
    SET,
    Group,
    cache_folder,
    console_of,
)
from harness.errors import HarnessError, PlanError
from harness.remote.places import Place, Url, is_url


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(harness.__version__, prog_name="harness")
def cli() -> None:
    """Few-shot and meta-learning across domains: train, evaluate, report.

    Start with `harness run gin/quickstart.gin`.
    """


@cli.command()
@EXPERIMENT
@click.option("--out", type=PLACE, help="Folder or URL of the report and the runs. [default: reports/<name>]")
@LAUNCH
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
    from harness.request import Request

    request = Request(config=config, bindings=bindings, data_dir=data, cache=cache_folder(cache), **options)
    return workflow.run(request, console_of())


@cli.command()
@EXPERIMENT
@click.option("--out", type=PLACE, help="Folder or URL where the runs would be. [default: reports/<name>]")
def plan(
    config: Path, bindings: tuple[str, ...], data: Path | None, cache: Path | None, out: Place | None
) -> None:
    """Show the runs that CONFIG asks for, what they need and their rough cost; do nothing."""
    from harness import listing

    if isinstance(out, Url):
        from harness.remote.looking import outline

        out = outline(out, cache_folder(cache))
    listing.show_plan(config, bindings, data, cache_folder(cache), out, console_of())


@cli.command()
@click.argument("folder", type=PLACE, metavar="DIR")
def report(folder: Place) -> None:
    """Write the report in DIR, a folder or URL, again, from the runs that are there."""
    from harness import workflow

    if isinstance(folder, Url):
        from harness.remote.looking import copied_report

        copy = copied_report(folder, cache_folder(None))
        workflow.report(copy.folder, console_of())
        copy.push_report()
        console_of().print(f"Sent to {folder}", highlight=False, soft_wrap=True, markup=False)
    else:
        workflow.report(folder, console_of())


def _looked_at(places: Sequence[Place]) -> tuple[Path, ...]:
    """The folders, and copies of what is at URLs."""
    if all(isinstance(place, Path) for place in places):
        return tuple(place for place in places if isinstance(place, Path))
    from harness.remote.looking import looked_at

    return tuple(looked_at(place, cache_folder(None)) for place in places)


@cli.command()
@click.argument("folders", type=PLACE, nargs=-1, required=True, metavar="DIR...")
@click.option("--baseline", metavar="METHOD", help="Show how far each method is from this one, in pairs.")
@click.option("--published", is_flag=True, help="Show published numbers beside, marked as not measured here.")
@click.option(
    "--group-by", multiple=True, metavar="CONDITION", help="Rank rows of each value by itself; repeatable."
)
@click.option("--out", type=PATH, default=Path("leaderboard"), show_default=True, help="Folder of the pages.")
def leaderboard(folders: tuple[Place, ...], **options: Any) -> None:
    """Rank the methods of one or more experiments, by Meta-Dataset's rule and in pairs.

    Each DIR is a folder, or URL, that `harness run` made. Rows that were not measured alike are refused, or ranked
    apart with --group-by.
    """
    from harness.leaderboard import command

    request = command.LeaderboardRequest(folders=_looked_at(folders), **options)
    command.make_leaderboard(request, console_of())


@cli.command()
@click.argument("folders", type=PLACE, nargs=-1, required=True, metavar="DIR...")
@click.option(
    "--tolerance",
    type=float,
    default=2.0,
    show_default=True,
    help="Points of difference, or units of return, that do not matter.",
)
@click.option("--out", type=PATH, default=Path("paper"), show_default=True, help="Folder of the page.")
def paper(folders: tuple[Place, ...], out: Path, tolerance: float) -> None:
    """Fill the papers' tables with what one or more experiments measured.

    Each published number stands beside the one measured here, with their difference and whether it is within the
    tolerance; an empty cell says which command fills it, at which cost.
    """
    from harness.papers import command

    command.make_paper_tables(
        command.PaperRequest(folders=_looked_at(folders), out=out, tolerance=tolerance), console_of()
    )


@cli.command()
@click.argument("a", type=PLACE)
@click.argument("b", type=PLACE)
@click.option(
    "--margin", type=float, default=1.0, show_default=True, help="Points that do not matter, for equality."
)
@click.option("--out", type=PATH, default=Path("comparison"), show_default=True, help="Folder of the page.")
def compare(a: Place, b: Place, out: Path, margin: float) -> None:
    """Compare two runs, checkpoints or experiments on the test episodes that they share.

    A run is a folder below runs/; of experiments, each method and training that both have is compared.
    """
    from harness.comparison import command

    sides = _looked_at([a, b])
    command.compare(command.CompareRequest(a=sides[0], b=sides[1], out=out, margin=margin), console_of())


@cli.command()
@click.argument("run", metavar="RUN")
@click.option("--source", help="Whose episodes are shown. [default: the first it was tested on]")
@click.option(
    "--episodes", type=click.IntRange(min=1), default=100, show_default=True, help="For the confusions."
)
@click.option(
    "--below", type=PATH, default=Path("reports"), show_default=True, help="Where experiments lie, for an id."
)
@click.option("--out", type=PATH, help="Folder of the pictures. [default: show/<run id>]")
@CACHE
def show(run: str, cache: Path | None, **options: Any) -> None:
    """Show a run: what it was, how it learned, what it confuses, its best and worst episodes.

    RUN is a folder or URL below runs/, or a run's id or its beginning.
    """
    from harness.showing import command

    if is_url(run):
        from harness.remote.looking import looked_at

        run = str(looked_at(Url(run), cache_folder(cache)))
    command.show(command.ShowRequest(run=run, cache=cache_folder(cache), **options), console_of())


@cli.command("list")
@click.argument("what", metavar="methods|sources|networks|probes")
def list_plugins(what: str) -> None:
    """List the methods, sources, networks or probes that are installed, and where each comes from."""
    from harness import listing

    listing.show_plugins(what, console_of())


@cli.command()
@click.argument("kind", type=click.Choice(["method", "dataset"]))
@click.argument("name")
@click.option("--into", type=PATH, default=Path(), help="Folder in which it is made. [default: here]")
def new(kind: str, name: str, into: Path) -> None:
    """Write a package with a working method or dataset called NAME, to be changed into your own."""
    from harness import listing

    listing.show_new(kind, name, into, console_of())


@cli.group(cls=Group)
def check() -> None:
    """Check that a plugin keeps its contract."""


@check.command()
@click.argument("name")
def method(name: str) -> int:
    """Check the method called NAME."""
    from harness import listing

    return listing.check_method(name, console_of())


@check.command()
@click.argument("name")
def probe(name: str) -> int:
    """Check the probe called NAME."""
    from harness import listing

    return listing.check_probe(name, console_of())


@check.command()
@click.argument("name", metavar="SOURCE|CONFIG")
@SET
@DATA
def dataset(name: str, bindings: tuple[str, ...], data: Path | None) -> int:
    """Check a source, or every source that an experiment file names."""
    from harness import listing

    return listing.check_dataset(name, bindings, data, console_of())


check.add_command(dataset, "source")
cli.add_command(cli_data.data)
for command in (cli_upkeep.status, cli_upkeep.retry, cli_upkeep.clean):
    cli.add_command(command)


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
