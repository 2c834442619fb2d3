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
from harness import cli_data, cli_results, cli_upkeep
from harness.cli_options import (
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
from harness.remote.places import Place, Url


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(harness.__version__, prog_name="harness")
def cli() -> None:
    """Few-shot and meta-learning across domains: train, evaluate, report.

    Start with `harness run gin/quickstart.gin`.
    """


@cli.command()
@EXPERIMENT
@click.option(
    "--out",
    type=PLACE,
    help="Folder or URL of the report and the runs. [default: reports/ and the experiment's name]",
)
@LAUNCH
@click.option(
    "--fresh",
    is_flag=True,
    help="First delete this experiment's runs, and others in the folder that share a training with them.",
)
@click.option(
    "--demo",
    is_flag=True,
    help="Try the experiment in minutes without its data: on drawn stand-ins of the sources, cut short.",
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
@click.option(
    "--out",
    type=PLACE,
    help="Folder or URL where the runs would be. [default: reports/ and the experiment's name]",
)
def plan(
    config: Path, bindings: tuple[str, ...], data: Path | None, cache: Path | None, out: Place | None
) -> None:
    """Show the runs that CONFIG asks for and their rough cost.

    Also the pools that they need, and what is done already. Nothing is started or written.
    """
    from harness import listing

    if isinstance(out, Url):
        from harness.remote.looking import outline

        out = outline(out, cache_folder(cache))
    listing.show_plan(config, bindings, data, cache_folder(cache), out, console_of())


@cli.command()
@cli_upkeep.FOLDER
def report(folder: Place) -> None:
    """Write the report of an experiment again.

    DIR is its folder or URL, such as reports/quickstart; the report is of the runs of its last `harness run`.
    Nothing is trained.
    """
    from harness import workflow

    if isinstance(folder, Url):
        from harness.remote.looking import copied_report

        copy = copied_report(folder, cache_folder(None))
        workflow.report(copy.folder, console_of())
        copy.push_report()
        console_of().print(f"Sent to {folder}", highlight=False, soft_wrap=True, markup=False)
    else:
        workflow.report(folder, console_of())


@cli.command("list")
@click.argument("what")
def list_plugins(what: str) -> None:
    """List the plugins that are installed.

    Each with what it is, and the package it comes from.

    WHAT is methods, sources, networks or probes; control_sources, policy_methods, policy_networks or policy_probes for
    control tasks; or classes, for every name that a gin file may use after @.
    """
    from harness import plugin_listing

    plugin_listing.show_plugins(what, console_of())


@cli.command()
@click.argument("kind", type=click.Choice(["method", "dataset"]))
@click.argument("name")
@click.option("--into", type=PATH, default=Path(), help="Folder to make it in. [default: the current one]")
def new(kind: str, name: str, into: Path) -> None:
    """Write a package with a plugin, to be made your own.

    It has a working method or dataset called NAME, a test and a gin file.
    """
    from harness import listing

    listing.show_new(kind, name, into, console_of())


@cli.group(cls=Group)
def check() -> None:
    """Check that a plugin keeps its contract.

    Tries what harness relies on and says what is not kept: worth doing before a long run.
    """


@check.command()
@click.argument("name")
def method(name: str) -> int:
    """Check the method called NAME, as `harness list methods` has it."""
    from harness import listing

    return listing.check_method(name, console_of())


@check.command()
@click.argument("name")
def probe(name: str) -> int:
    """Check the probe called NAME, as `harness list probes` has it."""
    from harness import listing

    return listing.check_probe(name, console_of())


@check.command()
@click.argument("name", metavar="SOURCE|CONFIG")
@SET
@DATA
def dataset(name: str, bindings: tuple[str, ...], data: Path | None) -> int:
    """Check a source, or every source of a gin file.

    `check source` and `check dataset` are the same.
    """
    from harness import listing

    return listing.check_dataset(name, bindings, data, console_of())


check.add_command(dataset, "source")
cli.add_command(cli_data.data)
for command in (
    *(cli_results.leaderboard, cli_results.paper, cli_results.compare, cli_results.show),
    *(cli_upkeep.status, cli_upkeep.retry, cli_upkeep.clean),
):
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
