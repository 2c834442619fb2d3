"""The commands of `harness data`. Everything heavy is imported inside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli_options import CACHE, DATA, PATH, SET, Group, cache_folder, console_of, options

if TYPE_CHECKING:
    from harness.data_needs import DataRequest


@click.group(cls=Group)
def data() -> None:
    """Raw data and prepared pools: list, prepare, verify.

    A pool is all images of a source and split, resized, as runs read them.
    """


@data.command("list")
@click.argument("names", nargs=-1, metavar="[SOURCE...]")
@click.option(
    "--size", type=click.IntRange(min=8), metavar="N", help="Pixels a side of the pools. [default: 84]"
)
@DATA
def list_sources(names: tuple[str, ...], size: int | None, data: Path | None) -> None:
    """List the sources, and what is there of them.

    Each with its classes, images, size, the time to prepare it and the forms that it is read from.
    """
    from harness import data_listing

    data_listing.show_sources(names, size, data, console_of())


@data.command()
@CACHE
def status(cache: Path | None) -> None:
    """Show the pools that are prepared.

    And which experiments have used them.
    """
    from harness import data_listing

    data_listing.show_pools(cache_folder(cache), console_of())


_NEEDS = options(
    click.argument("names", nargs=-1, required=True, metavar="SOURCE|CONFIG..."),
    SET,
    click.option("--only", metavar="SOURCE", help="Where a CONFIG is named: this source of it alone."),
    click.option(
        "--from",
        "place",
        type=PATH,
        help="Where one SOURCE is named: its file or folder, in place of --data.",
    ),
    click.option(
        "--size",
        type=click.IntRange(min=8),
        metavar="N",
        help="Where a SOURCE is named: pixels a side. [default: 84]",
    ),
    click.option(
        "--resize",
        metavar="bilinear|antialias",
        help="Where a SOURCE is named: how it is resized. [default: bilinear]",
    ),
    click.option(
        "--max-images-per-class",
        "limit",
        type=click.IntRange(min=2),
        metavar="N",
        help="Where a SOURCE is named: images a class, at most.",
    ),
    DATA,
    CACHE,
)


@data.command()
@_NEEDS
@click.option("--download", is_flag=True, help="First let tensorflow-datasets fetch the SOURCE into --data.")
@click.option(
    "--manual-dir", type=PATH, help="With --download: a folder of archives that you have fetched by hand."
)
def prepare(download: bool, manual_dir: Path | None, **options: Any) -> None:
    """Prepare pools ahead of a run.

    Those of each SOURCE (`harness list sources`), or all that the gin file CONFIG needs. An interrupted preparation
    is carried on by the same command.
    """
    from harness import data_checking

    request = _data_request(options)
    if download:
        data_checking.download(request, manual_dir, console_of())
    data_checking.prepare(request, console_of())


@data.command()
@_NEEDS
@click.option(
    "--out",
    type=PATH,
    default=Path("data_check"),
    show_default=True,
    help="Folder to write the summary into.",
)
@click.option("--sheets/--no-sheets", default=True, show_default=True, help="Draw contact sheets.")
def verify(out: Path, sheets: bool, **options: Any) -> int:
    """Compare prepared pools with the raw data.

    Every pixel with its digest, and the counts with the raw data; contact sheets are drawn, to look at.
    """
    from harness import data_checking

    return data_checking.verify(_data_request(options), out, console_of(), sheets=sheets)


def _data_request(options: dict[str, Any]) -> DataRequest:
    from harness.data_needs import DataRequest

    data, cache = options.pop("data"), options.pop("cache")
    return DataRequest(data_dir=data, cache=cache_folder(cache), **options)
