"""`harness status`, `retry` and `clean`: what is done with an experiment's folder while and after it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli_options import CACHE, DATA, LAUNCH, PLACE, cache_folder, console_of
from harness.remote.places import Place, Url

FOLDER = click.argument("folder", type=PLACE, metavar="DIR")


@click.command()
@FOLDER
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Look again every so many seconds while runs are going on.",
)
def status(folder: Place, every: float | None) -> int:
    """Show where the runs of an experiment stand.

    Which are done, running (where, how long still), failed (why) or waiting. DIR is the experiment's folder or URL,
    such as reports/quickstart; nothing else is read, so any machine that sees it will do. Exit code 1 where a run has
    failed.
    """
    from harness import standing

    if isinstance(folder, Url):
        from harness.remote.looking import outlined

        return standing.show_status(
            lambda: outlined(folder, cache_folder(None)), console_of(), name=str(folder), every=every
        )
    return standing.show_status(lambda: folder, console_of(), name=str(folder), every=every)


@click.command()
@FOLDER
@DATA
@CACHE
@LAUNCH
def retry(folder: Place, data: Path | None, cache: Path | None, **options: Any) -> int:
    """Carry on with the last `harness run` of an experiment.

    DIR is the experiment's folder or URL, such as reports/quickstart, and the settings are those that lie there. As
    the same `harness run` again does, where its gin file has changed or is elsewhere: what failed or never ran is
    tried, what is done is kept, the report is written anew.
    """
    from harness import upkeep, workflow
    from harness.request import Request

    if isinstance(folder, Url):
        from harness.remote.looking import outlined

        config, command, demo = upkeep.settings_of(outlined(folder, cache_folder(cache)))
    else:
        config, command, demo = upkeep.settings_of(folder)
    request = Request(
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
def clean(folder: Place, **kinds: bool) -> None:
    """Say what takes room and may go, or delete it.

    DIR is an experiment's folder or URL, such as reports/quickstart. Without an option nothing is deleted but what
    interrupted writes have left. Results of the last `harness run` stay.
    """
    from harness import upkeep

    chosen = [kind for kind, wanted in kinds.items() if wanted]
    if isinstance(folder, Url):
        from harness.remote.cleaning import clean_at

        clean_at(folder, chosen, cache_folder(None), console_of())
    else:
        upkeep.clean(folder, chosen, console_of())
