"""`harness status`, `retry` and `clean`: what is done with an experiment's folder while and after it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli_options import CACHE, DATA, LAUNCH, PATH, cache_folder, console_of

FOLDER = click.argument("folder", type=PATH, metavar="DIR")


@click.command()
@FOLDER
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Look again and again while runs are going on.",
)
def status(folder: Path, every: float | None) -> int:
    """Show where the runs in DIR stand: done, running and where, failed and why, waiting; time left.

    Reads the folder alone, so it works from any machine that sees it. Exit code 1 where a run has failed.
    """
    from harness import standing

    return standing.show_status(folder, console_of(), every=every)


@click.command()
@FOLDER
@DATA
@CACHE
@LAUNCH
def retry(folder: Path, data: Path | None, cache: Path | None, **options: Any) -> int:
    """Carry on with the last `harness run` in DIR, with the settings that lie there.

    As the same `harness run` again does, where its gin file has changed or is elsewhere: what failed or never ran is
    tried, what is done is kept, the report is written anew.
    """
    from harness import upkeep, workflow

    config, command, demo = upkeep.settings_of(folder)
    request = workflow.Request(
        config=config,
        bindings=(),
        out=folder,
        fresh=False,
        data_dir=data,
        cache=cache_folder(cache),
        demo=demo,
        first=command,
        **options,
    )
    return workflow.run(request, console_of())


@click.command()
@FOLDER
@click.option("--failed", is_flag=True, help="Delete runs that failed or stopped, with their checkpoints.")
@click.option(
    "--unused",
    is_flag=True,
    help="Delete runs of other settings, with their results.",
)
@click.option("--checkpoints", is_flag=True, help="Delete the networks of finished runs.")
def clean(folder: Path, **kinds: bool) -> None:
    """Say what in DIR takes room and may go, or delete it.

    Without an option nothing is deleted but what interrupted writes have left. Results of the last `harness run` stay.
    """
    from harness import upkeep

    upkeep.clean(folder, [kind for kind, chosen in kinds.items() if chosen], console_of())
