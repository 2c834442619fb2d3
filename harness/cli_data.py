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
    """Raw data and prepared pools: what there is, prepare it, verify it."""


@data.command("list")
@click.argument("names", nargs=-1, metavar="[SOURCE...]")
@click.option("--size", type=click.IntRange(min=8), help="Pixels of the pools. [default: 84]")
@DATA
def list_sources(names: tuple[str, ...], size: int | None, data: Path | None) -> None:
    """List the sources: classes, images, size, time, the forms they are read from, and what is there of them."""
    from harness import data_listing

    data_listing.show_sources(names, size, data, console_of())


@data.command()
@CACHE
def status(cache: Path | None) -> None:
    """Show the pools that are prepared, and which experiments have used them."""
    from harness import data_listing

    data_listing.show_pools(cache_folder(cache), console_of())


_NEEDS = options(
    click.argument("names", nargs=-1, required=True, metavar="SOURCE|CONFIG..."),
    SET,
    click.option("--only", metavar="SOURCE", help="Of a CONFIG, this source alone."),
    click.option(
        "--from", "place", type=PATH, help="The file or folder of the one source, instead of --data."
    ),
    click.option("--size", type=click.IntRange(min=8), help="Pixels, for a SOURCE. [default: 84]"),
    click.option("--resize", help="bilinear or antialias, for a SOURCE. [default: bilinear]"),
    click.option("--max-images-per-class", "limit", type=click.IntRange(min=2), help="For a SOURCE."),
    DATA,
    CACHE,
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
        data_checking.download(request, manual_dir, console_of())
    data_checking.prepare(request, console_of())


@data.command()
@_NEEDS
@click.option(
    "--out", type=PATH, default=Path("data_check"), show_default=True, help="Folder of the summary."
)
@click.option("--sheets/--no-sheets", default=True, show_default=True, help="Draw contact sheets.")
def verify(out: Path, sheets: bool, **options: Any) -> int:
    """Read every pixel of prepared pools, compare them with the raw data, and draw contact sheets."""
    from harness import data_checking

    return data_checking.verify(_data_request(options), out, console_of(), sheets=sheets)


def _data_request(options: dict[str, Any]) -> DataRequest:
    from harness.data_needs import DataRequest

    data, cache = options.pop("data"), options.pop("cache")
    return DataRequest(data_dir=data, cache=cache_folder(cache), **options)
