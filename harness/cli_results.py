"""`harness leaderboard`, `paper`, `compare` and `show`: what is done with results. Heavy imports are inside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli_options import CACHE, PATH, PLACE, cache_folder, console_of
from harness.remote.places import Place, Url, is_url


def _looked_at(places: Sequence[Place]) -> tuple[Path, ...]:
    """The folders, and copies of what is at URLs."""
    if all(isinstance(place, Path) for place in places):
        return tuple(place for place in places if isinstance(place, Path))
    from harness.remote.looking import looked_at

    return tuple(looked_at(place, cache_folder(None)) for place in places)


@click.command()
@click.argument("folders", type=PLACE, nargs=-1, required=True, metavar="DIR...")
@click.option(
    "--baseline", metavar="METHOD", help="Also show, in pairs, how far each method is from this one."
)
@click.option("--published", is_flag=True, help="Add published numbers, marked as not measured here.")
@click.option(
    "--group-by",
    multiple=True,
    metavar="CONDITION",
    help="Rank apart what differs in this: network, image_size, batch_norm, precision, protocol, protocol_version, "
    "fingerprint or max_images_per_class; of control tasks network, protocol_version, fingerprint, horizon or "
    "sampling; repeatable.",
)
@click.option(
    "--out", type=PATH, default=Path("leaderboard"), show_default=True, help="Folder to write into."
)
def leaderboard(folders: tuple[Place, ...], **options: Any) -> None:
    """Rank the methods of one or more experiments.

    Ranks are by Meta-Dataset's rule and by pairs of methods on the same episodes, or control tasks. Each DIR is an
    experiment's folder or URL, such as reports/quickstart. Methods that were not measured alike are refused, or ranked
    apart with --group-by.
    """
    from harness.leaderboard import command

    request = command.LeaderboardRequest(folders=_looked_at(folders), **options)
    command.make_leaderboard(request, console_of())


@click.command()
@click.argument("folders", type=PLACE, nargs=-1, required=True, metavar="DIR...")
@click.option(
    "--tolerance",
    type=float,
    default=2.0,
    show_default=True,
    help="Difference from the paper that does not matter, in percentage points (returns: in units of return).",
)
@click.option("--out", type=PATH, default=Path("paper"), show_default=True, help="Folder to write into.")
def paper(folders: tuple[Place, ...], out: Path, tolerance: float) -> None:
    """Show papers' tables beside what was measured here.

    Each published number stands beside the one measured here, with their difference and whether it is within the
    tolerance; an empty cell says which command fills it, at which cost. Each DIR is an experiment's folder or URL,
    such as reports/quickstart.
    """
    from harness.papers import command

    command.make_paper_tables(
        command.PaperRequest(folders=_looked_at(folders), out=out, tolerance=tolerance), console_of()
    )


@click.command()
@click.argument("a", type=PLACE)
@click.argument("b", type=PLACE)
@click.option(
    "--margin",
    type=float,
    help="Largest difference that does not matter, in percentage points or units of return: equal is what surely lies "
    "within it. [default: 1; of control experiments theirs]",
)
@click.option("--out", type=PATH, default=Path("comparison"), show_default=True, help="Folder to write into.")
def compare(a: Place, b: Place, out: Path, margin: float | None) -> None:
    """Compare two runs or experiments on what they share.

    Differences are on the very same episodes, or control tasks. A and B are runs (a folder DIR/runs/RUN, or a
    checkpoint in it) or experiments (a folder DIR), also at a URL. Of two experiments, each method and training that
    both have is compared.
    """
    from harness.comparison import command

    sides = _looked_at([a, b])
    command.compare(command.CompareRequest(a=sides[0], b=sides[1], out=out, margin=margin), console_of())


@click.command()
@click.argument("run", metavar="RUN")
@click.option(
    "--source", help="Show its episodes, or tasks, on this source. [default: the first it was tested on]"
)
@click.option(
    "--episodes",
    type=click.IntRange(min=1),
    default=100,
    metavar="N",
    help="Test episodes that the table of confusions counts. [default: 100]",
)
@click.option(
    "--below",
    type=PATH,
    default=Path("reports"),
    metavar="DIR",
    help="Where to look for a RUN given by its id: an experiment's folder, or one that holds several. [default: "
    "reports]",
)
@click.option("--out", type=PATH, help="Folder to write the pictures into. [default: show/ and the run's id]")
@CACHE
def show(run: str, cache: Path | None, **options: Any) -> None:
    """Show a run: what it was, how it learned, what it confuses.

    Its best and worst episodes are drawn, too. RUN is the run's folder or URL (DIR/runs/RUN), or its id, or the
    beginning of that, where --below finds it.
    """
    from harness.showing import command

    if is_url(run):
        from harness.remote.looking import looked_at

        run = str(looked_at(Url(run), cache_folder(cache)))
    command.show(command.ShowRequest(run=run, cache=cache_folder(cache), **options), console_of())
