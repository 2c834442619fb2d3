"""Which pools are prepared: for planning without raw data, and to show."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.plugins import Component
from harness.pool_writing import PoolFacts
from harness.pools import FOLDER, open_pool, read_facts, usable_pool
from harness.spec import canonical


def find_prepared(cache: Path, component: Component) -> str | None:
    """The fingerprint of the newest usable pool of this source with these parameters, or None.

    With it, a source whose raw data is gone can still be used from its pools.
    """
    wanted = canonical(component)
    known = [
        (f.prepared, f.fingerprint)
        for key, f in _all_facts(cache)
        if f.component == wanted and usable_pool(cache, key)
    ]
    return max(known)[1] if known else None


def status(cache: Path) -> list[dict[str, Any]]:
    """One row per pool folder, sorted by key.

    Keys: key, source, split, image_size, channels, classes, images, bytes (on disk), fingerprint, sha256,
    prepared, and problem (None, or why it cannot be used; the others are then None where unknown).
    """
    rows = []
    for folder in _folders(cache):
        row: dict[str, Any] = dict.fromkeys(
            (
                "source",
                "split",
                "image_size",
                "channels",
                "classes",
                "images",
                "fingerprint",
                "sha256",
                "prepared",
            )
        )
        row |= {"key": folder.name, "bytes": sum(f.stat().st_size for f in folder.iterdir()), "problem": None}
        try:
            facts = read_facts(folder)
            row |= {name: getattr(facts, name) for name in row.keys() & asdict(facts).keys()}
            row |= {"source": facts.name, "classes": len(facts.class_names), "images": sum(facts.class_sizes)}
            open_pool(cache, folder.name)
        except DataError as error:
            row["problem"] = str(error)
        rows.append(row)
    return rows


def _folders(cache: Path) -> list[Path]:
    parent = cache / FOLDER
    found = parent.iterdir() if parent.is_dir() else iter(())
    return sorted(p for p in found if p.is_dir() and not p.name.startswith("."))


def _all_facts(cache: Path) -> Iterator[tuple[str, PoolFacts]]:
    for folder in _folders(cache):
        with suppress(DataError):
            yield folder.name, read_facts(folder)
