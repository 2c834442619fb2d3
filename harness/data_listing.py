"""`harness data list` and `harness data status`: what there is, and what of it is prepared."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness import plugins
from harness.cost import duration
from harness.data_needs import check_data_dir, with_defaults
from harness.dataset import Dataset, native_size
from harness.errors import DataError, HarnessError, PluginError
from harness.experiment import Images
from harness.narrow_terminal import WIDE, stacked
from harness.pool_status import interrupted, status
from harness.subsets import lacking

SMALL_RATE, PHOTO_RATE = 3000, 250
"""Images a second and core: small ones of a fixed size; photographs as they come. Good to a factor of three."""

DASH = "\N{EN DASH}"


def show_sources(names: Sequence[str], size: int | None, data_dir: Path | None, console: Console) -> None:
    """Print the installed sources, or all that is known of those named."""
    check_data_dir(data_dir)
    side = size or Images().size
    if names:
        for name in names:
            _show_one(with_defaults(plugins.DATASETS, name), side, data_dir, console)
        return
    rows = [_listed(name, side, data_dir) for name in plugins.names(plugins.DATASETS)]
    wide = console.width >= WIDE
    console.print(_table_of_sources(rows, side) if wide else stacked(_stacked(row, side) for row in rows))
    console.print(
        "Classes are train/valid/test. `at` is the size of the pools, `about` the time to prepare them on one "
        "core, good to a factor of three. `found` is below --data. More: harness data list SOURCE",
        highlight=False,
    )


def _listed(name: str, side: int, data_dir: Path | None) -> list[str]:
    """The row of a source, its licence cut to its first words."""
    try:
        dataset = with_defaults(plugins.DATASETS, name)
    except PluginError:
        return [name, *[DASH] * 4, "what its parameters say", DASH, DASH]
    *facts, licence = _row(dataset, side, data_dir)
    return [*facts, re.split(r"[;:,(]", licence)[0].strip()]


def _table_of_sources(rows: Sequence[Sequence[str]], side: int) -> Table:
    table = Table(box=None, header_style="bold")
    for column, align in (
        ("source", "left"), ("classes", "right"), ("images", "right"), (f"at {side} px", "right"),
        ("about", "right"), ("reads", "left"), ("found", "left"), ("licence", "left"),
    ):  # fmt: skip
        table.add_column(column, justify=align, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _stacked(row: Sequence[str], side: int) -> tuple[str, str]:
    name, classes, images, size, seconds, reads, found, licence = row
    known = (
        f"{classes} classes, {images} images, {size} at {side} px, about {seconds}; "
        if images != DASH
        else ""
    )
    there = f"; found: {found}" if found not in ("", DASH) else ""
    return name, f"{known}reads: {reads}{there}; licence: {licence}"


def _row(dataset: Dataset, side: int, data_dir: Path | None) -> list[str]:
    classes, images = _counts(dataset, data_dir)
    found = _found(dataset, data_dir)
    return [
        dataset.name,
        "/".join(str(classes.get(split, 0)) for split in ("train", "valid", "test")) if classes else DASH,
        f"{images:,}" if images else DASH,
        _bytes(images * _pool_side(dataset, side) ** 2 * dataset.channels) if images else DASH,
        duration(images / _rate(dataset)) if images else DASH,
        ", ".join(_routes(dataset)) or "itself",
        found[0] if found else ("" if dataset.needs_data else "embedded"),
        _licence(dataset),
    ]


def _show_one(dataset: Dataset, side: int, data_dir: Path | None, console: Console) -> None:
    row = _row(dataset, side, data_dir)
    found = _found(dataset, data_dir)
    facts = {
        "classes (train/valid/test)": row[1],
        "images": row[2],
        f"pools at {side} pixels": row[3],
        "to prepare, about": row[4],
        "licence": row[7],
        "how to get it": getattr(
            dataset, "how_to_get", "Nothing is needed." if not dataset.needs_data else DASH
        ),
        "forms it is read from": row[5],
        "can be fetched by": (
            f"harness data prepare {dataset.name} --download --data DIR"
            if callable(getattr(dataset, "download", None))
            else "you alone"
            if dataset.needs_data
            else DASH
        ),
        "found": (
            " in ".join(found) + _subset(dataset, data_dir)
            if found
            else "nothing"
            if dataset.needs_data
            else "embedded"
        ),
    }
    table = Table(box=None, show_header=False, title=dataset.name, title_justify="left", title_style="bold")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in facts.items():
        table.add_row(key, escape(str(value)))
    console.print(table)


def _subset(dataset: Dataset, data_dir: Path | None) -> str:
    """What is there of the source, where that is less than was published."""
    try:
        sizes = [dataset.class_sizes(split, data_dir) for split in dataset.splits]
    except HarnessError:
        return ""
    found = lacking(dataset, sum(map(len, sizes)), sum(sum(split.values()) for split in sizes))
    return f"; a subset: {found}" if found else ""


def _counts(dataset: Dataset, data_dir: Path | None) -> tuple[dict[str, int], int]:
    """Classes of each split and images in all: as published, else as they are there; empty and 0 if unknown."""
    official = getattr(dataset, "official_classes", None)
    if official is not None:
        return dict(official), int(getattr(dataset, "official_images", 0))
    try:
        sizes = {split: dataset.class_sizes(split, data_dir) for split in dataset.splits}
    except HarnessError:
        return {}, 0
    images = getattr(dataset, "official_images", None) or sum(sum(found.values()) for found in sizes.values())
    return {split: len(found) for split, found in sizes.items()}, images


def _routes(dataset: Dataset) -> dict[str, Any]:
    routes = getattr(dataset, "routes", None)
    return dict(routes()) if callable(routes) else {}


def _found(dataset: Dataset, data_dir: Path | None) -> tuple[str, ...]:
    """(route, place) of the first form that is there; (what is wrong,) for an unreadable one; empty for none.

    A dash where the parameters must say what it is of, and their defaults do not fit.
    """
    unreadable = "{}: not readable" if hasattr(dataset, "official_images") else DASH
    for route, find in _routes(dataset).items() if data_dir is not None else ():
        try:
            raw = find(data_dir)
        except DataError:
            return (unreadable.format(route),)
        if raw is not None:
            return route, str(raw.location)
    return ()


def _licence(dataset: Dataset) -> str:
    return getattr(dataset, "licence", "not stated")


def _pool_side(dataset: Dataset, side: int) -> int:
    return min(side, native_size(dataset) or side)


def _rate(dataset: Dataset) -> float:
    return PHOTO_RATE if native_size(dataset) is None else SMALL_RATE


def _bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _pool(row: Mapping[str, Any]) -> tuple[str, ...]:
    used = f"DAMAGED: {row['problem']}" if row["problem"] else ", ".join(row["used_by"]) or DASH
    return row["key"], str(row["classes"] or ""), str(row["images"] or ""), _bytes(row["bytes"]), used


def _table_of_pools(shown: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, header_style="bold")
    for column in ("pool", "classes", "images", "size", "used by"):
        table.add_column(
            column, overflow="fold", justify="left" if column in ("pool", "used by") else "right"
        )
    for row in shown:
        table.add_row(*map(escape, row))
    return table


def show_pools(cache: Path, console: Console) -> None:
    """Print the pools below `cache`: what they hold, who uses them, and what is half done or damaged."""
    rows, half = status(cache), interrupted(cache)
    shown = [_pool(row) for row in rows]
    if shown and console.width >= WIDE:
        console.print(_table_of_pools(shown))
    elif shown:
        console.print(
            stacked(
                (key, f"{n} classes, {m} images, {size}; used by: {used}") for key, n, m, size, used in shown
            )
        )
    for key, done in half:
        console.print(
            f"interrupted: {key}, {done} classes done; the command that began it carries on.",
            highlight=False,
            soft_wrap=True,
        )
    total = _bytes(sum(row["bytes"] for row in rows))
    console.print(f"{len(rows)} pools, {total}, in {cache}", highlight=False, soft_wrap=True)
